//! References and handles inside values, when serde encodes or decodes the values.
//!
//! The bytes of a value cannot keep an object alive. Therefore references and handles are kept beside the bytes, in a table:
//! [`collect`] returns it from the encoder, and [`provide`] gives it to the decoder. The bytes contain the places of the references
//! in the table. Serialising a reference elsewhere is an error.
//!
//! serde cannot pass a context to `Serialize` and `Deserialize`, so the table is in a thread-local while a value is encoded or
//! decoded. A value whose own `Serialize` encodes another value has a separate table for that.

use crate::object::encoded::Encoded;
use crate::object::remote;
use crate::object::remote::RemoteObject;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use crate::object::any::AnyRef;
use crate::object::object_ref::ObjectRef;

/// A reference or a handle that stands inside a value. It counts: it keeps the object or the actor alive.
///
/// A transport maps it to an id of its own, and on the other side puts one there that it has made. The decoder refuses an
/// object of another type and an actor of another class.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub enum Carried {
    /// An `ObjectRef`, with what encodes its value when that is asked for.
    Object(CarriedObject),
    /// On the decoding side, in place of an object: an object that another process has or makes.
    Remote(Arc<dyn RemoteObject>),
    /// An `ActorHandle`, of which this module knows nothing.
    Actor(Arc<dyn CarriedActor>),
}

/// A reference inside a value.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct CarriedObject {
    object: AnyRef,
    encode: fn(&AnyRef) -> crate::Result<Encoded>,
}

impl CarriedObject {
    /// Of a reference.
    pub fn of<T: Serialize + Send + Sync + 'static>(object: &ObjectRef<T>) -> Self {
        Self { object: object.any(), encode: |object| Encoded::of(object.typed::<T>()?.ready_or_error()?) }
    }

    /// The reference.
    pub fn object(&self) -> &AnyRef {
        &self.object
    }

    /// The id of the object. A transport sends it, and gives it to the object's [`RemoteObject`] in the other process.
    pub fn id(&self) -> u64 {
        self.object.header().id()
    }

    /// The object's value, which must be ready.
    ///
    /// # Errors
    /// The error of an object that has failed; `InvalidArgument`: it is not ready; `Serialization`.
    pub fn encode_value(&self) -> crate::Result<Encoded> {
        (self.encode)(&self.object)
    }
}

/// A handle of an actor inside a value.
#[doc(hidden)]
pub trait CarriedActor: Any + fmt::Debug + Send + Sync {
    /// The actor's number, the same in all processes.
    fn id(&self) -> u64;
    /// Module path and name of the class.
    fn class(&self) -> &str;
}

type Table = Vec<Carried>;

thread_local! {
    /// The table of the value that this thread encodes or decodes. The slot has no destructor, so that a value can also be
    /// encoded by the drop of another value while the thread ends; [`with_table`] leaves the slot empty.
    static TABLE: RefCell<ManuallyDrop<Option<Table>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

/// Runs `encode` with an empty table, and returns what the values in it have put there.
pub(crate) fn collect<R>(encode: impl FnOnce() -> R) -> (R, Table) {
    with_table(Vec::new(), encode)
}

/// Runs `decode` with a table from which the values in it take their references.
pub(crate) fn provide<R>(table: Table, decode: impl FnOnce() -> R) -> R {
    with_table(table, decode).0
}

fn with_table<R>(table: Table, work: impl FnOnce() -> R) -> (R, Table) {
    /// Puts the outer table back, also if the user's code panics.
    struct Restore(Option<Table>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let outer = self.0.take();
            // Dropped when the cell is free again: the last reference drops a value of the user's.
            drop(ManuallyDrop::into_inner(TABLE.replace(ManuallyDrop::new(outer))));
        }
    }
    let outer = TABLE.replace(ManuallyDrop::new(Some(table)));
    let _outer = Restore(ManuallyDrop::into_inner(outer));
    let done = work();
    (done, TABLE.with_borrow_mut(|table| table.take()).unwrap_or_default())
}

/// Empties the table: the encoder begins again with the same value.
pub(crate) fn start_over() {
    let former = TABLE.with_borrow_mut(|table| table.as_mut().map(std::mem::take));
    drop(former);
}

/// Serialises a handle of the engine as its place in the table.
pub(crate) fn send<S: Serializer>(carried: Carried, what: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let place = TABLE.with_borrow_mut(|table| {
        let table = table.as_mut()?;
        table.push(carried);
        Some(table.len() as u64 - 1)
    });
    match place {
        Some(place) => place.serialize(serializer),
        None => Err(S::Error::custom(format!(
            "{what} is no data: it can be passed to a task or an actor, put or returned, but not serialised by itself"
        ))),
    }
}

/// Finds a handle of the engine at the place that the bytes name; `typed` gives it its type, or nothing if it is of another
/// kind.
pub(crate) fn receive<'de, H, D: Deserializer<'de>>(
    what: &str,
    deserializer: D,
    typed: impl FnOnce(&Carried) -> Option<crate::Result<H>>,
) -> Result<H, D::Error> {
    let place = u64::deserialize(deserializer)?;
    let carried = TABLE.with_borrow(|table| table.as_ref()?.get(usize::try_from(place).ok()?).cloned());
    match carried.as_ref().and_then(typed) {
        Some(Ok(handle)) => Ok(handle),
        Some(Err(error)) => Err(D::Error::custom(error)),
        None => Err(D::Error::custom(format!("{what} can only be read where it was sent along"))),
    }
}

impl<T: Serialize + Send + Sync + 'static> Serialize for ObjectRef<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        send(Carried::Object(CarriedObject::of(self)), "an ObjectRef", serializer)
    }
}

impl<'de, T: DeserializeOwned + Send + Sync + 'static> Deserialize<'de> for ObjectRef<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        receive("an ObjectRef", deserializer, |carried| match carried {
            Carried::Object(carried) => Some(carried.object.typed()),
            Carried::Remote(object) => Some(Ok(remote::reference(Arc::clone(object)))),
            Carried::Actor(_) => None,
        })
    }
}
