//! The time at the price of one load, for code that runs in every call.
//!
//! The monitor thread stores the time at each of its looks. While it looks more rarely than once a millisecond it stores
//! [`ASLEEP`] instead, and readers ask the system; a call that is submitted wakes the monitor thread, so calls in a row do not
//! pay for that.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Nobody keeps the time.
pub(crate) const ASLEEP: u64 = 0;

static NOW: AtomicU64 = AtomicU64::new(ASLEEP);
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Microseconds since the process first asked, at least 1. Behind the true time by as much as the monitor thread is late,
/// ordinarily by a millisecond at most.
#[inline]
pub(crate) fn coarse() -> u64 {
    match NOW.load(Ordering::Relaxed) {
        ASLEEP => exact(),
        now => now,
    }
}

/// The time as it is kept, or [`ASLEEP`].
#[inline]
pub(crate) fn kept() -> u64 {
    NOW.load(Ordering::Relaxed)
}

/// Microseconds since the process first asked, at least 1.
#[cold]
pub(crate) fn exact() -> u64 {
    u64::try_from(BEGAN.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_add(1)
}

/// Nanoseconds since the process first asked.
pub(crate) fn nanoseconds() -> u64 {
    u64::try_from(BEGAN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// By a thread that has asked the system anyway: it is so late now. While the monitor thread does not keep the time, nobody
/// would move it on from there.
pub(crate) fn advance(now: u64) {
    if NOW.load(Ordering::Relaxed) != ASLEEP {
        keep(now);
    }
}

/// By the monitor thread: it is so late now.
pub(crate) fn keep(now: u64) {
    NOW.store(now, Ordering::Relaxed);
}

/// By the monitor thread: it will not look again for more than a millisecond.
pub(crate) fn sleep() {
    NOW.store(ASLEEP, Ordering::Relaxed);
}
