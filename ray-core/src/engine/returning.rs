//! The return of a CPU that a waiting body has lent.
//!
//! # States
//!
//! ```text
//! Held ──► Lent ──► Asked ──► Granted
//!  ▲        │
//!  └────────┘
//! ```
//!
//! * `Held`: the body has its CPU.
//! * `Lent`: the body waits, and its CPU is in the pool.
//! * `Asked`: a claim for it stands before all unstarted tasks. The thread that settles what is awaited enters the claim, at
//!   once: it would otherwise take fresh work with that CPU before the waiting thread is awake. The waiting thread enters it
//!   where something else ended its wait.
//! * `Granted`: the CPU is the body's again.
//!
//! `Lent` is left by one compare-and-swap, so there is one claim at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::Thread;

pub(super) const HELD: u8 = 0;
pub(super) const LENT: u8 = 1;
pub(super) const ASKED: u8 = 2;
pub(super) const GRANTED: u8 = 3;

/// The return of one body's CPU.
#[derive(Debug)]
pub(crate) struct Return {
    pub(super) thread: Thread,
    pub(super) units: u64,
    pub(super) state: AtomicU8,
}

impl Return {
    pub(super) fn of(units: u64) -> Arc<Self> {
        Arc::new(Self { thread: std::thread::current(), units, state: AtomicU8::new(HELD) })
    }

    pub(super) fn step(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The claim is served.
    pub(crate) fn grant(&self) {
        self.state.store(GRANTED, Ordering::Release);
        self.thread.unpark();
    }

    pub(super) fn is_granted(&self) -> bool {
        self.state.load(Ordering::Acquire) == GRANTED
    }
}
