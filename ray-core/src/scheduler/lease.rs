//! The node's CPU, leased to threads.
//!
//! A worker takes a lease of one CPU, keeps it from task to task while there are any, and gives it back when it runs
//! dry or blocks. The count is one atomic, so that the common case costs one exchange; whoever cannot be served at
//! once (a getter that comes back, a task that asks for more than one CPU or for other resources) stands in
//! [`claims`](super::claims), and `claimed` sends those who give CPU back there first.
//!
//! Why no claim is overlooked: a claimant raises `claimed`, then looks at `free`; a giver raises `free`, then looks at
//! `claimed`; both sequentially consistent, so one of them sees the other.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use crate::resources::UNITS;

/// The pool.
#[derive(Debug)]
pub(crate) struct CpuPool {
    free: AtomicI64,
    total: u64,
    /// Claims that must be served before an unstarted task takes a lease.
    urgent: AtomicUsize,
    /// All claims.
    claimed: AtomicUsize,
}

impl CpuPool {
    pub(crate) fn new(units: u64) -> Self {
        Self {
            free: AtomicI64::new(units.cast_signed()),
            total: units,
            urgent: AtomicUsize::new(0),
            claimed: AtomicUsize::new(0),
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn free(&self) -> u64 {
        self.free.load(Ordering::Relaxed).max(0).cast_unsigned()
    }

    /// A lease for a task that has not started: waits behind urgent claims.
    #[inline]
    pub(crate) fn take(&self, units: u64) -> bool {
        self.urgent.load(Ordering::Relaxed) == 0 && self.take_ahead(units)
    }

    /// One CPU could be taken now.
    #[inline]
    pub(crate) fn has_one(&self) -> bool {
        self.urgent.load(Ordering::Relaxed) == 0 && self.free.load(Ordering::Relaxed) >= UNITS.cast_signed()
    }

    /// A lease ahead of everybody.
    #[inline]
    pub(crate) fn take_ahead(&self, units: u64) -> bool {
        let units = units.cast_signed();
        let mut free = self.free.load(Ordering::Relaxed);
        while free >= units {
            match self.free.compare_exchange_weak(free, free - units, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(seen) => free = seen,
            }
        }
        false
    }

    /// Gives a lease back; `true`: there are claims to be served.
    #[inline]
    #[must_use]
    pub(crate) fn give(&self, units: u64) -> bool {
        self.free.fetch_add(units.cast_signed(), Ordering::SeqCst);
        self.claimed.load(Ordering::SeqCst) != 0
    }

    /// Whether somebody stands in claims.
    #[inline]
    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Relaxed) != 0
    }

    /// Kept by `Claims`, under its lock.
    pub(crate) fn set_claims(&self, all: usize, urgent: usize) {
        self.claimed.store(all, Ordering::SeqCst);
        self.urgent.store(urgent, Ordering::SeqCst);
    }
}
