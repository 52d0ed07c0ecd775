//! The entry of one part of a result: of a returned tuple (`num_returns`), or an item of a stream. It holds the entry of the task.

use std::cell::UnsafeCell;
use std::mem::{MaybeUninit, needs_drop, offset_of};
use std::ptr::NonNull;

use crate::object::block;
use crate::object::entry::{Header, Hold, RemoteTable, VTable};
use crate::object::kind::{Kind, ValueType};

/// A part's entry.
#[repr(C)]
pub(super) struct Part<T> {
    pub(super) header: Header,
    /// The entry of the task; none if another thread settles the part, so that nothing can be run for it.
    pub(super) whole: Option<Hold>,
    pub(super) value: UnsafeCell<MaybeUninit<T>>,
}

/// The beginning of every part's entry, without the type of the value.
#[repr(C)]
struct PartHead {
    header: Header,
    whole: Option<Hold>,
}

/// The entry of the task that makes the part.
pub(crate) fn producer(part: &Header) -> Option<&Hold> {
    if part.vtable.kind != Kind::Part {
        return None;
    }
    // SAFETY: an entry of this kind is a `Part`, which begins as a `PartHead` does (both are `repr(C)`).
    unsafe { NonNull::from(part).cast::<PartHead>().as_ref() }.whole.as_ref()
}

/// A part without a value, whose first waiter (a get, an await, a wait, a dependant) calls `wanted`.
#[repr(C)]
pub(super) struct Watched {
    pub(super) part: Part<()>,
    pub(super) wanted: Box<dyn Fn() + Send + Sync>,
}

impl Watched {
    pub(super) const TABLE: &'static VTable = &VTable {
        value: offset_of!(Part<()>, value),
        adopted: false,
        holds: ValueType::of::<()>(),
        nested: false,
        kind: Kind::Part,
        remote: Some(&RemoteTable { want: Self::want, readiness: |_| None, stamp: |_| None }),
        drop_value: |_| {},
        free: Self::free,
        task: None,
    };

    fn want(header: &Header) {
        // SAFETY: only entries that were boxed as a `Watched` have this table.
        (unsafe { NonNull::from(header).cast::<Self>().as_ref() }.wanted)();
    }

    unsafe fn free(entry: NonNull<Header>) {
        // SAFETY: the last hold is gone, so no other thread has the entry; `Promise::watched` has boxed it with this type.
        drop(unsafe { Box::from_raw(entry.cast::<Self>().as_ptr()) });
    }
}

impl<T: Send + Sync + 'static> Part<T> {
    pub(super) const TABLE: &'static VTable = &VTable {
        value: offset_of!(Self, value),
        adopted: false,
        holds: ValueType::of::<T>(),
        nested: needs_drop::<T>(),
        kind: Kind::Part,
        remote: None,
        drop_value: Self::drop_value,
        free: Self::free,
        task: None,
    };

    unsafe fn drop_value(entry: NonNull<Header>) {
        // SAFETY: the caller of `drop_value` owns the value of a ready entry, and calls it once; the table belongs to `Part<T>`.
        unsafe {
            let value = entry.cast::<Self>().as_ref().value.get();
            crate::base::users_code::quietly(|| (*value).assume_init_drop());
        }
    }

    unsafe fn free(entry: NonNull<Header>) {
        // SAFETY: the last hold is gone, so no other thread has the entry; `parts` has placed it as a `Part<T>`.
        unsafe { block::remove(entry.cast::<Self>()) };
    }
}
