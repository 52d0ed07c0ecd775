//! The return of a CPU that a waiting body has lent.
//!
//! # States
//!
//! ```text
//! Held ──► Lent ──► Asked ──► Granted
//!  ▲        │         │          │
//!  └────────┴─────────┴──────────┘
//! ```
//!
//! * `Held`: the body has its CPU.
//! * `Lent`: the body waits, and its CPU is in the pool.
//! * `Asked`: a claim for the CPU has been entered, ahead of all unstarted tasks.
//! * `Granted`: the claim was served, and the CPU belongs to the body again.
//!
//! # Rules
//!
//! 1. The thread that settles the awaited object enters the claim at once. Otherwise it would take new work with that CPU before
//!    the waiting thread is awake. If something else ended the wait, the waiting thread enters the claim.
//! 2. A compare-and-swap leaves `Lent`, so there is one claim at most.
//! 3. If a CPU is free when the wait ends, the waiting thread takes it without a claim, from `Lent` to `Held`.
//! 4. From `Granted` the waiting thread steps to `Held`; from `Asked` only if the engine has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::Thread;

use crate::base::id::PlacementGroupId;

pub(super) const HELD: u8 = 0;
pub(super) const LENT: u8 = 1;
pub(super) const ASKED: u8 = 2;
pub(super) const GRANTED: u8 = 3;

/// The bundle of a placement group whose CPU a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seat {
    pub(crate) group: PlacementGroupId,
    /// The number of the bundle.
    pub(crate) place: usize,
}

/// The return of one body's CPU.
#[derive(Debug)]
pub(crate) struct Return {
    pub(super) thread: Thread,
    pub(super) units: u64,
    /// The bundle that the CPU belongs to; none: it is the node's.
    pub(super) seat: Option<Seat>,
    pub(super) state: AtomicU8,
}

impl Return {
    pub(super) fn of(units: u64, seat: Option<Seat>) -> Arc<Self> {
        Arc::new(Self { thread: std::thread::current(), units, seat, state: AtomicU8::new(HELD) })
    }

    pub(super) fn step(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Called when the claim is served.
    pub(crate) fn grant(&self) {
        self.state.store(GRANTED, Ordering::Release);
        self.thread.unpark();
    }

    pub(super) fn is_granted(&self) -> bool {
        self.state.load(Ordering::Acquire) == GRANTED
    }
}
