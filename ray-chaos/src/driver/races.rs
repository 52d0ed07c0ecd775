//! Races: an assistant thread cancels tasks and kills actors while the driver gets their results.

use std::sync::mpsc;
use std::thread::JoinHandle;

use ray::{ErrorKind, ObjectRef};

use super::{Driver, Errors, errors, is_excused};
use crate::program::{Ledger, Thing, dawdle};
use crate::state::{ending, give_up};

type Errand = Box<dyn FnOnce() + Send>;

/// A thread that runs the closures that its driver sends.
pub(super) struct Assistant {
    errands: Option<mpsc::Sender<Errand>>,
    thread: Option<JoinHandle<()>>,
}

impl Assistant {
    pub(super) fn new(number: usize) -> Self {
        let (errands, todo) = mpsc::channel::<Errand>();
        let thread = std::thread::Builder::new().name(format!("assistant {number}"));
        let thread = thread.spawn(move || todo.into_iter().for_each(|errand| errand())).expect("a thread");
        Assistant { errands: Some(errands), thread: Some(thread) }
    }

    pub(super) fn send(&self, errand: impl FnOnce() + Send + 'static) {
        if let Some(errands) = &self.errands {
            errands.send(Box::new(errand)).expect("the assistant thread lives as long as its driver");
        }
    }

    /// Waits until everything that was sent is done, and ends the thread.
    pub(super) fn finish(&mut self) {
        self.errands = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the assistant does not panic");
        }
    }
}

impl Drop for Assistant {
    fn drop(&mut self) {
        self.finish();
    }
}

pub(super) fn yields(times: usize) {
    for _ in 0..times {
        std::thread::yield_now();
    }
}

impl Driver {
    pub(super) fn cancel_soon(&mut self, node: usize, object: &ObjectRef<Thing>) {
        self.note("cancel soon", [node as i64]);
        self.model.widen_cancel(node);
        let (object, later) = (object.clone(), self.chance.below(20));
        self.assistant.send(move || {
            yields(later);
            let _ = ray::cancel(&object);
        });
    }

    /// Gets an object while the assistant cancels it.
    pub(super) fn race_cancel(&mut self) {
        let (node, object) = if self.chance.one_in(2) {
            self.pick()
        } else {
            let ((a, object), turns) = (self.pick(), self.chance.below(60) as u32);
            let node = self.model.add(&[a], Errors::NONE, None, |values| Some(values[0]));
            (node, dawdle.remote(object, turns))
        };
        if self.is_shared(&object) {
            return;
        }
        self.cancel_soon(node, &object);
        let outcome = match self.chance.below(3) {
            0 => ray::get([object]).map(|things| things[0].value()),
            1 => self.runtime.block_on(object).map(|thing| thing.value()),
            _ => ray::get(object).map(|thing| thing.value()),
        };
        self.observe(node, outcome);
    }

    /// Gets calls of an actor, and so may run them on this thread, while the assistant kills the actor.
    pub(super) fn race_kill(&mut self) {
        self.note("kill soon", []);
        let restarts = self.chance.one_in(2);
        let actor = Ledger::options().max_restarts(if restarts { -1 } else { 0 }).remote(Thing::new(1));
        if self.chance.one_in(2) {
            let _ = ray::get(actor.echo.remote(Thing::new(0)));
        }
        let calls: Vec<_> = (0..1 + self.chance.below(10)).map(|value| actor.echo.remote(Thing::new(value as i64))).collect();
        let (theirs, again, later) = (actor.clone(), self.chance.one_in(2), self.chance.below(10));
        self.assistant.send(move || {
            yields(later);
            let _ = if again { ray::kill_and_restart(&theirs) } else { ray::kill(&theirs) };
        });
        if self.chance.one_in(2) {
            drop(actor);
        }
        for (value, call) in calls.into_iter().enumerate().rev() {
            match ray::get(call) {
                Ok(thing) if thing.value() == value as i64 => {}
                Err(error) if error.is_actor_died() || error.is_actor_unavailable() && restarts => {}
                Err(error) if is_excused(&error) || ending() => {}
                other => give_up(&format!("a call of an actor that is being killed: {other:?}")),
            }
        }
    }

    /// Creates an actor that holds resources while it lives, and ends it in some way, possibly while it still waits for
    /// them.
    pub(super) fn claim_actor(&mut self) {
        let value = self.chance.below(100) as i64;
        let cpus = [0.0, 0.0, 1.0, self.shared.era.cpus as f64][self.chance.below(4)];
        let actor = Ledger::options().num_cpus(cpus).resource("seat", 1.0).remote(Thing::new(value));
        let call = actor.echo.remote(Thing::new(value));
        let killed = self.chance.below(4);
        self.note("claim of an actor", [value, killed as i64]);
        let own = if killed < 2 { errors([ErrorKind::ActorDied]) } else { Errors::NONE };
        match killed {
            0 => drop(ray::kill(&actor)),
            1 => {
                let (theirs, later) = (actor.clone(), self.chance.below(20));
                self.assistant.send(move || {
                    yields(later);
                    let _ = ray::kill(&theirs);
                });
            }
            _ => {}
        }
        drop(actor);
        let node = self.model.add(&[], own, None, |_| Some(value));
        self.enter("a call of it", node, call);
    }
}
