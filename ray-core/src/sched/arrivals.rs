//! How many are there, and from how many on the owner wants to be woken: two numbers in one word.
//!
//! No wake is lost: an arrival raises the one number and reads the other in one step, the owner sets the other and
//! reads the one in one step. Of two steps on one word one is the first, and the second sees it: either the owner
//! finds that enough are there, or the arrival finds what the owner waits for. Tried by the model checker
//! (`crate::loom::arrivals`).

use crate::base::sync::{AtomicU64, Ordering};

const ONE: u64 = 1 << 32;
/// Nobody waits.
const CALM: u64 = ONE - 1;

#[derive(Debug)]
pub(crate) struct Arrivals(AtomicU64);

#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Arrival {
    /// Its place, from 0.
    pub(crate) place: usize,
    /// The owner is to be woken.
    pub(crate) wakes: bool,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(CALM))
    }

    pub(crate) fn arrive(&self) -> Arrival {
        let before = self.0.fetch_add(ONE, Ordering::AcqRel);
        let place = before / ONE;
        Arrival { place: place as usize, wakes: place + 1 >= before % ONE && before % ONE != CALM }
    }

    pub(crate) fn count(&self) -> usize {
        (self.0.load(Ordering::Acquire) / ONE) as usize
    }

    /// From `need` on arrivals wake; `false`: so many are there.
    pub(crate) fn alert(&self, need: usize) -> bool {
        self.set(need as u64) < need as u64
    }

    /// None wakes any more.
    pub(crate) fn calm(&self) {
        self.set(CALM);
    }

    fn set(&self, alert_at: u64) -> u64 {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let next = now - now % ONE + alert_at.min(CALM);
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return now / ONE,
                Err(seen) => now = seen,
            }
        }
    }
}
