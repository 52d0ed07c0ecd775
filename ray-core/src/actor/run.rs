//! The run right: taking it, using it, giving it back.

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use super::call::CallHead;
use super::cell::{ActorHead, ActorHold};
use super::life;
use super::mailbox::{Buffer, Record};
use super::right::{DEAD, GATED, OPEN, ORPHAN, RUNNING};
use crate::deadlock::{Blocker, Blockers};
use crate::error::{Error, ErrorKind};
use crate::runtime::FreeJob;
use crate::store::entry::Hold;
use crate::store::state::Phase;
use crate::task::{Ran, execute};
use crate::thread::{Frame, ThreadState};

/// So many calls a worker runs of one actor before others have their turn.
const TURN: usize = 256;

/// After so many calls in one turn an actor counts as busy.
const BUSY: usize = 16;
/// Turns of a spin, a few microseconds.
const PATIENCE: u32 = 200;

/// How a told call ended.
pub(crate) enum Ended {
    Fine,
    Crashed(Error),
}

/// Takes the run right.
pub(crate) fn begin(actor: &ActorHead, from_queue: bool) -> bool {
    actor.lock().begin(from_queue)
}

/// Puts the actor in the run queue, if it is not there and has something to do (or `anyway`).
pub(crate) fn schedule(actor: &ActorHold, anyway: bool) {
    let push = {
        let states = actor.lock();
        // SAFETY: without the run right taken, `front` is the lock's.
        let something = anyway
            || states.is(ORPHAN)
            || !states.back().is_empty()
            || !states.is(RUNNING) && unsafe { !(*actor.front.get()).is_empty() };
        something && states.schedule()
    };
    if push {
        enqueue(actor.clone());
    }
}

/// Puts an actor, marked as scheduled, in the run queue.
pub(crate) fn enqueue(actor: ActorHold) {
    match crate::thread::of(actor.epoch) {
        Ok(state) => {
            state.engine.queue_free(FreeJob::Actor(actor));
        }
        Err(_) => abandon(actor),
    }
}

/// The engine is gone: the actor ends here, or when its last body does.
pub(crate) fn abandon(actor: ActorHold) {
    let free = {
        let states = actor.lock();
        states.clear(GATED);
        states.begin(true)
    };
    if free {
        life::mark_dead(&actor, crate::thread::gone("its actors ended with it"));
        finish(&actor);
    }
}

/// A worker's turn with an actor, or several while nothing else waits.
pub(crate) fn work(state: &ThreadState, actor: ActorHold) {
    if !begin(&actor, true) {
        return;
    }
    let mut ran = 0;
    while state.engine.is_live() && step(state, &actor, ran >= BUSY) {
        ran += 1;
        if ran.is_multiple_of(TURN) && !state.engine.free.is_empty() {
            break;
        }
    }
    finish(&actor);
}

/// The next record, `front` being the caller's; swaps the buffers when it is empty.
#[inline]
#[allow(clippy::mut_from_ref, reason = "the run right, which the caller has, is what makes it exclusive")]
pub(crate) fn next(actor: &ActorHead, patient: bool) -> Option<&mut Buffer> {
    // SAFETY: the caller has the run right, and `front` is not open.
    let front = unsafe { &mut *actor.front.get() };
    if front.is_empty() {
        if patient && front.was_small() {
            // The sender is about as fast as we are: let it put a few together, or each call costs both of us a cache
            // miss on the lock.
            for _ in 0..PATIENCE {
                std::hint::spin_loop();
            }
        }
        front.reset();
        let states = actor.lock();
        std::mem::swap(front, states.back());
    }
    (!front.is_empty()).then_some(front)
}

/// Runs the next call; `false`: there is none, or none that may start now.
fn step(state: &ThreadState, actor: &ActorHold, patient: bool) -> bool {
    if let Some(rare) = actor.runners_rare() {
        if actor.is_dead() {
            return false;
        }
        if rare.replace.load(Ordering::Acquire) {
            if super::concurrent::hold_back(rare) {
                return false;
            }
            rare.replace.store(false, Ordering::Release);
            return life::restart(actor) && !actor.is_dead();
        }
        if let Some(admission) = rare.admission.get() {
            return super::concurrent::admit(state, actor, admission);
        }
    }
    let Some(front) = next(actor, patient) else { return false };
    let long = front.peek().is_some_and(|(_, spec, _)| !spec.is_short());
    let Some(record) = front.pop() else { return false };
    run_record(state, actor, record, long);
    true
}

