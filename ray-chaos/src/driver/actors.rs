//! Actors of a driver's own, and the one that all drivers share.

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

/// Does the same with a handle of any class.
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
    birth: usize,
    held: i64,
    /// How calls may fail from now on.
    doom: Errors,
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
        let birth = self.model.add_birth(a);
        let number = self.model.add_actor();
        let held = self.model.value(birth).unwrap_or(0);
        let restarts = self.chance.one_in(2);
        let most = if restarts { 1_000_000 } else { 0 };
        let handle = match self.chance.below(3) {
            0 => Handle::Crowd(Crowd::options().max_restarts(most).remote(object)),
            1 => Handle::Desk(Desk::options().max_restarts(most).remote(object)),
            _ => Handle::Ledger(Ledger::options().max_restarts(most).remote(object)),
        };
        self.note("new actor", [number as i64, a as i64]);
        let (doom, dead, sent, seq, visits) = (Errors::NONE, false, 0, 0, Vec::new());
        self.actors.push(Actor { handle, number, birth, held, doom, dead, restarts, sent, seq, visits });
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
        let (number, dead, doom, held, birth) = (actor.number, actor.dead, actor.doom, actor.held, actor.birth);
        actor.seq += 1;
        let (seq, caller) = (actor.seq, self.number as u64);
        let ledger = actor.is_ledger();
        if how == 0 && !dead {
            // Told with a plain value: a ledger counts it for certain.
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
        let deps: Vec<usize> = [Some(birth), a].into_iter().flatten().collect();
        let died = if dead { errors([ErrorKind::ActorDied]) } else { Errors::NONE };
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
        self.enter("call", node, object);
    }

    /// A call that ends the instance.
    pub(super) fn tear(&mut self) {
        let at = self.pick_actor();
        let (a, object) = self.pick();
        let actor = &mut self.actors[at];
        let (number, birth) = (actor.number, actor.birth);
        let object = each!(&actor.handle, actor => actor.tear.remote(object));
        if !actor.restarts || !actor.is_ledger() {
            // Calls beside it fail with it, now or later.
            actor.doom = actor.doom.and(unavailable());
        }
        let doom = actor.doom;
        let unsure = |model: &mut Model| model.uncertain[number] = true;
        unsure(&mut self.model);
        if !doom.is_none() {
            self.model.widen_calls(number, doom);
        }
        let node = self.model.add(&[birth, a], unavailable(), Some(number), |_| None);
        self.enter("tear", node, object);
    }

    /// The shared ledger: never killed, and given no argument that may fail.
    pub(super) fn call_shared(&mut self) {
        let (a, object) = self.pick();
        self.seq += 1;
        let caller = 100 + self.number as u64;
        if self.model.may_fail(a) || self.model.value(a).is_none() || !self.chance.one_in(3) {
            self.shared.ledger.hear.tell(caller, self.seq, Thing::new(2));
            self.note("tell the shared one", []);
        } else {
            // Its reference stays where no cancel finds it.
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
        let (dead, doom, birth, number) = (actor.dead && calls > 0, actor.doom, actor.birth, actor.number);
        actor.sent += calls as i64;
        let deps = if calls > 0 { vec![birth] } else { vec![] };
        let died = if dead { errors([ErrorKind::ActorDied]) } else { Errors::NONE };
        let node = self.model.add(&deps, doom.and(died), Some(number), |_| (!dead).then_some(calls as i64));
        let object = visit.remote(ledger, caller, calls);
        actor.visits.push(object.clone());
        self.enter("visit", node, object);
    }

    pub(super) fn kill_one(&mut self) {
        let at = self.pick_actor();
        let again = self.chance.one_in(2);
        let actor = &mut self.actors[at];
        let number = actor.number;
        each!(&actor.handle, actor => if again { ray::kill_and_restart(actor) } else { ray::kill(actor) });
        let mut kinds = errors([ErrorKind::ActorDied]);
        if actor.restarts {
            kinds = unavailable();
        }
        if !again {
            actor.dead = true;
        } else if !actor.restarts || !actor.is_ledger() {
            // Without a restart it ends, unless its creation still waits for the argument; with one, calls are cut off that
            // are admitted while the old ones end.
            actor.doom = actor.doom.and(kinds);
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

    /// A ledger that nothing could happen to has counted every call.
    pub(super) fn count_calls(&mut self, at: usize) {
        let actor = &self.actors[at];
        let Handle::Ledger(ledger) = &actor.handle else { return };
        self.note("count", [actor.number as i64]);
        // Of all callers only this thread is ordered before the question: visitors must have been heard first.
        for visitor in &actor.visits {
            if ray::get_timeout(visitor, plan().watchdog).is_err_and(|error| error.is_timeout()) {
                give_up(&format!("a visit of actor {} never ends", actor.number));
            }
        }
        if self.model.uncertain[actor.number]
            || actor.dead
            || self.model.may_fail(actor.birth)
            || self.model.value(actor.birth).is_none()
        {
            return;
        }
        let (count, sent) = (ray::get_timeout(ledger.count.remote(), plan().watchdog), actor.sent);
        self.expect(&format!("the count of actor {}", actor.number), count.map(|thing| thing.value()), sent);
    }

    /// A named actor is found, ends, and leaves its name free.
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
                // Beside a shutdown this one may be of the next engine, where the name is free.
                return;
            }
            self.expect("the state of a named actor", held, round);
            ray::kill(&actor);
            if ray::get_actor::<Ledger>(&name).is_ok() {
                give_up(&format!("`{name}` is found after its actor was killed"));
            }
        }
    }

    /// An actor that leaves: each call ends, the leaving one with `ActorDied`.
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

    /// Calls beside one that crashes are made again, and so is that one: where the class says so, or its creation.
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
