//! A coarse clock that costs one load, for code that runs in every call.
//!
//! The monitor thread stores the time at each of its looks. While it looks less often than once a millisecond it stores
//! [`ASLEEP`] instead, and readers ask the system. A submitted call wakes the monitor thread, so a sequence of calls does not
//! pay for that.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The monitor thread does not update the clock.
pub(crate) const ASLEEP: u64 = 0;

static NOW: AtomicU64 = AtomicU64::new(ASLEEP);
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Microseconds since the first use of the clock, at least 1. It is behind [`exact`] by as much as the monitor thread is late,
/// usually by at most a millisecond.
#[inline]
pub(crate) fn coarse() -> u64 {
    match NOW.load(Ordering::Relaxed) {
        ASLEEP => exact(),
        now => now,
    }
}

/// The stored time, or [`ASLEEP`].
#[inline]
pub(crate) fn kept() -> u64 {
    NOW.load(Ordering::Relaxed)
}

/// Microseconds since the first use of the clock, at least 1, from the system.
#[cold]
pub(crate) fn exact() -> u64 {
    u64::try_from(BEGAN.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_add(1)
}

/// Nanoseconds since the process first asked.
pub(crate) fn nanoseconds() -> u64 {
    u64::try_from(BEGAN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Stores the time of a thread that has asked the system anyway. Does nothing while the monitor thread is asleep: the stored time
/// would stand still.
pub(crate) fn advance(now: u64) {
    if NOW.load(Ordering::Relaxed) != ASLEEP {
        keep(now);
    }
}

/// Stores the time; called by the monitor thread.
pub(crate) fn keep(now: u64) {
    NOW.store(now, Ordering::Relaxed);
}

/// Stores [`ASLEEP`]; called by the monitor thread before it sleeps for more than a millisecond.
pub(crate) fn sleep() {
    NOW.store(ASLEEP, Ordering::Relaxed);
}
