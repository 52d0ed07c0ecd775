//! Stages: situations that gates bring about. While a body waits at a gate, other work must make progress. No other driver
//! uses the engine, and all other work is settled before.

use std::time::{Duration, Instant};

use ray::ErrorKind;

use super::Driver;
use crate::gate::Key;
use crate::program::{Crowd, Desk, Ledger, Thing, add, at_gate, gets, make, next_instance, perhaps_at_gate};
use crate::state::{ASKED, CALLED, give_up, plan};

/// The time limit for work that should finish immediately. It is long because the machine may be busy.
const SOON: Duration = Duration::from_secs(10);

impl Driver {
    /// Waits until all other work is settled.
    pub(super) fn calm(&mut self, what: &'static str) {
        self.note(what, []);
        for (node, object) in std::mem::take(&mut self.objects) {
            let outcome = ray::get_timeout(object, plan().watchdog).map(|thing| thing.value());
            self.observe(node, outcome);
        }
        for _ in 0..4 {
            self.make();
        }
    }

    pub(super) fn check(&self, what: &str, so: bool) {
        if !so {
            give_up(&format!("driver {}, turn {}: {what}", self.number, self.turn));
        }
    }

    pub(super) fn reached(&self, key: &Key) {
        self.check("a body starts", key.reached_by(1, SOON));
    }

