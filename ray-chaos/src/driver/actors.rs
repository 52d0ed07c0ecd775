//! Operations on the actors of a driver, and on the actor that all drivers share.

use std::sync::atomic::Ordering;

use ray::{ActorHandle, Error, ErrorKind, ObjectRef};

use super::{Driver, Errors, errors, is_excused};
use crate::model::Model;
use crate::program::{AsyncPhoenix, Crowd, Desk, Ledger, Phoenix, Phoenixes, Thing, visit};
use crate::state::{ending, give_up, plan};

enum Handle {
    Ledger(ActorHandle<Ledger>),
    Crowd(ActorHandle<Crowd>),
    Desk(ActorHandle<Desk>),
}

/// Evaluates an expression with the handle, for each class.
macro_rules! each {
    ($handle:expr, $actor:ident => $do:expr) => {
        match $handle {
            Handle::Ledger($actor) => $do,
            Handle::Crowd($actor) => $do,
            Handle::Desk($actor) => $do,
        }
    };
}

pub(super) struct Actor {
    handle: Handle,
    number: usize,
    creation: usize,
    held: i64,
    /// The kinds of errors that later calls may have.
    call_errors: Errors,
    dead: bool,
    restarts: bool,
    sent: i64,
    seq: u64,
    visits: Vec<ObjectRef<Thing>>,
}

impl Actor {
    fn is_ledger(&self) -> bool {
        matches!(self.handle, Handle::Ledger(_))
    }
}

fn unavailable() -> Errors {
    errors([ErrorKind::ActorDied, ErrorKind::ActorUnavailable])
}

impl Driver {
    pub(super) fn new_actor(&mut self) {
        let (a, object) = self.pick();
        let creation = self.model.add_creation(a);
        let number = self.model.add_actor();
        let held = self.model.value(creation).unwrap_or(0);
        let restarts = self.chance.one_in(2);
        let most = if restarts { 1_000_000 } else { 0 };
        let handle = match self.chance.below(3) {
            0 => Handle::Crowd(Crowd::options().max_restarts(most).remote(object)),
            1 => Handle::Desk(Desk::options().max_restarts(most).remote(object)),
            _ => Handle::Ledger(Ledger::options().max_restarts(most).remote(object)),
        };
        self.note("new actor", [number as i64, a as i64]);
        let (call_errors, dead, sent, seq, visits) = (Errors::NONE, false, 0, 0, Vec::new());
        self.actors.push(Actor { handle, number, creation, held, call_errors, dead, restarts, sent, seq, visits });
        if self.actors.len() > 6 {
            let at = self.chance.below(self.actors.len());
            let gone = self.actors.swap_remove(at);
            self.note("drop actor", [gone.number as i64]);
        }
    }

    fn pick_actor(&mut self) -> usize {
        if self.actors.is_empty() {
            self.new_actor();
        }
        self.chance.below(self.actors.len())
    }

    pub(super) fn call(&mut self) {
        let at = self.pick_actor();
        let (a, object) = self.pick();
        let (how, plain) = (self.chance.below(8), self.chance.one_in(2));
        let actor = &mut self.actors[at];
        let (number, dead, call_errors, held, creation) =
            (actor.number, actor.dead, actor.call_errors, actor.held, actor.creation);
        actor.seq += 1;
        let (seq, caller) = (actor.seq, self.number as u64);
        let ledger = actor.is_ledger();
        if how == 0 && !dead {
            // The argument of this call is a plain value, which cannot fail. So a ledger certainly counts the call.
            actor.sent += 1;
            match &actor.handle {
                Handle::Ledger(ledger) => ledger.hear.tell(caller, seq, Thing::new(1)),
                Handle::Crowd(crowd) => crowd.note.tell(Thing::new(1)),
                Handle::Desk(desk) => desk.note.tell(Thing::new(1)),
            }
            return self.note("tell", [number as i64]);
        }
        let (a, value) = if plain { (None, 5) } else { (Some(a), 0) };
        let more = if ledger { 1 } else { held };
        let deps: Vec<usize> = [Some(creation), a].into_iter().flatten().collect();
        let died = if dead { errors([ErrorKind::ActorDied]) } else { Errors::NONE };
        let node = self.model.add(&deps, call_errors.and(died), Some(number), |values| {
            (!dead).then(|| values.first().copied().unwrap_or(value) + more)
        });
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
        self.enter("call", node, object);
    }