/// Runs one record of a serial actor. The caller has the run right.
pub(crate) fn run_record(state: &ThreadState, actor: &ActorHold, record: Record, long: bool) {
    let crashed = match record {
        Record::Call(call) => {
            // SAFETY: a call's entry.
            if unsafe { CallHead::of(call.entry()) }.creates {
                create(state, actor, call);
                return;
            }
            if !call.state.claim() {
                return;
            }
            started(actor);
            if long {
                open(actor, true);
            }
            actor.set_current(call.entry());
            let frame = frame(state, actor, &call);
            let held = hold(state, actor);
            // SAFETY: claimed just now; the record's hold goes along, and `current` is cleared before it is given back.
            let crashed = unsafe { execute(state, call.into_entry(), true, frame) };
            state.cpu.set(held);
            if long {
                open(actor, false);
            }
            crashed
        }
        Record::Told(told, args) => {
            let held = hold(state, actor);
            // SAFETY: popped, so the arguments are ours; the buffer is not touched before they are read.
            let ended = unsafe { (told.run)(actor.head(), args, state, long) };
            state.cpu.set(held);
            match ended {
                Ended::Fine => None,
                Ended::Crashed(panic) => Some(panic),
            }
        }
    };
    if let Some(panic) = crashed {
        life::crashed(actor, panic);
    }
}

/// A body of a serial actor holds the CPUs that its actor holds for life: a blocking get in it lends them, as a task's does.
/// Otherwise an actor that has the last one would wait for ever for a task of its own. What the thread held before; the
/// caller sets it again after the body.
#[inline]
fn hold(state: &ThreadState, actor: &ActorHead) -> u64 {
    let held = state.cpu.get();
    if let Some(rare) = actor.runners_rare()
        && rare.granted.load(Ordering::Acquire)
        && let Some(settings) = rare.settings()
    {
        state.cpu.set(settings.resources.cpu());
    }
    held
}

