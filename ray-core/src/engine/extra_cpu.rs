//! The extra CPU: how the engine goes on when bodies block in the operating system and nothing moves.
//!
//! A body may hold a lock over a get, or join threads that call `get`. Then bodies that wait may hold every CPU of the limit while
//! the work that they wait for has no CPU to run on. A program that ends if each task has a thread must end here too, so the
//! monitor thread lets one more body run than there are CPUs.
//!
//! # Rules
//!
//! 1. One extra CPU is granted at a time. It goes to a getter in a body that wants its CPU back, or to an awaited task that has not
//!    begun. If no queued task is known to be awaited (the getter may wait for an `async fn` or an actor's call that needs one of
//!    them), it goes to the oldest queued task. A getter on a thread that runs no body (a driver, or a thread that a body has
//!    started and joins) must have waited for [`OUTSIDE`] first.
//! 2. Running bodies hold every CPU, except those that are kept for a claim of several CPUs. CPUs that an idle actor holds for life
//!    do not count as held by bodies: such a program asks for more than there is.
//! 3. No holder has had any processor time for [`STILL`], so none has computed, submitted, got or settled anything; and the
//!    operating system reports that each holder waits for another thread. A holder that has lost its processor, sleeps for a time,
//!    or does I/O goes on without help. If the system reports nothing, or a holder waits for events without a time-out (an async
//!    runtime inside a body does), the grant waits for [`OUTSIDE`].
//! 4. The CPU is overdrawn: the pool goes below zero, so the next CPU that a body gives back balances it, and no new work starts on
//!    that CPU.
//! 5. A task with an extra CPU needs a thread, too. If every worker blocks, another one is started, also beyond
//!    `Config::max_threads`. If the system refuses that thread, a thread that waits in a get is asked to run the task
//!    (`blocking::last_resort`).
//! 6. What placement groups have reserved, and the threads that hold CPUs of bundles, do not count; [`bundles`] has the extra CPU of a
//!    bundle. [`holders`] is the part that both share.
//! 7. While the holders of the last grant stay still, the next grant does not wait for [`OUTSIDE`] again.

mod bundles;
mod holders;

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::base::resources::UNITS;
use crate::engine::awaited::Getter;
use crate::engine::calls::Offer;
use crate::engine::engine::Engine;
use crate::engine::extra_cpu::holders::{Holders, STILL, Stillness};
use crate::engine::free_job::FreeJob;
use crate::engine::group::PlacementGroupState;
use crate::engine::threads::{Job, Shared};
use crate::engine::worker::Leased;

/// The monitor thread's memory of the threads that hold CPUs of the node.
#[derive(Default)]
struct Watch {
    holders: Holders,
    /// When the awaited tasks were last entered again.
    entered: Option<Instant>,
}

/// The watches of the monitor thread.
#[derive(Default)]
pub(crate) struct Watches {
    node: Watch,
    bundles: bundles::Watch,
}

impl Watches {
    /// Looks once. `true`: an extra CPU is wanted, so the next look must come soon.
    pub(crate) fn look(&mut self, engine: &Engine, now: Instant) -> bool {
        let in_bundles = self.bundles.look(engine, now);
        self.node.look(engine, now) || in_bundles
    }
}

/// Whether the thread holds CPUs of the node. Those of a removed group are the node's.
fn is_of_node(engine: &Engine, shared: &Shared) -> bool {
    let group = shared.seat().and_then(|seat| engine.groups.find(seat.group));
    group.is_none_or(|group| group.state() == PlacementGroupState::Removed)
}

impl Watch {
    fn look(&mut self, engine: &Engine, now: Instant) -> bool {
        if let Some(task) = now.checked_sub(STILL).and_then(|before| engine.calls.take_task_back(before)) {
            // No waiting thread has taken the offered task.
            engine.injector.push(Job::new(task));
            crate::engine::queue::notify(engine);
        }
        let returning = engine.cpu.is_claimed() && engine.claims.lock().claims.has_returns();
        let withheld = if engine.cpu.is_withheld() { engine.cpu.free() } else { 0 };
        if engine.cpu.free() >= UNITS + withheld {
            *self = Self::default();
            return false;
        }
        let (mut by_bodies, mut by_any) = engine.awaited.waiting();
        if !by_any && engine.has_cpu_work() && self.entered.is_none_or(|at| now.duration_since(at) >= STILL) {
            // The arguments of an awaited task may have become ready since, so that the task is now queued, but not as an awaited
            // one.
            self.entered = Some(now);
            for (target, inside) in engine.waits.targets() {
                engine.awaited.enter(&target, if inside { Getter::InABody } else { Getter::Outside });
            }
            (by_bodies, by_any) = engine.awaited.waiting();
        }
        // It is unknown which queued work the waiting threads need: they may wait for an `async fn`, a call of an actor, or a
        // condition.
        let unknown = !by_any && engine.has_cpu_work();
        if unknown {
            (by_bodies, by_any) = (crate::engine::blocking::interrupt::some_wait(), true);
        }
        if !(by_any || returning || self.holders.has_granted()) {
            let entered = self.entered;
            *self = Self { entered, ..Self::default() };
            return false;
        }
        let holders = self.holders.find(engine, now, |shared| is_of_node(engine, shared));
        if !(by_any || returning) {
            if !self.holders.is_still_stuck() {
                *self = Self::default();
            }
            return false;
        }
        let outside = self.holders.is_wanted_for_long(now);
        let held: u64 = holders.iter().map(|shared| shared.cpu.load(Ordering::Relaxed)).sum();
        // CPUs that are kept for a claim count as held only if queued work is known to be awaited.
        let kept = if unknown { 0 } else { withheld };
        // The groups change while they are counted: a removed one may count, and also the one that got its CPUs.
        let cpus = engine.cpu.total().saturating_sub(engine.groups.reserved_cpu());
        // If groups have reserved every CPU, no body of the node has one that it could block.
        let all_reserved = cpus == 0 && !returning;
        if all_reserved || held + kept < cpus || !(by_bodies || returning || outside) {
            return true;
        }
        let stillness = self.holders.stillness(&holders, now);
        if stillness == Stillness::Blocks || stillness == Stillness::MayBlock && outside {
            grant(engine, now, returning, outside, unknown);
            self.holders.grant(&holders, now);
        }
        true
    }
}

fn grant(engine: &Engine, now: Instant, returning: bool, outside: bool, unknown: bool) {
    if returning {
        let Some((units, getter)) = engine.claims.lock().claims.take_return() else { return };
        engine.cpu.overdraw(units);
        engine.extra_cpus.fetch_add(1, Ordering::Relaxed);
        getter.grant();
        return;
    }
    let task = engine
        .awaited
        .take_of_bodies()
        .or_else(|| if outside { engine.awaited.take() } else { None })
        .or_else(|| if unknown { engine.oldest_queued() } else { None });
    if let Some(task) = task {
        if crate::engine::wake::has_worker_or_adds_one(engine) {
            engine.cpu.overdraw(UNITS);
            engine.extra_cpus.fetch_add(1, Ordering::Relaxed);
            crate::engine::queue::queue_free(engine, FreeJob::of(Leased(Job::new(task))));
            crate::engine::wake::kick(engine);
        } else {
            crate::engine::help::call_for_help(engine, Some(Offer::Task(task, now)));
            crate::engine::queue::notify(engine);
        }
    }
}