    /// A call that ends the instance.
    pub(super) fn tear(&mut self) {
        let at = self.pick_actor();
        let (a, object) = self.pick();
        let actor = &mut self.actors[at];
        let (number, creation) = (actor.number, actor.creation);
        let object = each!(&actor.handle, actor => actor.tear.remote(object));
        if !actor.restarts || !actor.is_ledger() {
            // Other calls may fail with this one, also calls that are sent later.
            actor.call_errors = actor.call_errors.and(unavailable());
        }
        let call_errors = actor.call_errors;
        let unsure = |model: &mut Model| model.uncertain[number] = true;
        unsure(&mut self.model);
        if !call_errors.is_none() {
            self.model.widen_calls(number, call_errors);
        }
        let node = self.model.add(&[creation, a], unavailable(), Some(number), |_| None);
        self.enter("tear", node, object);
    }

    /// Calls the shared ledger, which is never killed, with an argument that cannot fail.
    pub(super) fn call_shared(&mut self) {
        let (a, object) = self.pick();
        self.seq += 1;
        let caller = 100 + self.number as u64;
        if self.model.may_fail(a) || self.model.value(a).is_none() || !self.chance.one_in(3) {
            self.shared.ledger.hear.tell(caller, self.seq, Thing::new(2));
            self.note("tell the shared one", []);
        } else {
            // The reference does not enter the program, so no operation cancels the call.
            let object = ray::get(self.shared.ledger.note.remote(caller, self.seq, object)).map(|thing| thing.value());
            self.note("ask the shared one", [a as i64]);
            let node = self.model.add(&[a], Errors::NONE, None, |values| Some(values[0] + 1));
            self.observe(node, object);
        }
        self.shared.sent.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn visit(&mut self) {
        self.callers += 1;
        let (caller, calls) = (1000 * (1 + self.number as u64) + self.callers, self.chance.below(12) as u64);
        let Some(actor) = self.actors.iter_mut().find(|actor| actor.is_ledger()) else { return };
        let Handle::Ledger(ledger) = &actor.handle else { return };
        let (dead, call_errors, creation, number) = (actor.dead && calls > 0, actor.call_errors, actor.creation, actor.number);
        actor.sent += calls as i64;
        let deps = if calls > 0 { vec![creation] } else { vec![] };
        let died = if dead { errors([ErrorKind::ActorDied]) } else { Errors::NONE };
        let node = self.model.add(&deps, call_errors.and(died), Some(number), |_| (!dead).then_some(calls as i64));
        let object = visit.remote(ledger, caller, calls);
        actor.visits.push(object.clone());
        self.enter("visit", node, object);
    }

    pub(super) fn kill_one(&mut self) {
        let at = self.pick_actor();
        let again = self.chance.one_in(2);
        let actor = &mut self.actors[at];
        let number = actor.number;
        let _ = each!(&actor.handle, actor => if again { ray::kill_and_restart(actor) } else { ray::kill(actor) });
        let mut kinds = errors([ErrorKind::ActorDied]);
        if actor.restarts {
            kinds = unavailable();
        }
        if !again {
            actor.dead = true;
        } else if !actor.restarts || !actor.is_ledger() {
            // Without restarts the actor ends, unless its creation still waits for the argument. With restarts, calls that
            // are admitted while the old calls end are interrupted.
            actor.call_errors = actor.call_errors.and(kinds);
        }
        self.note(if again { "kill and restart" } else { "kill" }, [number as i64]);
        self.model.widen_calls(number, kinds);
    }

    pub(super) fn count_one(&mut self) {
        if !self.actors.is_empty() {
            let at = self.chance.below(self.actors.len());
            self.count_calls(at);
        }
    }

    /// Checks that a ledger has counted every call, if none of its calls can have failed.
    pub(super) fn count_calls(&mut self, at: usize) {
        let actor = &self.actors[at];
        let Handle::Ledger(ledger) = &actor.handle else { return };
        self.note("count", [actor.number as i64]);
        // Only the calls of this thread are ordered before the call of `count`, so the visits must have ended.
        for visitor in &actor.visits {
            if ray::get_timeout(visitor, plan().watchdog).is_err_and(|error| error.is_timeout()) {
                give_up(&format!("a visit of actor {} does not end", actor.number));
            }
        }
        if self.model.uncertain[actor.number]
            || actor.dead
            || self.model.may_fail(actor.creation)
            || self.model.value(actor.creation).is_none()
        {
            return;
        }
        let (count, sent) = (ray::get_timeout(ledger.count.remote(), plan().watchdog), actor.sent);
        self.expect(&format!("the count of actor {}", actor.number), count.map(|thing| thing.value()), sent);
    }

    /// Checks that a named actor is found until it is killed, and that its name can be used again after that.
    pub(super) fn name(&mut self) {
        let name = format!("{} {}", self.number, self.turn);
        self.note("name", []);
        let is_fatal = |error: &Error| !is_excused(error) && !ending();
        for round in 0..2 {
            let actor = Ledger::options().name(name.clone()).remote(Thing::new(round));
            match ray::get_actor::<Ledger>(&name) {
                Ok(found) if found.id() == actor.id() => {}
                Err(error) if !is_fatal(&error) => return,
                other => give_up(&format!("`{name}` is not found: {other:?}")),
            }
            let same = Ledger::options().name(name.clone()).get_if_exists(true).remote(Thing::new(7));
            let held = ray::get(same.held.remote());
            if ending() {
                // During a shutdown this actor may belong to the next engine, in which the name is free.
                return;
            }
            self.expect("the state of a named actor", held, round);
            let _ = ray::kill(&actor);
            if ray::get_actor::<Ledger>(&name).is_ok() {
                give_up(&format!("`{name}` is found after its actor was killed"));
            }
        }
    }

    /// A call ends its actor: this call must fail with `ActorDied`, and every other call must end.
    pub(super) fn exit(&mut self) {
        let (class, blocks) = (self.chance.below(3), self.chance.one_in(2));
        let (before, after) = (self.chance.below(5), self.chance.below(5));
        self.note("exit", [class as i64, blocks as i64]);
        let mut calls = Vec::new();
        macro_rules! program {
            ($actor:expr, $note:expr) => {{
                let (actor, note) = ($actor, $note);
                calls.extend((0..before).map(|_| note(&actor)));
                if blocks && class == 2 {
                    calls.push(actor.block.remote(0));
                }
                let leaving = actor.leave.remote();
                calls.extend((0..after).map(|_| note(&actor)));
                leaving
            }};
        }
        let leaving = match class {
            0 => program!(Ledger::remote(Thing::new(0)), |actor: &ActorHandle<Ledger>| actor.echo.remote(Thing::new(0))),
            1 => program!(Crowd::remote(Thing::new(0)), |actor: &ActorHandle<Crowd>| actor.note.remote(Thing::new(0))),
            _ => program!(Desk::remote(Thing::new(0)), |actor: &ActorHandle<Desk>| actor.note.remote(Thing::new(0))),
        };
        match ray::get_timeout(leaving, plan().watchdog) {
            Err(error) if error.is_actor_died() || is_excused(&error) || ending() => {}
            other => give_up(&format!("a call that ends its actor (class {class}): {other:?}")),
        }
        for call in calls {
            match ray::get_timeout(call, plan().watchdog) {
                Err(error) if error.is_actor_died() || is_excused(&error) || ending() => {}
                Ok(thing) if thing.value() == 0 => {}
                other => give_up(&format!("a call beside one that ends its actor (class {class}): {other:?}")),
            }
        }
    }

    /// A call crashes its actor: this call and the calls beside it must be retried. The retries are an option of the class
    /// or of the creation.
    pub(super) fn phoenix(&mut self) {
        let (class, many, crash) = (self.chance.below(6), 1 + self.chance.below(5), self.chance.below(5));
        self.note("phoenix", [class as i64, many as i64, crash as i64]);
        macro_rules! calls {
            ($actor:expr, $note:ident) => {{
                let actor = $actor;
                (0..many)
                    .map(|at| {
                        let thing = Thing::new(at as i64);
                        if at == crash { actor.crash.remote(thing) } else { actor.$note.remote(thing) }
                    })
                    .collect::<Vec<_>>()
            }};
        }
        let calls = match class {
            0 => calls!(Phoenix::remote(Thing::new(1)), note),
            1 => calls!(Phoenixes::remote(Thing::new(1)), note),
            2 => calls!(AsyncPhoenix::remote(Thing::new(1)), note),
            3 => calls!(Ledger::options().max_restarts(-1).max_task_retries(-1).remote(Thing::new(1)), sum),
            4 => calls!(Crowd::options().max_restarts(-1).max_task_retries(-1).remote(Thing::new(1)), note),
            _ => calls!(Desk::options().max_restarts(-1).max_task_retries(-1).remote(Thing::new(1)), note),
        };
        for (at, call) in calls.into_iter().enumerate() {
            let outcome = ray::get_timeout(call, plan().watchdog).map(|thing| thing.value());
            self.expect(&format!("call {at} of {many} beside a crash in call {crash} (class {class})"), outcome, at as i64 + 1);
        }
    }
}
