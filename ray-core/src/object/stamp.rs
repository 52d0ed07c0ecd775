//! Stamps record the order in which objects were settled, for a few instructions and without a shared counter.
//!
//! A stamp is the coarse time in units of 1/65,536 microsecond. It is always later than the last stamp of the same thread, so
//! objects that one thread settles are in order. Objects that two threads settle are in order if the coarse clock has advanced
//! between them; see [`clock`] for how often it advances.

use std::cell::Cell;

use crate::base::clock;

/// The number of units in a microsecond, as a power of two. While the clock stands still, a thread's stamps count up by one unit.
const UNITS: u32 = 16;

/// The stamps of a thread.
struct Stamps {
    last: Cell<u64>,
    /// The stored time when this thread last read it; [`NEVER`] while no time is stored, so that the clock is read each time.
    seen: Cell<u64>,
}

/// No stored time has this value.
const NEVER: u64 = u64::MAX;

thread_local! {
    static STAMPS: Stamps = const { Stamps { last: Cell::new(0), seen: Cell::new(NEVER) } };
}

/// A stamp for now. It is greater than every earlier stamp of this thread.
#[inline]
pub(crate) fn next() -> u64 {
    STAMPS.with(|stamps| {
        if clock::kept() != stamps.seen.get() {
            return catch_up();
        }
        let stamp = stamps.last.get() + 1;
        stamps.last.set(stamp);
        stamp
    })
}

/// As [`next`], for an object that is settled from the start: while no time is stored, the system is not asked for it, and the
/// stamp may be too early compared with those of other threads.
#[inline]
pub(crate) fn next_if_kept() -> u64 {
    STAMPS.with(|stamps| {
        let stamp = (stamps.last.get() + 1).max(clock::kept() << UNITS);
        stamps.last.set(stamp);
        stamp
    })
}

#[cold]
#[inline(never)]
fn catch_up() -> u64 {
    STAMPS.with(|stamps| {
        let kept = clock::kept();
        stamps.seen.set(if kept == clock::ASLEEP { NEVER } else { kept });
        let stamp = (stamps.last.get() + 1).max(clock::coarse() << UNITS);
        stamps.last.set(stamp);
        stamp
    })
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn stamps_of_a_thread_grow() {
        let stamps: Vec<_> = (0..1000).map(|_| next()).collect();
        assert!(stamps.is_sorted_by(|one, next| one < next));
    }

    #[test]
    fn stamps_follow_the_clock() {
        let before = next();
        let mut late = crate::base::clock::exact();
        while late << UNITS <= before {
            late = crate::base::clock::exact();
        }
        // No monitor thread stores the time in this process, unless another test has started an engine.
        std::thread::spawn(move || {
            while crate::base::clock::coarse() < late {
                std::thread::yield_now();
            }
            assert!(next() > before, "a later stamp of another thread");
        })
        .join()
        .unwrap();
    }
}
