//! The CPU that a waiting body lends, and its return.
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

use crate::engine::engine::Engine;
use crate::engine::thread::ThreadState;

const HELD: u8 = 0;
const LENT: u8 = 1;
const ASKED: u8 = 2;
const GRANTED: u8 = 3;

/// The return of one body's CPU.
#[derive(Debug)]
pub(crate) struct Return {
    thread: Thread,
    units: u64,
    state: AtomicU8,
}

impl Return {
    /// Of the CPU that this thread's body holds, if it holds one.
    pub(super) fn new(state: &ThreadState) -> Option<Arc<Self>> {
        let units = state.cpu.get();
        (units > 0).then(|| Self::of(units))
    }

    fn of(units: u64) -> Arc<Self> {
        Arc::new(Self { thread: std::thread::current(), units, state: AtomicU8::new(HELD) })
    }

    fn step(&self, from: u8, to: u8) -> bool {
        self.state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The thread is about to wait: its CPU is for others. How much it is.
    pub(super) fn lend(&self, state: &ThreadState) -> u64 {
        state.cpu.set(0);
        self.state.store(LENT, Ordering::Release);
        state.engine.give_cpu(self.units);
        self.units
    }

    /// Enters the claim, if the CPU is lent and nobody has; `true`: there is a claim, whose grant wakes the thread.
    pub(super) fn ask(self: &Arc<Self>, engine: &Engine) -> bool {
        if self.step(LENT, ASKED) {
            {
                let mut claims = engine.claims.lock();
                claims.claim_return(self.units, Arc::clone(self));
                engine.count_claims(&claims);
            }
            engine.serve_claims();
            return true;
        }
        self.state.load(Ordering::Acquire) >= ASKED
    }

    /// The claim is served.
    pub(crate) fn grant(&self) {
        self.state.store(GRANTED, Ordering::Release);
        self.thread.unpark();
    }

    fn is_granted(&self) -> bool {
        self.state.load(Ordering::Acquire) == GRANTED
    }

    /// The wait is over: takes the CPU again, ahead of unstarted tasks.
    pub(super) fn take_again(self: &Arc<Self>, state: &ThreadState) {
        let engine = &*state.engine;
        if self.step(LENT, HELD) {
            if !engine.cpu.is_claimed() && engine.cpu.take_ahead(self.units) {
                state.cpu.set(self.units);
                return;
            }
            self.state.store(LENT, Ordering::Release);
        }
        if !self.is_granted() {
            self.wait(state);
        }
        self.state.store(HELD, Ordering::Release);
        state.cpu.set(self.units);
    }

    fn wait(self: &Arc<Self>, state: &ThreadState) {
        let engine = &*state.engine;
        state.give_batch_back();
        let blocked = state.block();
        self.ask(engine);
        while !self.is_granted() {
            if !engine.is_live() {
                // Nobody counts CPUs any more, and the claim goes with the engine.
                break;
            }
            if crate::engine::blocking::park::starved(state) {
                // What this thread wants may be held by work that was granted it, and that nobody is left to start.
                crate::engine::claim::take_grants_back(engine);
                if self.is_granted() {
                    break;
                }
            }
            std::thread::park_timeout(crate::engine::blocking::park::park_cap());
        }
        drop(blocked);
    }
}

/// Takes CPU units for this thread's body, ahead of unstarted tasks.
pub(super) fn take_again(state: &ThreadState, units: u64) {
    if units > 0 {
        let back = Return::of(units);
        back.state.store(LENT, Ordering::Release);
        back.take_again(state);
    }
}
