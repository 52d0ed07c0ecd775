//! Operations that restart actors. They check on which instance calls run, and the number of restarts.

use std::sync::mpsc;

use ray::{ActorHandle, Error};

use super::races::yields;
use super::{Driver, is_excused};
use crate::program::{Crowd, Desk, Ledger, Thing, Turns, next_instance};
use crate::state::{ending, few_threads, give_up, plan};

/// The end of a call of an actor that is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Good,
    Unavailable,
    Died,
}

impl Driver {
    pub(super) fn restart(&mut self) {
        match self.chance.below(4) {
            0 => self.restart_beside_a_getter(),
            1 => self.restarts_are_counted(),
            _ => self.restart_before_calls(),
        }
    }

    /// Checks that calls run on a new instance after `kill_and_restart` has returned.
    fn restart_before_calls(&mut self) {
        self.note("restart", []);
        let actor = Ledger::options().max_restarts(-1).remote(Thing::new(1));
        self.expect("the first instance", ray::get(actor.held.remote()), 1);
        for _ in 0..1 + self.chance.below(3) {
            let queued: Vec<_> = (0..self.chance.below(6)).map(|value| actor.echo.remote(Thing::new(value as i64))).collect();
            let next = next_instance();
            let theirs = queued.last().cloned();
            if let Some(last) = theirs {
                // By this get the assistant runs the actor's calls meanwhile.
                self.assistant.send(move || drop(ray::get(last)));
            }
            yields(self.chance.below(4));
            let _ = ray::kill_and_restart(&actor);
            match ray::get_timeout(actor.instance.remote(), plan().watchdog) {
                Ok(instance) if instance >= next => {}
                Ok(instance) => {
                    give_up(&format!("a call after a restart ran on instance {instance}, but the first new instance is {next}"))
                }
                Err(error) if is_excused(&error) || ending() => return,
                Err(error) => give_up(&format!("a call after a restart: {error}")),
            }
        }
    }

    /// The driver restarts an actor while another thread gets its calls and may run them itself. Checks that the calls that
    /// begin after the restart run on a new instance.
    fn restart_beside_a_getter(&mut self) {
        self.note("restart beside a getter", []);
        let (slot, many) = (self.number, 10 + self.chance.below(50));
        let last_before = self.chance.below(many) as u64;
        let actor = Ledger::options().max_restarts(-1).remote(Thing::new(1));
        for _ in 0..3 {
            let _ = ray::get(actor.in_turn.remote(slot));
        }
        let begun = Turns::begun(slot);
        let (theirs, (done, outcomes)) = (actor.clone(), mpsc::channel());
        self.assistant.send(move || {
            let calls: Vec<_> = (0..many).map(|_| theirs.in_turn.remote(slot)).collect();
            // The get of the last call comes first, so that this thread can run all calls in one get.
            let _ = done.send(calls.into_iter().rev().map(ray::get).collect::<Vec<_>>());
        });
        let mut early = None;
        while early.is_none() && Turns::begun(slot) <= begun + last_before {
            early = outcomes.try_recv().ok();
            std::thread::yield_now();
        }
        let next = next_instance();
        let _ = ray::kill_and_restart(&actor);
        // A call that ran during the restart has failed by now. All calls that begin later see this number.
        Turns::run_on(slot, next);
        let Some(outcomes) = early.or_else(|| outcomes.recv_timeout(plan().watchdog).ok()) else {
            give_up("the gets of the calls of a restarted actor do not return")
        };
        let mut cut_off = 0;
        for outcome in outcomes {
            match outcome {
                Ok((instance, first)) if instance >= first => {}
                Err(error) if is_excused(&error) || ending() => {}
                Err(error) if error.is_actor_unavailable() => cut_off += 1,
                other => {
                    give_up(&format!("a call beside a restart: its instance and the earliest allowed instance are {other:?}"))
                }
            }
        }
        if cut_off > 1 {
            give_up(&format!("one restart interrupted {cut_off} calls of a serial actor"));
        }
    }

    /// Checks that each crash and each `kill_and_restart` uses one restart, regardless of the state of the constructor.
    fn restarts_are_counted(&mut self) {
        let (class, most) = (self.chance.below(3), self.chance.below(4) as i64);
        self.note("counted restarts", [class as i64, most]);
        let cpus = if self.chance.one_in(4) { 1.0 } else { 0.0 };
        macro_rules! program {
            ($class:ident, $note:ident) => {{
                let actor = $class::options().max_restarts(most).num_cpus(cpus).remote(Thing::new(1));
                self.use_up_restarts(
                    most,
                    &actor,
                    |actor: &ActorHandle<$class>| ray::get_timeout(actor.$note.remote(Thing::new(0)), plan().watchdog),
                    |actor: &ActorHandle<$class>| ray::get_timeout(actor.tear.remote(Thing::new(0)), plan().watchdog),
                );
            }};
        }
        match class {
            0 => program!(Ledger, echo),
            1 => program!(Crowd, note),
            _ => program!(Desk, note),
        }
    }

    fn use_up_restarts<A: ray::Actor>(
        &mut self,
        most: i64,
        actor: &ActorHandle<A>,
        note: impl Fn(&ActorHandle<A>) -> Result<Thing, Error>,
        tear: impl Fn(&ActorHandle<A>) -> Result<Thing, Error>,
    ) {
        let mut used = 0;
        let mut steps = Vec::new();
        for last in (0..most + 2).map(|step| step > most) {
            let step = if last { 0 } else { self.chance.below(3) };
            let alive = used <= most;
            steps.push(["call", "restart", "crash"][step]);
            let (outcome, expected) = match step {
                0 => (note(actor), if alive { End::Good } else { End::Died }),
                1 => {
                    let _ = ray::kill_and_restart(actor);
                    used += 1;
                    continue;
                }
                _ => {
                    used += 1;
                    (tear(actor), if used <= most { End::Unavailable } else { End::Died })
                }
            };
            let end = match &outcome {
                Ok(_) => End::Good,
                Err(error) if error.is_actor_unavailable() => End::Unavailable,
                Err(error) if error.is_actor_died() => End::Died,
                Err(error) if is_excused(error) || ending() => return,
                Err(error) => give_up(&format!("a call of an actor with {most} restarts, after {steps:?}: {error}")),
            };
            if end != expected && !ending() && !few_threads() {
                give_up(&format!("an actor with {most} restarts, after {steps:?}: {end:?} ({outcome:?}), expected {expected:?}"));
            }
        }
    }
}