    /// Waits between 0 and 5 ms, so that the engine may or may not begin the work that was sent.
    fn breathe(&mut self) {
        let end = Instant::now() + Duration::from_millis([0, 0, 1, 5][self.chance.below(4)]);
        while Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    /// A withdrawn claim must not delay other work: neither work that a thread gets and may run itself, nor work for which
    /// no thread waits.
    pub(super) fn stage_claim(&mut self) {
        let cpus = self.shared.era.cpus;
        if cpus < 2 {
            return;
        }
        self.calm("stage: claims");
        let (key, way) = (Key::new(), self.chance.below(3));
        let held = at_gate.remote(key.number());
        self.reached(&key);
        // Smaller work overtakes a claim for 100 ms; after that the claim is urgent.
        let becomes_urgent = || {
            let end = Instant::now() + Duration::from_millis(120);
            while Instant::now() < end {
                std::thread::park_timeout(Duration::from_millis(10));
            }
        };
        let urgent_before = self.chance.one_in(2);
        let wait = || {
            if urgent_before {
                becomes_urgent();
            }
        };
        if way == 0 {
            let claim = add.options().num_cpus(cpus as f64).remote(Thing::new(0), Thing::new(0));
            wait();
            let _ = ray::cancel(&claim);
        } else {
            let actor = Ledger::options().num_cpus(cpus as f64).remote(Thing::new(0));
            wait();
            if way == 1 {
                let _ = ray::kill(&actor);
            }
        }
        becomes_urgent();
        let seen = Key::new();
        seen.open();
        let small: Vec<_> = (0..3).map(|_| at_gate.remote(seen.number())).collect();
        self.check("tasks that no thread waits for begin behind a withdrawn claim", seen.reached_by(small.len(), SOON));
        let outcome = ray::get_timeout(make.remote(1), SOON).map(|thing| thing.value());
        self.expect("a task for a free CPU, behind a withdrawn claim", outcome, 1);
        key.open();
        self.expect("the body at the gate", ray::get(held).map(|thing| thing.value()), 1);
    }

    /// An exclusive call that waits for the running calls is cancelled: the calls behind it must start.
    pub(super) fn stage_admit(&mut self) {
        self.calm("stage: admission");
        let key = Key::new();
        let actor = Crowd::remote(Thing::new(1));
        let held = actor.block.remote(key.number());
        self.reached(&key);
        let alone = actor.swap.remote(Thing::new(0));
        let behind = actor.note.remote(Thing::new(1));
        self.breathe();
        let _ = ray::cancel(&alone);
        let outcome = ray::get_timeout(behind, SOON).map(|thing| thing.value());
        self.expect("a call behind one that was cancelled", outcome, 2);
        key.open();
        self.expect("the call at the gate", ray::get(held).map(|thing| thing.value()), 0);
    }

    /// A kill must fail the running call and the queued calls immediately.
    pub(super) fn stage_kill(&mut self) {
        self.calm("stage: kill");
        let (key, class) = (Key::new(), self.chance.below(3));
        let (many, early) = (1 + self.chance.below(50), self.chance.one_in(2));
        macro_rules! program {
            ($actor:expr, $block:ident, $note:expr) => {{
                let (actor, note) = ($actor, $note);
                for _ in 0..8 {
                    let _ = ray::get(note(&actor));
                }
                let running = actor.$block.remote(key.number());
                if !early {
                    self.reached(&key);
                }
                // These calls are sent together with the call that blocks, or while it runs.
                let queued: Vec<_> = (0..many).map(|_| note(&actor)).collect();
                self.reached(&key);
                let _ = ray::kill(&actor);
                match ray::get_timeout(running, SOON) {
                    Err(error) if error.is_actor_died() => {}
                    other => give_up(&format!("the running call of a killed actor: {other:?}")),
                }
                queued
            }};
        }
        // All calls share one time limit.
        let end = Instant::now() + SOON;
        let left = || end.saturating_duration_since(Instant::now());
        let queued: Vec<Result<Thing, ray::Error>> = if class == 0 {
            program!(Ledger::remote(Thing::new(0)), block, |actor: &ray::ActorHandle<Ledger>| actor.echo.remote(Thing::new(1)))
                .into_iter()
                .map(|call| ray::get_timeout(call, left()))
                .collect()
        } else if class == 1 {
            program!(Ledger::remote(Thing::new(0)), perhaps, |actor: &ray::ActorHandle<Ledger>| actor.perhaps.remote(0))
                .into_iter()
                .map(|call| ray::get_timeout(call, left()).map(|_| Thing::new(0)))
                .collect()
        } else {
            // `swap` is an exclusive call, so none of them runs while one call blocks.
            program!(Crowd::remote(Thing::new(0)), block, |actor: &ray::ActorHandle<Crowd>| actor.swap.remote(Thing::new(1)))
                .into_iter()
                .map(|call| ray::get_timeout(call, left()))
                .collect()
        };
        for outcome in queued {
            match outcome {
                Err(error) if error.is_actor_died() => {}
                other => give_up(&format!("a queued call of a killed actor (class {class}): {other:?}")),
            }
        }
    }

    /// A restart while a getter may run the actor's calls: the queued calls must run on the new instance.
    pub(super) fn stage_restart(&mut self) {
        self.calm("stage: restart");
        let key = Key::new();
        let actor = Ledger::options().max_restarts(-1).remote(Thing::new(1));
        for _ in 0..8 {
            let _ = ray::get(actor.perhaps.remote(0));
        }
        let running = actor.perhaps.remote(key.number());
        if self.chance.one_in(2) {
            let theirs = running.clone();
            self.assistant.send(move || drop(ray::get(theirs)));
        }
        if self.chance.one_in(2) {
            self.reached(&key);
        }
        let queued: Vec<_> = (0..1 + self.chance.below(20)).map(|_| actor.perhaps.remote(0)).collect();
        self.reached(&key);
        if self.chance.one_in(2) {
            let last = queued.last().cloned();
            self.assistant.send(move || drop(last.map(ray::get)));
        }
        let next = next_instance();
        let _ = ray::kill_and_restart(&actor);
        let outcome = ray::get_timeout(running, SOON);
        self.check("the running call of a restarted actor fails", outcome.is_err());
        key.open();
        for call in queued {
            match ray::get_timeout(call, SOON) {
                Ok(instance) if instance >= next => {}
                Err(error) if error.is_actor_unavailable() => {}
                other => give_up(&format!("a queued call of a restarted actor, whose instances begin with {next}: {other:?}")),
            }
        }
    }

    /// A call ends its actor while other calls are pending: all of them must end.
    pub(super) fn stage_exit(&mut self) {
        self.calm("stage: exit");
        let key = Key::new();
        let actor = Crowd::remote(Thing::new(1));
        let held = actor.block.remote(key.number());
        self.reached(&key);
        let leaving = actor.leave.remote();
        match ray::get_timeout(leaving, SOON) {
            Err(error) if error.is_actor_died() => {}
            other => give_up(&format!("a call that ends a threaded actor: {other:?}")),
        }
        match ray::get_timeout(held, SOON) {
            Err(error) if error.is_actor_died() => {}
            other => give_up(&format!("a call beside one that ends a threaded actor: {other:?}")),
        }
        key.open();
        let desk = Desk::remote(Thing::new(1));
        let pending = desk.block.remote(0);
        match (ray::get_timeout(desk.leave.remote(), SOON), ray::get_timeout(pending, SOON)) {
            (Err(leaving), Err(pending)) if leaving.is_actor_died() && pending.is_actor_died() => {}
            other => give_up(&format!("the leaving and a pending call of an async actor: {other:?}")),
        }
    }

    /// A get must return when its task is cancelled, when its actor is killed, and when the body that calls it is
    /// cancelled.
    pub(super) fn stage_get(&mut self) {
        self.calm("stage: get");
        let (key, way) = (Key::new(), self.chance.below(3));
        match way {
            0 => {
                // Some short bodies first, so that the engine treats the function as short, then one that a worker runs.
                for _ in 0..8 {
                    let _ = ray::get(perhaps_at_gate.remote(0));
                }
                let object = perhaps_at_gate.remote(key.number());
                self.reached(&key);
                let theirs = object.clone();
                self.assistant.send(move || drop(ray::cancel(&theirs)));
                let outcome = ray::get_timeout(&object, SOON);
                self.check("a get ends with the cancel", outcome.is_err_and(|error| error.is_cancelled()));
            }
            1 => {
                let actor = Ledger::remote(Thing::new(0));
                let call = actor.block.remote(key.number());
                self.reached(&key);
                self.assistant.send(move || drop(ray::kill(&actor)));
                let outcome = ray::get_timeout(call, SOON);
                self.check("a get ends with the kill", outcome.is_err_and(|error| error.is_actor_died()));
            }
            _ => {
                // The get inside a cancelled body must end too, so that the body releases its CPU.
                let awaited = at_gate.remote(key.number());
                self.reached(&key);
                let getters: Vec<_> = (0..self.shared.era.cpus).map(|_| gets.remote(&awaited)).collect();
                for getter in &getters {
                    let _ = ray::cancel(getter);
                }
                for getter in getters {
                    let outcome = ray::get_timeout(getter, SOON);
                    let kind = outcome.map(|thing| thing.value()).map_err(|error| error.kind());
                    self.check("a cancelled getter fails", kind == Err(ErrorKind::Cancelled));
                }
            }
        }
        key.open();
    }

    /// A slow callback must not delay the threads that wait for its object.
    pub(super) fn stage_callback(&mut self) {
        self.calm("stage: callback");
        let (held, slow) = (Key::new(), Key::new());
        let object = at_gate.remote(held.number());
        self.reached(&held);
        let (number, other) = (slow.number(), object.clone());
        ASKED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        object.on_ready(move || {
            crate::gate::pass(number);
            let _ = ray::get(other);
            CALLED.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        });
        let dependant = add.remote(&object, Thing::new(1));
        self.assistant.send(move || held.open());
        let outcome = ray::get_timeout(&object, SOON).map(|thing| thing.value());
        self.expect("an object whose callback is slow", outcome, 1);
        let outcome = ray::get_timeout(dependant, SOON).map(|thing| thing.value());
        self.expect("a task that depends on an object whose callback is slow", outcome, 2);
        slow.open();
    }
}
