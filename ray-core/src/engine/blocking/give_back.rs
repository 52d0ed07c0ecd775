//! How a waiting body lends its CPU and takes it back. [`returning`](crate::engine::returning) has the states.

use crate::engine::returning::{ASKED, HELD, LENT, Return};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::engine::engine::Engine;
use crate::engine::group_claim;
use crate::engine::thread_state::ThreadState;
use crate::sched::cpu_pool::Lent;

impl Return {
    /// The return of the CPU that this thread's body holds, if it holds one.
    pub(super) fn new(state: &ThreadState) -> Option<Arc<Self>> {
        let units = state.cpu.get();
        (units > 0).then(|| Self::of(units, state.seat.get()))
    }

    /// Gives the CPU of a thread that is about to wait to the pool.
    pub(super) fn lend(&self, state: &ThreadState) {
        state.cpu.set(0);
        self.state.store(LENT, Ordering::Release);
        if !self.seat.is_some_and(|seat| group_claim::give_cpu(&state.engine, seat, self.units)) {
            crate::engine::claim::give_cpu(&state.engine, self.units);
        }
    }

    /// Records that an actor lends what it holds for life of the node's CPUs, until the guard is dropped.
    pub(super) fn lent_for_life<'a>(&self, engine: &'a Engine) -> Option<Lent<'a>> {
        self.seat.is_none().then(|| engine.cpu.lend(self.units))
    }

    /// Enters the claim if the CPU is lent. `true`: a claim exists, and its grant wakes the thread.
    pub(super) fn ask(self: &Arc<Self>, engine: &Engine) -> bool {
        if self.step(LENT, ASKED) {
            if !self.seat.is_some_and(|seat| group_claim::claim_return(engine, seat, self.units, self)) {
                {
                    let mut node = engine.claims.lock();
                    node.claims.claim_return(0, self.units, Arc::clone(self));
                    crate::engine::claim::count_claims(engine, &mut node);
                }
                crate::engine::claim::serve_claims(engine);
            }
            // If all CPUs are held by bodies that block, the monitor thread grants an extra one. It may rest by now: the wait may have
            // ended long before this thread had a processor again.
            crate::engine::queue::notify(engine);
            return true;
        }
        self.state.load(Ordering::Acquire) >= ASKED
    }

    /// Takes the CPU again when the wait is over, ahead of unstarted tasks.
    pub(super) fn take_again(self: &Arc<Self>, state: &ThreadState) {
        let engine = &*state.engine;
        if self.step(LENT, HELD) {
            let of_bundle = self.seat.and_then(|seat| group_claim::take_cpu(engine, seat, self.units));
            if of_bundle.unwrap_or_else(|| !engine.cpu.is_claimed() && engine.cpu.take_ahead(self.units)) {
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
                // The engine has ended: CPUs are not counted any more, and the claim is dropped with the engine.
                break;
            }
            if crate::engine::blocking::park::starved(state) {
                // Tasks that were granted the resources, and that no worker can start, may hold the CPU.
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
        let back = Return::of(units, None);
        back.state.store(LENT, Ordering::Release);
        back.take_again(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Config;
    use crate::base::resources::UNITS;

    /// Bodies hold every CPU when a wait ends, and the monitor thread rests.
    #[test]
    fn a_claim_of_a_lent_cpu_wakes_the_monitor_thread() {
        let engine = Engine::new(u32::MAX, Config::new().num_cpus(1).resolve().unwrap(), None);
        // The first submission starts no monitor thread, the second one does.
        let _ = (engine.monitor.state.wake(), engine.monitor.state.wake());
        engine.monitor.state.announce();
        assert!(engine.cpu.take(UNITS));
        let back = Return::of(UNITS, None);
        back.state.store(LENT, Ordering::Release);
        assert!(back.ask(&engine) && !back.is_granted());
        assert!(engine.cpu.is_claimed() && !engine.monitor.state.is_resting());
        engine.monitor.close();
    }
}