/// A call has begun, or never will, where that is counted.
#[inline]
pub(crate) fn started(actor: &ActorHead) {
    if let Some(unstarted) = counted(actor) {
        unstarted.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A call that had begun is to begin again.
pub(crate) fn unstarted(actor: &ActorHead) {
    if let Some(unstarted) = counted(actor) {
        unstarted.fetch_add(1, Ordering::AcqRel);
    }
}

#[inline]
fn counted(actor: &ActorHead) -> Option<&AtomicU64> {
    let rare = actor.runners_rare()?;
    rare.settings()?.max_pending_calls.map(|_| &rare.unstarted)
}

/// Opens `front` to the lock, or closes it again.
pub(crate) fn open(actor: &ActorHead, open: bool) {
    let states = actor.lock();
    if open {
        states.set(OPEN);
    } else {
        states.clear(OPEN);
    }
}

fn frame(state: &ThreadState, actor: &ActorHold, call: &Hold) -> Frame {
    let spec = call.task().map_or(actor.vtable.spec, |head| head.vtable().definition());
    Frame {
        below: state.frame.get(),
        entry: Some(call.entry()),
        actor: Some(actor.head()),
        spec,
        caller: Cell::new(0),
        is_async: false,
        crashed: Cell::new(None),
    }
}

/// Runs the creation.
pub(crate) fn create(state: &ThreadState, actor: &ActorHold, creation: Hold) {
    if !creation.state.claim() {
        // Cancelled before it began; who cancels it may be about to write the error.
        let error = match creation.phase() {
            Phase::Failed => creation.error(),
            _ => Error::new(ErrorKind::Cancelled, "its creation was cancelled"),
        };
        life::end(actor, life::stillborn(actor, error));
        return;
    }
    if let Some(rare) = actor.known_rare() {
        rare.begun.store(true, Ordering::Release);
    }
    match construct(state, actor, &creation) {
        None => {
            // SAFETY: claimed, and the unit value is written; the record's hold goes along.
            unsafe { crate::store::entry::publish(creation.into_entry(), true) };
        }
        Some(error) => {
            let error = life::stillborn(actor, error);
            // What was called meanwhile has the cause from the actor; the creation's own reference is the engine's.
            creation.state.set_seen();
            // SAFETY: alive by the hold.
            unsafe { crate::store::entry::fail(creation.entry(), |_| true, error.clone()) };
            life::end(actor, error);
        }
    }
}

/// Runs the constructor; the error it failed with, if it did. The caller has the run right.
pub(crate) fn construct(state: &ThreadState, actor: &ActorHold, creation: &Hold) -> Option<Error> {
    let head = creation.task()?;
    let frame = frame(state, actor, creation);
    // A constructor may be long, and what came with the creation is to fail when the actor is killed meanwhile.
    // SAFETY: `front` is ours with the run right.
    let queued = unsafe { !(*actor.front.get()).is_empty() };
    if queued {
        open(actor, true);
    }
    state.frame.set(&raw const frame);
    let held = hold(state, actor);
    // SAFETY: the run right is ours and there is no instance; the arguments are the creation's, kept or not.
    let ran = unsafe { (head.vtable().run)(creation.entry(), state) };
    state.cpu.set(held);
    crate::task::leave_frame(state, &frame);
    if queued {
        open(actor, false);
    }
    crate::task::children::release(head);
    match ran {
        Ran::Value => {
            actor.alive.store(true, Ordering::Release);
            None
        }
        Ran::Failed(error) => Some(head.blame(error)),
        Ran::Again | Ran::Spawned => None,
    }
}

/// Gives the run right back; ends the actor if nobody can call it any more.
pub(crate) fn finish(actor: &ActorHold) {
    let rare = actor.known_rare();
    let admission = rare.and_then(|rare| rare.admission.get());
    let (push, dead, orphan, prepaid) = {
        let states = actor.lock();
        if states.is(DEAD) {
            // Who buries it keeps the run right; the last of the calls that still run will take it.
            let busy = admission.is_some_and(|admission| admission.is_busy());
            if busy {
                states.clear(RUNNING);
            }
            (false, !busy, false, 0)
        } else {
            // SAFETY: the run right is still ours.
            let front = unsafe { &mut *actor.front.get() };
            let empty = front.is_empty() && states.back().is_empty();
            if empty {
                front.shrink();
            }
            let stuck = admission.is_some_and(|admission| admission.is_waiting());
            let busy = admission.is_some_and(|admission| admission.is_busy());
            let orphan = empty && states.is(ORPHAN) && !busy && !actor.has_backlog.load(Ordering::Acquire);
            let replace = rare.is_some_and(|rare| rare.replace.load(Ordering::Acquire)) && !busy;
            let mut prepaid = 0;
            if orphan {
                states.set(DEAD);
                prepaid = states.take_prepaid();
            }
            (!orphan && states.finish(!empty && !stuck || replace), false, orphan, prepaid)
        }
    };
    if push {
        enqueue(actor.clone());
    } else if orphan {
        actor.give_holds_back(prepaid);
        if let Some(engine) = rare.and_then(|_| crate::runtime::running()) {
            engine.names.remove(actor);
        }
        life::bury(actor);
    } else if dead {
        life::bury(actor);
    }
}

/// The last handle is gone.
pub(crate) fn orphaned(head: NonNull<ActorHead>) {
    // SAFETY: the handles' common hold, which is given back at the end.
    let actor = unsafe { ActorHold::adopt(head) };
    let push = {
        let states = actor.lock();
        states.set(ORPHAN);
        states.schedule()
    };
    if push {
        enqueue(actor);
    } else {
        super::create::forsaken(&actor);
    }
}

/// What a call that has not begun waits for with certainty: the creation of its actor, or the bodies that hold that.
pub(crate) fn holders(call: &Hold) -> Blockers {
    // SAFETY: a call's entry.
    let head = unsafe { CallHead::of(call.entry()) };
    if call.phase() != Phase::Queued || head.creates {
        return Blockers::each(Vec::new());
    }
    let actor = &head.actor;
    let rare = actor.known_rare();
    if let Some(creation) = rare.and_then(|rare| rare.unready()) {
        return Blockers::each(vec![Blocker::Entry(creation)]);
    }
    if let Some(admission) = rare.and_then(|rare| rare.admission.get())
        && actor.alive.load(Ordering::Acquire)
    {
        return admission.holders(call, head.exclusive);
    }
    Blockers::each(match actor.running_call() {
        // It has begun since it was looked at.
        Some(running) if running.entry() == call.entry() => Vec::new(),
        Some(running) => vec![Blocker::Entry(running)],
        // A told call or the constructor, which the actor itself stands for.
        None => vec![Blocker::Actor(actor.head().as_ptr().addr())],
    })
}
