//! One of several returns: an entry that knows the entry of the whole.

use std::cell::UnsafeCell;
use std::mem::{MaybeUninit, needs_drop, offset_of};
use std::ptr::NonNull;

use crate::object::entry::{Header, Hold, Kind, VTable, ValueType};

/// A part's entry.
#[repr(C)]
pub(super) struct Part<T> {
    pub(super) header: Header,
    pub(super) whole: Hold,
    pub(super) value: UnsafeCell<MaybeUninit<T>>,
}

/// The start of every part's entry.
#[repr(C)]
struct PartHead {
    header: Header,
    whole: Hold,
}

/// The task that makes a part.
pub(crate) fn producer(part: &Header) -> Option<&Hold> {
    // SAFETY: the kind says that a PartHead starts with this header.
    (part.vtable.kind == Kind::Part).then(|| unsafe { &NonNull::from(part).cast::<PartHead>().as_ref().whole })
}

impl<T: Send + Sync + 'static> Part<T> {
    pub(super) const TABLE: &'static VTable = &VTable {
        value: offset_of!(Self, value),
        adopted: false,
        holds: ValueType::of::<T>(),
        nested: needs_drop::<T>(),
        kind: Kind::Part,
        drop_value: Self::drop_value,
        free: Self::free,
        task: None,
    };

    unsafe fn drop_value(entry: NonNull<Header>) {
        // SAFETY: the caller owns the value.
        unsafe {
            let value = entry.cast::<Self>().as_ref().value.get();
            crate::base::users_code::quietly(|| (*value).assume_init_drop());
        }
    }

    unsafe fn free(entry: NonNull<Header>) {
        // SAFETY: the last hold is gone, and the value with it.
        drop(unsafe { Box::from_raw(entry.cast::<Self>().as_ptr()) });
    }
}
