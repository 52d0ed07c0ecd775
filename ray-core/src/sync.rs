//! Atomics and locks of the protocols that are model-checked: loom's under `--cfg loom`, the standard library's otherwise.

#[cfg(loom)]
pub(crate) use ::loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering, fence};
#[cfg(loom)]
pub(crate) use ::loom::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Asks for a cache line that will be needed soon; a hint, harmless for any address.
#[inline]
pub(crate) fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults, whatever the address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// One turn of a bounded spin; every eighth gives the processor away, since the holder may have lost its own.
#[inline]
pub(crate) fn spin(turn: &mut u32) {
    *turn = turn.wrapping_add(1);
    #[cfg(loom)]
    ::loom::thread::yield_now();
    #[cfg(not(loom))]
    if (*turn).is_multiple_of(8) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}
