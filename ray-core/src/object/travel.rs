//! References inside values, on their way through the MessagePack glue.
//!
//! A reference is not data: its bytes would keep nothing alive. Inside the glue it travels beside the bytes, which
//! hold its place in a list of this thread; outside the glue, serialising one is an error.

use std::any::Any;
use std::cell::RefCell;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};

use crate::object::object_ref::ObjectRef;

thread_local! {
    static CARGO: RefCell<Option<Vec<Box<dyn Any>>>> = const { RefCell::new(None) };
}

/// Runs `work` with a list for the references that it meets; nested calls share the outer list's end, not its items.
pub(crate) fn carrying<R>(work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Vec<Box<dyn Any>>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            let former = self.0.take();
            drop(CARGO.replace(former));
        }
    }
    let _restore = Restore(CARGO.replace(Some(Vec::new())));
    work()
}

/// Serialises a handle of the engine as its place in the list.
pub(crate) fn send<H: Clone + 'static, S: Serializer>(handle: &H, what: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let place = CARGO.with_borrow_mut(|cargo| {
        let cargo = cargo.as_mut()?;
        cargo.push(Box::new(handle.clone()));
        Some(cargo.len() as u64 - 1)
    });
    match place {
        Some(place) => place.serialize(serializer),
        None => Err(S::Error::custom(format!(
            "{what} is no data: it can be passed to a task or an actor, put or returned, but not serialised by itself"
        ))),
    }
}

/// Finds a handle of the engine again.
pub(crate) fn receive<'de, H: Clone + 'static, D: Deserializer<'de>>(what: &str, deserializer: D) -> Result<H, D::Error> {
    let place = u64::deserialize(deserializer)?;
    CARGO
        .with_borrow(|cargo| cargo.as_ref()?.get(usize::try_from(place).ok()?)?.downcast_ref::<H>().cloned())
        .ok_or_else(|| D::Error::custom(format!("{what} can only be read where it was sent along")))
}

impl<T: Send + Sync + 'static> Serialize for ObjectRef<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        send(self, "an ObjectRef", serializer)
    }
}

impl<'de, T: Send + Sync + 'static> Deserialize<'de> for ObjectRef<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        receive("an ObjectRef", deserializer)
    }
}
