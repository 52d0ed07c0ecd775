//! The entry of one part of a returned tuple (`num_returns`). It holds the entry of the whole tuple.

use std::cell::UnsafeCell;
use std::mem::{MaybeUninit, needs_drop, offset_of};
use std::ptr::NonNull;

use crate::object::entry::{Header, Hold, VTable};
use crate::object::kind::{Kind, ValueType};

/// A part's entry.
#[repr(C)]
pub(super) struct Part<T> {
    pub(super) header: Header,
    pub(super) whole: Hold,
    pub(super) value: UnsafeCell<MaybeUninit<T>>,
}

/// The beginning of every part's entry, without the type of the value.
#[repr(C)]
struct PartHead {
    header: Header,
    whole: Hold,
}

/// The entry of the task that returns the tuple.
pub(crate) fn producer(part: &Header) -> Option<&Hold> {
    // SAFETY: an entry of this kind is a `Part`, which begins as a `PartHead` does (both are `repr(C)`).
    (part.vtable.kind == Kind::Part).then(|| unsafe { &NonNull::from(part).cast::<PartHead>().as_ref().whole })
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
        // SAFETY: the last hold is gone, so no other thread has the entry; `Promise::new` has boxed it as a `Part<T>`.
        drop(unsafe { Box::from_raw(entry.cast::<Self>().as_ptr()) });
    }
}
