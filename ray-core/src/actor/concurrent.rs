//! Concurrent actors: whose calls run side by side.
//!
//! The run right only admits. A call is admitted in the order of the mailbox: one that needs `&self` while fewer than
//! `limit` run and none is exclusive, one that needs `&mut self` when nothing runs. An async call's future is spawned,
//! a sync one goes to the workers; its end frees the slot and has the next admitted. So what `&mut` promises the
//! borrow checker is true: nothing else touches the instance.

use parking_lot::Mutex;
use std::cell::Cell;
use std::sync::atomic::Ordering;

use super::call::CallHead;
use super::cell::ActorHold;
use super::life::{self, Rare};
use super::mailbox::Record;
use super::right::{DEAD, RUNNING};
use super::run;
use crate::deadlock::{Blocker, Blockers};
use crate::error::Error;
use crate::runtime::FreeJob;
use crate::store::entry::Hold;
use crate::store::state::Phase;
use crate::task::execute;
use crate::task::future::Over;
use crate::thread::{Frame, ThreadState};

/// The slots of an actor.
pub(crate) struct Admission {
    limit: usize,
    slots: Mutex<Slots>,
}

#[derive(Default)]
struct Slots {
    running: Vec<Hold>,
    exclusive: bool,
    /// A call at the front of the mailbox could not be admitted.
    waiting: bool,
    /// That call needs the instance for itself.
    waits_alone: bool,
    /// A body crashed: nothing more is admitted until the instance is replaced.
    crashed: bool,
}

/// A sync call with a slot.
pub(crate) struct Admitted(Hold);

impl Admission {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit: limit as usize, slots: Mutex::new(Slots::default()) }
    }

    fn admit(&self, call: &Hold, exclusive: bool) -> bool {
        let mut slots = self.slots.lock();
        let free = !slots.crashed
            && !slots.exclusive
            && if exclusive { slots.running.is_empty() } else { slots.running.len() < self.limit };
        if free {
            slots.exclusive = exclusive;
            // SAFETY: alive by the caller's hold.
            slots.running.push(unsafe { Hold::new(call.entry()) });
        } else {
            slots.waiting = true;
            slots.waits_alone = exclusive;
        }
        free
    }

    /// There is a fresh instance.
    pub(crate) fn forget_crash(&self) {
        let mut slots = self.slots.lock();
        slots.crashed = false;
        slots.waiting = false;
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.slots.lock().waiting
    }

    pub(crate) fn is_busy(&self) -> bool {
        !self.slots.lock().running.is_empty()
    }

    /// What a queued call waits for with certainty: all bodies inside, if it needs the instance for itself or stands
    /// behind one that does; one of them, if they have all the slots.
    pub(crate) fn holders(&self, call: &Hold, exclusive: bool) -> Blockers {
        let slots = self.slots.lock();
        if slots.running.iter().any(|running| running.entry() == call.entry()) {
            // It was admitted since it was looked at.
            return Blockers::each(Vec::new());
        }
        // SAFETY: held by the slots.
        let running = || slots.running.iter().map(|call| Blocker::Entry(unsafe { Hold::new(call.entry()) })).collect();
        if exclusive || slots.exclusive || (slots.waiting && slots.waits_alone) {
            Blockers::each(running())
        } else if slots.running.len() >= self.limit {
            Blockers::one(running())
        } else {
            Blockers::each(Vec::new())
        }
    }

    /// The calls that run.
    pub(crate) fn running(&self) -> Vec<Hold> {
        // SAFETY: held by the slots.
        self.slots.lock().running.iter().map(|call| unsafe { Hold::new(call.entry()) }).collect()
    }
}

pub(crate) fn is_busy(rare: &Rare) -> bool {
    rare.admission.get().is_some_and(Admission::is_busy)
}

/// The instance is to be replaced: calls that run still keep it, and the last of them will have the actor run again.
pub(crate) fn hold_back(rare: &Rare) -> bool {
    rare.admission.get().is_some_and(|admission| {
        let mut slots = admission.slots.lock();
        slots.waiting |= !slots.running.is_empty();
        !slots.running.is_empty()
    })
}

