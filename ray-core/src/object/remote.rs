//! Objects that another process makes or has.
//!
//! The entry lies in this process, in `Running` from the start, so that no getter can claim it. It is settled by a [`Reply`],
//! from bytes.
//!
//! # Rules
//!
//! 1. The result of a call that an executor has taken: the reply goes to the executor with the call.
//! 2. A reference that was decoded: the entry keeps the [`RemoteObject`] that stood in the reference's place, and asks for the
//!    value when the first waiter is linked (a get, a `wait`, an await, a callback, a dependant) or somebody asks whether it is
//!    ready: once, with a reply. With the entry the `RemoteObject` is dropped, which tells the transport that this
//!    process has no reference to it any more.
//! 3. A reply that is dropped fails the object: no wait may last for ever.

use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::mem::{MaybeUninit, needs_drop, offset_of};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::de::DeserializeOwned;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::TaskId;
use crate::object::encoded::Encoded;
use crate::object::entry;
use crate::object::entry::{Header, Hold, VTable};
use crate::object::kind::{Kind, ValueType};
use crate::object::object_ref::ObjectRef;
use crate::object::state::{Phase, State};

/// An object that another process has or makes, as a transport puts it in the place of a reference that it decodes.
#[doc(hidden)]
pub trait RemoteObject: fmt::Debug + Send + Sync {
    /// The value is wanted, for the first time by the entry that asks. The reply may be sent now or later, on any thread.
    fn ask_for(&self, reply: Reply);

    /// For a transport that finds its own objects again.
    fn as_any(&self) -> &dyn Any;
}

/// What a remote entry has before its value.
#[repr(C)]
struct RemoteHead {
    header: Header,
    /// It is the result of a call, and the entry's number is that of the task.
    is_task: bool,
    /// The name of the task, in the process that runs its body.
    name: OnceLock<Box<str>>,
    /// Until it is asked for. The lock is for the one taker.
    unasked: Mutex<Option<Settle>>,
    source: Option<Arc<dyn RemoteObject>>,
}

#[repr(C)]
struct RemoteEntry<T> {
    head: RemoteHead,
    value: UnsafeCell<MaybeUninit<T>>,
}

impl<T: Send + Sync + 'static> RemoteEntry<T> {
    const TABLE: &'static VTable = &VTable {
        value: offset_of!(Self, value),
        adopted: false,
        holds: ValueType::of::<T>(),
        nested: needs_drop::<T>(),
        kind: Kind::Remote,
        wanted: Some(ask_for),
        drop_value: Self::drop_value,
        free: Self::free,
        task: None,
    };

    /// One ref, and a hold beside the refs' where a promise is made at once.
    fn allocate(epoch: u32, holds: u64, is_task: bool, source: Option<(Arc<dyn RemoteObject>, Settle)>) -> NonNull<Header> {
        let (source, settle) = source.unzip();
        let entry = Self {
            head: RemoteHead {
                header: Header::new(State::new(Phase::Running, 1, holds), Self::TABLE, epoch),
                is_task,
                name: OnceLock::new(),
                unasked: Mutex::new(settle),
                source,
            },
            value: UnsafeCell::new(MaybeUninit::uninit()),
        };
        NonNull::from(Box::leak(Box::new(entry))).cast()
    }

    /// Settles the entry. It is of this type, and the caller's reply is the only one that settles it.
    fn settle(object: Hold, value: Result<T>) {
        match value {
            Ok(value) => {
                let entry = object.into_entry();
                // SAFETY: the entry is of this type, the reply alone writes the value and publishes it, and gives its hold away.
                unsafe {
                    (*entry.cast::<Self>().as_ref().value.get()).write(value);
                    entry::publish(entry, true);
                }
            }
            Err(error) => {
                object.fail(|_| true, error);
            }
        }
    }

    unsafe fn drop_value(entry: NonNull<Header>) {
        // SAFETY: the caller owns the value of an entry that has this table.
        unsafe {
            let value = entry.cast::<Self>().as_ref().value.get();
            crate::base::users_code::quietly(|| (*value).assume_init_drop());
        }
    }

    unsafe fn free(entry: NonNull<Header>) {
        // SAFETY: the last hold of an entry that has this table is gone, and the value with it.
        drop(unsafe { Box::from_raw(entry.cast::<Self>().as_ptr()) });
    }
}

