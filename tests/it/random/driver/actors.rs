//! The operations of a driver on actors.

use std::sync::atomic::Ordering;

use ray::{ActorHandle, ErrorKind, ObjectRef};

use super::Driver;
use crate::random::model::{Kinds, Model};
use crate::random::program::{Crowd, Desk, Ledger, Thing, visit};
use crate::random::{ENDING, give_up, log};
use crate::support::PATIENCE;

enum Handle {
    Ledger(ActorHandle<Ledger>),
    Crowd(ActorHandle<Crowd>),
    Desk(ActorHandle<Desk>),
}

pub(super) struct Actor {
    handle: Handle,
    number: usize,
    birth: usize,
    held: i64,
    /// The kinds of errors that later calls may have.
    doom: Kinds,
    dead: bool,
    restarts: bool,
    sent: i64,
    seq: u64,
    visits: Vec<ObjectRef<Thing>>,
}

impl Driver<'_> {
    pub(super) fn new_actor(&mut self, turn: u64) {
        let (a, object) = self.pick();
        let birth = self.model.add_birth(a);
        let number = self.model.add_actor();
        let held = self.model.value(birth).unwrap_or(0);
        let restarts = self.chance.one_in(2);
        let most = if restarts { 1_000_000 } else { 0 };
        let handle = match self.chance.below(4) {
            0 => Handle::Crowd(Crowd::options().max_restarts(most).remote(object)),
            1 => Handle::Desk(Desk::options().max_restarts(most).remote(object)),
            2 => {
                let name = format!("ledger {} {turn}", self.number);
                let handle = Ledger::options().max_restarts(most).name(name.clone()).remote(&object);
                if !self.model.may_fail(birth)
                    && let Err(error) = ray::get_actor::<Ledger>(&name)
                    && !ENDING.load(Ordering::SeqCst)
                {
                    give_up(&format!("`{name}` is not found: {error}"));
                }
                Handle::Ledger(handle)
            }
            _ => Handle::Ledger(Ledger::options().max_restarts(most).remote(object)),
        };
        self.note(format!("actor {number} of {a}"));
        self.actors.push(Actor {
            handle,
            number,
            birth,
            held,
            doom: Kinds::NONE,
            dead: false,
            restarts,
            sent: 0,
            seq: 0,
            visits: Vec::new(),
        });
        if self.actors.len() > 6 {
            let at = self.chance.below(self.actors.len());
            let gone = self.actors.swap_remove(at);
            self.note(format!("drop actor {}", gone.number));
        }
    }

    pub(super) fn call(&mut self) {
        if self.actors.is_empty() || self.chance.one_in(4) {
            return self.call_shared();
        }
        let (a, object) = self.pick();
        let at = self.chance.below(self.actors.len());
        let how = self.chance.below(8);
        let plain = self.chance.one_in(2);
        let actor = &mut self.actors[at];
        let (number, dead, doom, held, birth) = (actor.number, actor.dead, actor.doom, actor.held, actor.birth);
        actor.seq += 1;
        let (seq, caller) = (actor.seq, self.number as u64);
        let unsure = |model: &mut Model| model.uncertain[number] = true;
        let ledger = matches!(actor.handle, Handle::Ledger(_));
        if how == 0 && ledger && !dead {
            // A call by `tell` with a plain value is always counted.
            if let Handle::Ledger(ledger) = &actor.handle {
                actor.sent += 1;
                ledger.hear.tell(caller, seq, Thing::new(1));
            }
            return self.note(format!("tell {number}"));
        }
        if how == 1 {
            let object = match &actor.handle {
                Handle::Ledger(actor) => actor.tear.remote(object),
                Handle::Crowd(actor) => actor.tear.remote(object),
                Handle::Desk(actor) => actor.tear.remote(object),
            };
            let ends = Kinds::of(ErrorKind::ActorDied).and(Kinds::of(ErrorKind::ActorUnavailable));
            if actor.restarts {
                if !ledger {
                    // Concurrent and later calls may fail as well.
                    actor.doom = actor.doom.and(ends);
                }
            } else {
                actor.doom = actor.doom.and(ends);
            }
            let doom = actor.doom;
            unsure(&mut self.model);
            if !doom.is_none() {
                self.model.widen_calls(number, doom);
            }
            let node = self.model.add(&[birth, a], ends, Some(number), |_| None);
            return self.enter(&format!("tear {number} {a}"), node, object);
        }
        let (a, value) = if plain { (None, 5) } else { (Some(a), 0) };
        let more = if ledger { 1 } else { held };
        let deps: Vec<usize> = [Some(birth), a].into_iter().flatten().collect();
        let died = if dead { Kinds::of(ErrorKind::ActorDied) } else { Kinds::NONE };
        let node = self
            .model
            .add(&deps, doom.and(died), Some(number), |values| (!dead).then(|| values.first().copied().unwrap_or(value) + more));
        actor.sent += 1;
        macro_rules! send {
            ($method:expr, $($before:expr),*) => {
                if plain { $method.remote($($before,)* Thing::new(5)) } else { $method.remote($($before,)* object) }
            };
        }
        let object = match (&actor.handle, how) {
            (Handle::Ledger(actor), _) => send!(actor.note, caller, seq),
            (Handle::Crowd(actor), 2..4) => send!(actor.swap,),
            (Handle::Crowd(actor), _) => send!(actor.note,),
            (Handle::Desk(actor), 2..4) => send!(actor.swap,),
            (Handle::Desk(actor), _) => send!(actor.note,),
        };
        self.enter(&format!("call {number} {a:?}"), node, object);
    }

    /// Calls the shared ledger, which is never killed and gets no argument that may fail.
    fn call_shared(&mut self) {
        let (a, object) = self.pick();
        self.seq += 1;
        let caller = 100 + self.number as u64;
        if self.model.may_fail(a) || self.model.value(a).is_none() || !self.chance.one_in(3) {
            self.shared.ledger.hear.tell(caller, self.seq, Thing::new(2));
            self.note("tell the shared ledger".to_owned());
        } else {
            // The reference is not stored, so this call is never cancelled.
            let object = ray::get(self.shared.ledger.note.remote(caller, self.seq, object)).map(|thing| thing.value());
            self.note(format!("ask the shared ledger {a}"));
            let node = self.model.add(&[a], Kinds::NONE, None, |values| Some(values[0] + 1));
            self.observe(node, object);
        }
        self.shared.sent.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn visit(&mut self) {
        self.callers += 1;
        let (caller, calls) = (1000 * (1 + self.number as u64) + self.callers, self.chance.below(12) as u64);
        let Some(actor) = self.actors.iter_mut().find(|actor| matches!(actor.handle, Handle::Ledger(_))) else { return };
        let Handle::Ledger(ledger) = &actor.handle else { return };
        let (dead, doom, birth, number) = (actor.dead && calls > 0, actor.doom, actor.birth, actor.number);
        actor.sent += calls as i64;
        let deps = if calls > 0 { vec![birth] } else { vec![] };
        let died = if dead { Kinds::of(ErrorKind::ActorDied) } else { Kinds::NONE };
        let node = self.model.add(&deps, doom.and(died), Some(number), |_| (!dead).then_some(calls as i64));
        let object = visit.remote(ledger, caller, calls);
        actor.visits.push(object.clone());
        self.enter(&format!("visit {number}"), node, object);
    }

    pub(super) fn end_actor(&mut self) {
        if self.actors.is_empty() {
            return;
        }
        let at = self.chance.below(self.actors.len());
        let (again, check) = (self.chance.one_in(2), self.chance.one_in(2));
        if check {
            return self.count(at);
        }
        let actor = &mut self.actors[at];
        let number = actor.number;
        log(format!("{}: kill {number}, again {again}", self.number));
        let killed = match &actor.handle {
            Handle::Ledger(actor) if again => ray::kill_and_restart(actor),
            Handle::Crowd(actor) if again => ray::kill_and_restart(actor),
            Handle::Desk(actor) if again => ray::kill_and_restart(actor),
            Handle::Ledger(actor) => ray::kill(actor),
            Handle::Crowd(actor) => ray::kill(actor),
            Handle::Desk(actor) => ray::kill(actor),
        };
        killed.unwrap();
        let mut kinds = Kinds::of(ErrorKind::ActorDied);
        if actor.restarts {
            kinds = kinds.and(Kinds::of(ErrorKind::ActorUnavailable));
        }
        if !again {
            actor.dead = true;
        } else if !actor.restarts || !matches!(actor.handle, Handle::Ledger(_)) {
            // Without restarts the actor ends, unless its creation still waits for the argument. With restarts, calls of a
            // concurrent actor fail that were admitted while the old ones end.
            actor.doom = actor.doom.and(kinds);
        }
        self.model.widen_calls(number, kinds);
    }

    /// Checks that a ledger whose calls cannot have failed has counted every call.
    pub(super) fn count(&mut self, at: usize) {
        let actor = &self.actors[at];
        let Handle::Ledger(ledger) = &actor.handle else { return };
        // Only calls of this thread are ordered before `count`, so the visitors must have ended first.
        for visitor in &actor.visits {
            if ray::get_timeout(visitor, PATIENCE).is_err_and(|error| error.is_timeout()) {
                give_up(&format!("a visit of actor {} does not end", actor.number));
            }
        }
        if self.model.uncertain[actor.number]
            || actor.dead
            || self.model.may_fail(actor.birth)
            || self.model.value(actor.birth).is_none()
        {
            return;
        }
        let (count, sent) = (ray::get_timeout(ledger.count.remote(), PATIENCE), actor.sent);
        match count {
            Ok(count) if count.value() == sent => {}
            Err(_) if ENDING.load(Ordering::SeqCst) => {}
            other => give_up(&format!("actor {} counts {other:?}, not {sent}", actor.number)),
        }
    }
}
