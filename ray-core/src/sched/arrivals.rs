//! Counts the results of a wait: how many have arrived, and at which count the owner of the wait wants to be woken. Both numbers
//! are in one word.
//!
//! No wake-up is lost: an arrival increments the count and reads the wanted count in one atomic step; the owner sets the wanted
//! count and reads the count in one atomic step. The second of the two steps sees the first: either the owner sees that enough
//! results have arrived, or the arrival sees the wanted count and wakes the owner. The model checker tries it
//! (`crate::loom::arrivals`).

use crate::base::sync::{AtomicU64, Ordering};

const ONE: u64 = 1 << 32;
/// The wanted count while the owner does not wait.
const DISARMED: u64 = ONE - 1;

/// The count of arrivals in the upper half of the word, the wanted count in the lower half.
#[derive(Debug)]
pub(crate) struct Arrivals(AtomicU64);

#[derive(Clone, Copy, Debug)]
#[must_use]
pub(crate) struct Arrival {
    /// How many arrived before this one.
    pub(crate) place: usize,
    /// Whether the caller must wake the owner.
    pub(crate) wakes: bool,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(DISARMED))
    }

    pub(crate) fn arrive(&self) -> Arrival {
        let before = self.0.fetch_add(ONE, Ordering::AcqRel);
        let place = before / ONE;
        Arrival { place: place as usize, wakes: place + 1 >= before % ONE && before % ONE != DISARMED }
    }

    pub(crate) fn count(&self) -> usize {
        (self.0.load(Ordering::Acquire) / ONE) as usize
    }

    /// Asks arrivals to wake the owner from the count `need` on; `false`: so many have arrived already.
    pub(crate) fn arm(&self, need: usize) -> bool {
        self.set(need as u64) < need as u64
    }

    /// Asks arrivals not to wake the owner any more.
    pub(crate) fn disarm(&self) {
        self.set(DISARMED);
    }

    /// Sets the wanted count; returns the count of arrivals.
    fn set(&self, wanted: u64) -> u64 {
        let mut now = self.0.load(Ordering::Relaxed);
        loop {
            let next = now - now % ONE + wanted.min(DISARMED);
            match self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return now / ONE,
                Err(seen) => now = seen,
            }
        }
    }
}
