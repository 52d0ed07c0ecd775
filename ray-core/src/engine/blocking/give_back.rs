//! The CPU that a waiting body lends, and its return.

use crate::engine::returning::{ASKED, HELD, LENT, Return};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::engine::Engine;
use crate::engine::thread_state::ThreadState;

impl Return {
    /// Of the CPU that this thread's body holds, if it holds one.
    pub(super) fn new(state: &ThreadState) -> Option<Arc<Self>> {
        let units = state.cpu.get();
        (units > 0).then(|| Self::of(units))
    }

    /// The thread is about to wait: its CPU is for others. How much it is.
    pub(super) fn lend(&self, state: &ThreadState) -> u64 {
        state.cpu.set(0);
        self.state.store(LENT, Ordering::Release);
        crate::engine::claim::give_cpu(&state.engine, self.units);
        self.units
    }

    /// Enters the claim, if the CPU is lent and nobody has; `true`: there is a claim, whose grant wakes the thread.
    pub(super) fn ask(self: &Arc<Self>, engine: &Engine) -> bool {
        if self.step(LENT, ASKED) {
            {
                let mut claims = engine.claims.lock();
                claims.claim_return(self.units, Arc::clone(self));
                crate::engine::claim::count_claims(engine, &claims);
            }
            crate::engine::claim::serve_claims(engine);
            return true;
        }
        self.state.load(Ordering::Acquire) >= ASKED
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
        crate::engine::queue::give_batch_back(state);
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
