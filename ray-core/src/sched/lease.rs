//! The node's CPU, leased to threads.
//!
//! A worker takes a lease of one CPU, keeps it from task to task while there are any, and gives it back when it runs
//! dry or blocks. The count is one atomic, so that the common case costs one exchange; whoever cannot be served at
//! once (a getter that comes back, a task that asks for more than one CPU or for other resources) stands in
//! [`claims`](crate::sched::claims), and `claimed` sends those who give CPU back there first.
//!
//! Why no claim is overlooked: a claimant raises `claimed`, then (after a fence) looks at `free`; a thread that gives CPU
//! back raises `free`, then looks at `claimed`, both sequentially consistent. One of them sees the other
//! (`crate::loom::lease`).

use crate::base::resources::UNITS;
use crate::base::sync::{AtomicI64, AtomicU64, AtomicUsize, Ordering, fence, seq_cst_in_models};
use crate::sched::claims::Term;

/// The pool.
#[derive(Debug)]
pub(crate) struct CpuPool {
    free: AtomicI64,
    total: u64,
    /// What actors hold for life; written under the lock of the claims where it grows. Never more than there is, so that
    /// whoever lends some of it, in a get, has it again.
    for_life: AtomicU64,
    /// Of that, what they lend now.
    lent: AtomicU64,
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

    /// A claim keeps what is free from unstarted tasks.
    pub(crate) fn is_withheld(&self) -> bool {
        self.urgent.load(Ordering::SeqCst) != 0
    }

    /// Takes units, be they there or not: the pool may be below zero until they are given back. See `engine::extra_cpu`.
    pub(crate) fn overdraw(&self, units: u64) {
        self.free.fetch_sub(units.cast_signed(), Ordering::SeqCst);
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

    /// What a claim asks for, ahead of everybody; for claims, under their lock.
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

    /// Whether so many can be had once bodies end: actors leave them, those that lend something now included if it is for a body.
    pub(crate) fn has_room(&self, units: u64, term: Term) -> bool {
        let lent = if term == Term::Body { self.lent.load(Ordering::Relaxed) } else { 0 };
        units <= (self.total + lent).saturating_sub(self.for_life.load(Ordering::Relaxed))
    }

    /// An actor has died; what it held is to be given back after this.
    pub(crate) fn end_of_life(&self, units: u64) {
        self.for_life.fetch_sub(units, Ordering::Relaxed);
    }

    /// An actor that lends what it holds for life, until this is dropped.
    pub(crate) fn lend(&self, units: u64) -> Lent<'_> {
        self.lent.fetch_add(units, Ordering::Relaxed);
        Lent { pool: self, units }
    }

    /// Gives a lease back; `true`: there are claims to be served.
    #[inline]
    #[must_use]
    pub(crate) fn give(&self, units: u64) -> bool {
        self.free.fetch_add(units.cast_signed(), Ordering::SeqCst);
        seq_cst_in_models();
        self.claimed.load(Ordering::SeqCst) != 0
    }

    /// Whether somebody stands in claims.
    #[inline]
    pub(crate) fn is_claimed(&self) -> bool {
        self.claimed.load(Ordering::Relaxed) != 0
    }

    /// Lets everybody see how many claims there are; under their lock. The looks at `free` that follow are relaxed, which is
    /// why a fence stands between.
    pub(crate) fn set_claims(&self, all: usize, urgent: usize) {
        self.claimed.store(all, Ordering::SeqCst);
        self.urgent.store(urgent, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}

/// See [`CpuPool::lend`].
pub(crate) struct Lent<'a> {
    pool: &'a CpuPool,
    units: u64,
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.pool.lent.fetch_sub(self.units, Ordering::Relaxed);
    }
}