/// Admits the next call of the mailbox; `false`: there is none, or no slot. The caller has the run right.
pub(crate) fn admit(state: &ThreadState, actor: &ActorHold, admission: &Admission) -> bool {
    let Some(front) = run::next(actor, false) else { return false };
    let Some((_, _, Some(entry))) = front.peek() else { return false };
    // SAFETY: held by the record.
    let head = unsafe { CallHead::of(entry) };
    let (creates, exclusive, is_async) = (head.creates, head.exclusive, head.task.vtable().is_async);
    if creates {
        if let Some(Record::Call(creation)) = front.pop() {
            run::create(state, actor, creation);
        }
        return true;
    }
    // SAFETY: held by the record.
    let call = unsafe { Hold::new(entry) };
    if call.phase().is_settled() {
        front.pop();
        return true;
    }
    if !admission.admit(&call, exclusive) {
        return false;
    }
    front.pop();
    if !call.state.step(Phase::Queued, Phase::Running) {
        leave(&call, None);
        return true;
    }
    run::started(actor);
    if is_async {
        // The body of an async method is but the making of its future.
        execute_call(state, &call);
    } else {
        state.engine.queue_free(FreeJob::Call(Admitted(call)));
        state.engine.kick();
    }
    true
}

fn execute_call(state: &ThreadState, call: &Hold) -> Option<Error> {
    // SAFETY: a call's entry.
    let head = unsafe { CallHead::of(call.entry()) };
    let frame = Frame {
        below: state.frame.get(),
        entry: Some(call.entry()),
        actor: Some(head.actor.head()),
        spec: head.task.vtable().definition(),
        caller: Cell::new(0),
        is_async: head.task.vtable().is_async,
        crashed: Cell::new(None),
    };
    // SAFETY: claimed by whoever admitted it; the caller's hold is lent.
    unsafe { execute(state, call.entry(), false, frame) }
}

/// Runs a sync call that has a slot.
pub(crate) fn run(state: &ThreadState, Admitted(call): Admitted) {
    let crashed = execute_call(state, &call);
    leave(&call, crashed);
}

/// Never run, since the engine is gone.
pub(crate) fn abandon(Admitted(call): Admitted) {
    // SAFETY: alive by the hold; claimed, so the arguments are ours.
    unsafe {
        if let Some(head) = call.task() {
            (head.vtable().drop_args)(call.entry());
        }
        call.state.set_seen();
        crate::store::entry::fail(call.entry(), |_| true, crate::thread::gone("the call had not started"));
    }
    leave(&call, None);
}

/// What the end of an async call's future does.
pub(crate) fn over(entry: std::ptr::NonNull<crate::store::entry::Header>) -> Over {
    // SAFETY: the call runs, so it is alive.
    let call = unsafe { Hold::new(entry) };
    Box::new(move |crashed| leave(&call, crashed))
}

/// The body of a call is over: frees its slot, and has the next admitted.
pub(crate) fn leave(call: &Hold, crashed: Option<Error>) {
    // SAFETY: a call's entry.
    let actor = unsafe { &CallHead::of(call.entry()).actor };
    let Some(admission) = actor.known_rare().and_then(|rare| rare.admission.get()) else { return };
    let first_crash = {
        let mut slots = admission.slots.lock();
        slots.running.retain(|other| other.entry() != call.entry());
        if slots.running.is_empty() {
            slots.exclusive = false;
        }
        let first = crashed.is_some() && !slots.crashed;
        slots.crashed |= first;
        first
    };
    if first_crash && let Some(panic) = crashed {
        // As a process that ends: the calls beside it fail with it, now.
        let error = life::mourn(actor, panic);
        if life::can_restart(actor) {
            actor.rare().replace.store(true, Ordering::Release);
        } else {
            life::mark_dead(actor, error.clone());
        }
        life::fail_running(actor, &error);
    }
    let (was_waiting, idle) = {
        let mut slots = admission.slots.lock();
        (std::mem::take(&mut slots.waiting), slots.running.is_empty())
    };
    let replace = idle && actor.rare().replace.load(Ordering::Acquire);
    let mine = idle && {
        let states = actor.lock();
        // The instance is to be dropped, which needs the run right; a dispatcher that has it now will see to it.
        let mine = !states.is(RUNNING) && states.is(DEAD);
        if mine {
            states.set(RUNNING);
        }
        mine
    };
    if mine {
        run::finish(actor);
    } else if was_waiting || idle {
        // Whoever has the run right (next) replaces the instance before it admits another call.
        run::schedule(actor, replace);
    }
}
