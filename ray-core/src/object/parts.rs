//! Several returns: a tuple's parts as objects of their own.
//!
//! The task makes the tuple, as ever; each part is an entry in `Running` that is settled when the tuple is. A part
//! knows the entry of the whole, so that a getter can run the task and a canceller finds it.

use crate::object::part::Part;
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::base::error::Error;
use crate::object::entry;
use crate::object::entry::{Header, Hold};
use crate::object::object_ref::ObjectRef;
use crate::object::state::{Phase, State};
use crate::object::waiter::Waiter;

/// The duty to settle a part.
pub(crate) struct Promise<T> {
    part: Hold,
    of: std::marker::PhantomData<fn(T)>,
}

impl<T: Send + Sync + 'static> Promise<T> {
    pub(crate) fn new<W>(whole: &ObjectRef<W>) -> Self {
        // SAFETY: alive by the reference.
        let hold = unsafe { Hold::new(whole.entry()) };
        // The first ref is for `object`, the hold beside the refs' is the promise's.
        let part = Part::<T> {
            header: Header::new(State::new(Phase::Running, 1, 1), Part::<T>::TABLE, whole.header().epoch),
            whole: hold,
            value: UnsafeCell::new(MaybeUninit::uninit()),
        };
        // SAFETY: the hold counted above.
        let part = unsafe { Hold::adopt(NonNull::from(Box::leak(Box::new(part))).cast()) };
        Self { part, of: std::marker::PhantomData }
    }

    /// The reference to the part; called once.
    pub(crate) fn object(&self) -> ObjectRef<T> {
        // SAFETY: the ref counted in `new`.
        unsafe { ObjectRef::adopt(self.part.entry()) }
    }

    pub(crate) fn fulfil(self, value: T) {
        // SAFETY: the promise alone writes the value, of the type that the part was made for, and owns a hold.
        unsafe {
            let entry = self.part.into_entry();
            (*entry.cast::<Part<T>>().as_ref().value.get()).write(value);
            entry::publish(entry, true);
        }
    }

    pub(crate) fn fail(self, error: Error) {
        self.part.fail(|_| true, error);
    }
}

/// Waits for the whole, to settle the parts.
#[repr(C)]
struct Splitter<W, P> {
    waiter: Waiter,
    whole: ObjectRef<W>,
    promises: P,
    settle: fn(Result<W, Error>, P),
}

/// Has the parts settled when the whole is. Takes the only reference to the whole.
pub(crate) fn split<W: 'static, P: 'static>(whole: ObjectRef<W>, promises: P, settle: fn(Result<W, Error>, P)) {
    let entry = whole.entry();
    let splitter = Box::into_raw(Box::new(Splitter { waiter: Waiter::new(fire::<W, P>), whole, promises, settle }));
    // SAFETY: the splitter has a ref, and is freed by whoever fires it.
    let settled = unsafe { entry.as_ref().link(splitter.cast()) }.err();
    if let Some(phase) = settled {
        // SAFETY: not linked, so still ours.
        unsafe { fire::<W, P>(splitter.cast(), phase == Phase::Failed) };
    }
}

unsafe fn fire<W: 'static, P: 'static>(node: *mut Waiter, failed: bool) {
    // SAFETY: made by `split`, fired once.
    let Splitter { whole, promises, settle, .. } = *unsafe { Box::from_raw(node.cast::<Splitter<W, P>>()) };
    if failed {
        settle(Err(whole.seen_error()), promises);
    } else if let Ok(values) = whole.take_sole() {
        settle(Ok(values), promises);
    }
}
