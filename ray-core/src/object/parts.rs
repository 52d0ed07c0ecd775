//! The parts of a returned tuple (`num_returns`), as objects of their own.
//!
//! The task returns the whole tuple, as any other value; each part is an entry in `Running` that is settled when the whole is. A
//! part holds the entry of the whole, so that a getter can run the task and a canceller finds it.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;

use crate::base::error::Error;
use crate::object::block;
use crate::object::entry;
use crate::object::entry::{Header, Hold};
use crate::object::object_ref::ObjectRef;
use crate::object::part::{Part, Watched};
use crate::object::state::{Phase, State};
use crate::object::waiter::Waiter;

/// A part that is not settled. Its owner must call [`fulfil`](Self::fulfil) or [`fail`](Self::fail).
pub(crate) struct Promise<T> {
    part: Hold,
    of: std::marker::PhantomData<fn(T)>,
}

impl<T: Send + Sync + 'static> Promise<T> {
    pub(crate) fn new<W>(whole: &ObjectRef<W>) -> Self {
        Self::of(Some(whole.hold()), whole.header().epoch)
    }

    /// A promise that the task `whole` settles, or another thread.
    pub(crate) fn of(whole: Option<Hold>, epoch: u32) -> Self {
        // The ref is for `object`; the hold, in addition to the common one of the refs, is for the promise.
        let part = Part::<T> {
            header: Header::new(State::new(Phase::Running, 1, 1), Part::<T>::TABLE, epoch),
            whole,
            value: UnsafeCell::new(MaybeUninit::uninit()),
        };
        // SAFETY: the state above counts this hold, which belongs to the promise.
        let part = unsafe { Hold::adopt(block::place(part).cast()) };
        Self { part, of: std::marker::PhantomData }
    }

    /// The reference to the part; called once.
    pub(crate) fn object(&self) -> ObjectRef<T> {
        // SAFETY: the state counts one ref since the promise was made, and this is called once.
        unsafe { ObjectRef::adopt(self.part.entry()) }
    }

    pub(crate) fn fulfil(self, value: T) {
        // SAFETY: only the promise writes the value, once, since this takes it by value; `of` made the entry as a `Part<T>`, in
        // `Running`. The promise's hold goes to `publish`.
        unsafe {
            let entry = self.part.into_entry();
            (*entry.cast::<Part<T>>().as_ref().value.get()).write(value);
            entry::publish(entry, true);
        }
    }
}

impl<T> Promise<T> {
    pub(crate) fn fail(self, error: Error) {
        self.part.fail(|_| true, error);
    }

    /// As [`fail`](Self::fail), for a failure that nobody need read: it is not logged.
    pub(crate) fn fail_quietly(self, error: Error) {
        self.part.state.set_seen();
        self.fail(error);
    }
}

impl Promise<()> {
    /// A promise whose object calls `wanted` when it gets its first waiter.
    pub(crate) fn watched(whole: Option<Hold>, epoch: u32, wanted: Box<dyn Fn() + Send + Sync>) -> Self {
        let header = Header::new(State::new(Phase::Running, 1, 1), Watched::TABLE, epoch);
        let entry = Watched { part: Part { header, whole, value: UnsafeCell::new(MaybeUninit::uninit()) }, wanted };
        // SAFETY: the state above counts this hold, which belongs to the promise. A `Watched` begins with a `Part<()>`.
        let part = unsafe { Hold::adopt(NonNull::from(Box::leak(Box::new(entry))).cast()) };
        Self { part, of: std::marker::PhantomData }
    }
}

/// A part that has its value from the start.
#[inline]
pub(crate) fn settled<T: Send + Sync + 'static>(value: T, whole: Option<Hold>, epoch: u32, stamp: u64) -> ObjectRef<T> {
    let part = Part::<T> {
        header: Header::new(State::new(Phase::Ready, 1, 0), Part::<T>::TABLE, epoch),
        whole,
        value: UnsafeCell::new(MaybeUninit::new(value)),
    };
    part.header.set_stamp(stamp);
    // SAFETY: the state above counts the ref that the reference takes over; the value is a `T`.
    unsafe { ObjectRef::adopt(block::place(part).cast()) }
}

/// A waiter of the whole that settles the parts.
#[repr(C)]
struct Splitter<W, P> {
    waiter: Waiter,
    whole: ObjectRef<W>,
    promises: P,
    settle: fn(Result<W, Error>, P),
}

/// Settles the parts when the whole is settled. Takes the only reference to the whole.
pub(crate) fn split<W: 'static, P: 'static>(whole: ObjectRef<W>, promises: P, settle: fn(Result<W, Error>, P)) {
    let entry = whole.entry();
    let splitter = Box::into_raw(Box::new(Splitter { waiter: Waiter::new(fire::<W, P>), whole, promises, settle }));
    // SAFETY: the splitter owns the reference that keeps the entry alive, and is freed only when it is fired.
    let settled = unsafe { entry.as_ref().link(splitter.cast()) }.err();
    if let Some(phase) = settled {
        // SAFETY: the splitter was not linked, so this thread still owns it, and fires it in the place of the settling thread.
        unsafe { fire::<W, P>(splitter.cast(), phase == Phase::Failed) };
    }
}

unsafe fn fire<W: 'static, P: 'static>(node: *mut Waiter, failed: bool) {
    // SAFETY: the node is the first field of a splitter that `split` has boxed with these types; it is fired once.
    let Splitter { whole, promises, settle, .. } = *unsafe { Box::from_raw(node.cast::<Splitter<W, P>>()) };
    if failed {
        settle(Err(whole.seen_error()), promises);
    } else if let Ok(values) = whole.take_sole() {
        settle(Ok(values), promises);
    }
}
