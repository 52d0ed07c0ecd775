//! Atomics of the protocols that are model-checked: loom's under `--cfg loom`, the standard library's otherwise.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering};

/// One turn of a bounded spin; every eighth gives the processor away, since the holder may have lost its own.
#[inline]
pub(crate) fn spin(turn: &mut u32) {
    *turn = turn.wrapping_add(1);
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    if (*turn).is_multiple_of(8) {
        std::thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}
