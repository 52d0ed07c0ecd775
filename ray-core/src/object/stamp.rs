//! The order in which objects were settled, at the price of a few instructions and of no shared counter.
//!
//! A stamp is the coarse time in microseconds, in units of 1 / 65,536: later than the last stamp of the same thread in any
//! case, so what one thread settles is in order. Objects that two threads settle are in order if the coarse clock has gone
//! on between them; see [`clock`](crate::base::clock) for how late that is.

use std::cell::Cell;

use crate::base::clock;

/// Units of a microsecond, as a shift. A thread settles fewer objects than this while the clock stands.
const UNITS: u32 = 16;

/// What a thread knows of its stamps.
struct Stamps {
    last: Cell<u64>,
    /// The clock when it was last looked at; [`NEVER`] while nobody keeps it, so that it is looked at each time.
    seen: Cell<u64>,
}

/// No clock shows it.
const NEVER: u64 = u64::MAX;

thread_local! {
    static STAMPS: Stamps = const { Stamps { last: Cell::new(0), seen: Cell::new(NEVER) } };
}

/// A stamp for now: greater than every one that this thread was given before.
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

/// As [`next`], for an object that begins settled: while nobody keeps the clock, the system is not asked for the time, and the
/// stamp may be too early beside those of other threads.
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
        // Nothing keeps the time in this process, unless another test has started an engine.
        std::thread::spawn(move || {
            while crate::base::clock::coarse() < late {
                std::thread::yield_now();
            }
            assert!(next() > before, "another thread, later");
        })
        .join()
        .unwrap();
    }
}