fn head(header: &Header) -> Option<&RemoteHead> {
    // SAFETY: entries of this kind begin with a `RemoteHead`, which begins with the header.
    (header.vtable.kind == Kind::Remote).then(|| unsafe { NonNull::from(header).cast::<RemoteHead>().as_ref() })
}

/// Something waits for the object: its value is asked for, unless it was.
#[cold]
fn ask_for(header: &Header) {
    let Some(head) = head(header) else { return };
    let unasked = head.unasked.lock().take();
    if let (Some(settle), Some(source)) = (unasked, &head.source) {
        // SAFETY: alive by the caller's borrow.
        let hold = unsafe { Hold::new(NonNull::from(header)) };
        source.ask_for(reply(hold, settle));
    }
}

/// The number of the task that makes the object, if it is known to be the result of one.
pub(crate) fn task_of(header: &Header) -> Option<TaskId> {
    head(header).filter(|head| head.is_task).map(|_| TaskId::from_raw(header.id()))
}

/// Names the task, for the context of its body.
pub(crate) fn set_name(header: &Header, name: &str) {
    if let Some(head) = head(header) {
        let _ = head.name.set(name.into());
    }
}

/// The name of the task, in the process that runs its body.
pub(crate) fn name_of(header: &Header) -> Option<&str> {
    head(header)?.name.get().map(|name| &**name)
}

/// The transport's part of a decoded reference.
pub(crate) fn source(header: &Header) -> Option<&Arc<dyn RemoteObject>> {
    head(header)?.source.as_ref()
}

/// A reference to an object of another process.
pub(crate) fn reference<T: DeserializeOwned + Send + Sync + 'static>(object: Arc<dyn RemoteObject>) -> ObjectRef<T> {
    let settle: Settle = |object, value| RemoteEntry::<T>::settle(object, value.and_then(Encoded::decode));
    let entry = RemoteEntry::<T>::allocate(crate::base::epoch::current(), 0, false, Some((object, settle)));
    // SAFETY: a fresh entry of a `T` with one ref.
    unsafe { ObjectRef::adopt(entry) }
}

type Settle = fn(Hold, Result<Encoded>);

fn reply(object: Hold, settle: impl FnOnce(Hold, Result<Encoded>) + Send + 'static) -> Reply {
    Reply::new(move |value| settle(object, value))
}

/// The result of a call that another process runs, and the duty to settle it; `decode` makes the value.
pub(crate) fn result<T: Send + Sync + 'static>(
    epoch: u32,
    decode: impl FnOnce(Encoded) -> Result<T> + Send + 'static,
) -> (ObjectRef<T>, Reply) {
    let entry = RemoteEntry::<T>::allocate(epoch, 1, true, None);
    // SAFETY: a fresh entry of a `T` with one ref and one hold beside the refs'.
    let (object, hold) = unsafe { (ObjectRef::adopt(entry), Hold::adopt(entry)) };
    (object, reply(hold, |object, value| RemoteEntry::<T>::settle(object, value.and_then(decode))))
}

/// The duty to answer: with the bytes of a value or an error, once. One that is dropped answers with an error.
#[doc(hidden)]
#[must_use]
pub struct Reply(Option<Answer>);

type Answer = Box<dyn FnOnce(Result<Encoded>) + Send>;

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply")
    }
}

impl Reply {
    /// The closure is called once.
    pub fn new(answer: impl FnOnce(Result<Encoded>) + Send + 'static) -> Self {
        Self(Some(Box::new(answer)))
    }

    /// Gives the duty up: nothing is answered.
    pub(crate) fn forget(mut self) {
        drop(self.0.take());
    }

    /// Answers.
    pub fn send(mut self, answer: Result<Encoded>) {
        if let Some(reply) = self.0.take() {
            reply(answer);
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if let Some(reply) = self.0.take() {
            let what = "the process that was to answer has ended before it did: submit again, or set max_retries";
            reply(Err(Error::new(ErrorKind::WorkerCrashed, what)));
        }
    }
}
