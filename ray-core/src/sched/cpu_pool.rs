//! The pool of the node's CPUs, which threads lease.
//!
//! A worker thread takes a lease of one CPU, keeps it from task to task, and gives it back when it finds no more work or blocks.
//! The count is one atomic, so the common case costs one compare-and-exchange. Requests that cannot be served at once (of a
//! getter that wants its CPU back, of a task that asks for more than one CPU or for other resources) are in
//! [`claims`](crate::sched::claims); `claimed` tells a thread that gives a CPU back to serve them.
//!
//! No claim is overlooked: a claimant sets `claimed`, then (after a fence) reads `free`; a thread that gives a CPU back
//! increases `free`, then reads `claimed`, both sequentially consistent. One of the two sees the other's write
//! (`crate::loom::cpu_pool`).

use crate::base::resources::UNITS;
use crate::base::sync::{AtomicI64, AtomicU64, AtomicUsize, Ordering, fence, seq_cst_in_models};
use crate::sched::claims::Term;

/// The pool. All amounts are in units of 1/10,000 CPU.
#[derive(Debug)]
pub(crate) struct CpuPool {
    free: AtomicI64,
    total: u64,
    /// The units that living actors hold. Increased under the lock of the claims only. Never more than `total`, so that an actor that
    /// lends its units during a get can get them back.
    for_life: AtomicU64,
    /// The part of `for_life` that is lent now.
    lent: AtomicU64,
    /// The number of claims that must be served before an unstarted task takes a lease.
    urgent: AtomicUsize,
    /// The number of all claims.
    claimed: AtomicUsize,
}

impl CpuPool {
    pub(crate) fn new(units: u64) -> Self {
        Self {
            free: AtomicI64::new(units.cast_signed()),
            total: units,
            for_life: AtomicU64::new(0),
            lent: AtomicU64::new(0),
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

    /// Takes a lease for a task that has not started. Urgent claims have priority.
    #[inline]
    pub(crate) fn take(&self, units: u64) -> bool {
        self.urgent.load(Ordering::Relaxed) == 0 && self.take_ahead(units)
    }

    /// Whether [`take`](Self::take) of one CPU would succeed now.
    #[inline]
    pub(crate) fn has_one(&self) -> bool {
        self.urgent.load(Ordering::Relaxed) == 0 && self.free.load(Ordering::Relaxed) >= UNITS.cast_signed()
    }

    /// Whether an urgent claim keeps unstarted tasks from free CPUs.
    pub(crate) fn is_withheld(&self) -> bool {
        self.urgent.load(Ordering::SeqCst) != 0
    }

    /// Takes units even if they are not free: the pool may be below zero until they are given back. See `engine::extra_cpu`.
    pub(crate) fn overdraw(&self, units: u64) {
        self.free.fetch_sub(units.cast_signed(), Ordering::SeqCst);
    }

    /// Takes a lease even if there are urgent claims.
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

    /// Takes the units of a claim. The caller holds the lock of the claims.
    pub(crate) fn take_for(&self, units: u64, term: Term) -> bool {
        match term {
            Term::Body => self.take_ahead(units),
            Term::Life => {
                let granted = self.has_room(units, term) && self.take_ahead(units);
                if granted {
                    self.for_life.fetch_add(units, Ordering::Relaxed);
                }
                granted
            }
        }
    }

    /// Whether so many units can become free when bodies end, while living actors keep theirs. For a body, units that actors lend
    /// now count as free.
    pub(crate) fn has_room(&self, units: u64, term: Term) -> bool {
        let lent = if term == Term::Body { self.lent.load(Ordering::Relaxed) } else { 0 };
        units <= (self.total + lent).saturating_sub(self.for_life.load(Ordering::Relaxed))
    }

    /// Records the death of an actor. The caller gives its units back afterwards.
    pub(crate) fn end_of_life(&self, units: u64) {
        self.for_life.fetch_sub(units, Ordering::Relaxed);
    }

    /// Records that an actor lends the units that it holds for life, until the guard is dropped.
    pub(crate) fn lend(&self, units: u64) -> Lent<'_> {
        self.lent.fetch_add(units, Ordering::Relaxed);
        Lent { pool: self, units }
    }

    /// Gives a lease back; `true`: there are claims to serve.
    #[inline]
    #[must_use]
    pub(crate) fn give(&self, units: u64) -> bool {
        self.free.fetch_add(units.cast_signed(), Ordering::SeqCst);
        seq_cst_in_models();
        self.claimed.load(Ordering::SeqCst) != 0
    }

    /// Whether there are claims.
    #[inline]
    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Relaxed) != 0
    }

    /// Publishes the numbers of claims. The caller holds their lock. The reads of `free` that follow are relaxed, so a fence stands
    /// in between.
    pub(crate) fn set_claims(&self, all: usize, urgent: usize) {
        self.claimed.store(all, Ordering::SeqCst);
        self.urgent.store(urgent, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}

/// The guard of [`CpuPool::lend`].
pub(crate) struct Lent<'a> {
    pool: &'a CpuPool,
    units: u64,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.pool.lent.fetch_sub(self.units, Ordering::Relaxed);
    }
}
