//! The turn of a runner: it takes the execution lock, runs calls, and releases the lock.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::actor::call::CallHold;
use crate::actor::execution::{begin, count_started, frame_of, hold_cpus, next, release_cpus};
use crate::actor::head::{ActorHead, ActorHold};
use crate::actor::mailbox::{Buffer, Record};
use crate::actor::names::Names;
use crate::actor::run_state::{Finish, Life, Step};
use crate::actor::schedule::enqueue;
use crate::actor::{concurrent, construct, interrupt, lifecycle};
use crate::engine::execute::execute;
use crate::engine::free_job::{FreeWork, Leftovers};
use crate::engine::thread_state::ThreadState;
use crate::object::state::Phase;
use crate::task::blockers::{Blocker, Blockers};
use crate::task::runner::Runner;

/// After so many calls of one actor a worker thread looks whether other work waits.
const TURN: usize = 256;

/// After so many calls in one turn an actor counts as busy.
const BUSY: usize = 16;

/// An actor with calls in its mailbox, in the run queue.
impl FreeWork for ActorHold {
    const PREFETCH: usize = size_of::<ActorHead>();

    #[inline]
    fn into_raw(self) -> NonNull<()> {
        std::mem::ManuallyDrop::new(self).head().cast()
    }

    #[inline]
    unsafe fn from_raw(data: NonNull<()>) -> Self {
        // SAFETY: `into_raw` has made the pointer of a hold, and the caller uses it once.
        unsafe { ActorHold::adopt(data.cast()) }
    }

    #[inline]
    fn run(self, runner: Runner<'_>) {
        work(ThreadState::of(runner), self);
    }

    fn abandon(self, _: &mut Leftovers) {
        lifecycle::abandon(&self);
    }
}

/// A worker thread's turn with an actor, or several turns while no other work waits.
fn work(state: &ThreadState, actor: ActorHold) {
    let mut ran = 0;
    if begin(&actor, true) {
        let mut is_runner = true;
        while state.engine.is_live() {
            match step(state, &actor, ran >= BUSY) {
                Step::Ran => ran += 1,
                Step::Idle => break,
                Step::HandedOver => {
                    ran += 1;
                    is_runner = false;
                    break;
                }
            }
            if ran.is_multiple_of(TURN) && !state.engine.free.is_empty() {
                break;
            }
        }
        if is_runner {
            finish(&actor);
        }
    }
    if ran == 0 {
        state.engine.workers.in_vain.fetch_add(1, Ordering::Relaxed);
    }
}

/// Runs the next call. The runner is outside the mailbox before and after it, see
/// [`Current`](crate::actor::current::Current).
fn step(state: &ThreadState, actor: &ActorHold, patient: bool) -> Step {
    actor.current.enter_mailbox();
    if let Some(cold) = actor.cold_state_for_runner() {
        match actor.life() {
            Life::Dead | Life::Final => {
                actor.current.leave_mailbox();
                return Step::Idle;
            }
            Life::Replacing => {
                actor.current.leave_mailbox();
                return construct::replace(state, actor);
            }
            _ => {}
        }
        if let Some(admission) = cold.admission.get() {
            return concurrent::admit(state, actor, admission);
        }
    }
    let Some(record) = next(actor, patient).and_then(Buffer::pop) else {
        actor.current.leave_mailbox();
        return Step::Idle;
    };
    run_record(state, actor, record)
}

/// Runs one record of a serial actor. The caller is the runner and is in the mailbox; afterwards it is not.
#[inline]
pub(crate) fn run_record(state: &ThreadState, actor: &ActorHold, record: Record) -> Step {
    match record {
        Record::Call(call) => {
            // SAFETY: only calls are put into mailboxes.
            let call = unsafe { CallHold::of_call(call) };
            if call.creates {
                actor.current.leave_mailbox();
                return construct::create(state, actor, call);
            }
            if !call.hold().state.claim() {
                actor.current.leave_mailbox();
                return Step::Ran;
            }
            actor.current.begin_call(call.hold().entry().as_ptr());
            count_started(actor);
            let frame = frame_of(state, &call);
            let held = hold_cpus(state, actor);
            // SAFETY: `claim` has moved the call to `Running`. The hold is given away; `execute` clears `current` before it
            // gives the hold back.
            unsafe { execute(state, call.into_hold().into_entry(), true, frame) };
            release_cpus(state, held);
        }
        Record::Told(told, args) => {
            let held = hold_cpus(state, actor);
            // SAFETY: the record was taken out, so `run` may take its arguments. The caller is in the mailbox until `run`
            // has read them, so the buffer does not change before.
            let panic = unsafe { (told.run)(actor.head().cast(), args, state) };
            release_cpus(state, held);
            if let Some(panic) = panic {
                lifecycle::crashed(actor, None, &panic);
            }
        }
    }
    Step::Ran
}

/// Releases the execution lock; ends the actor if no thread can call it any more. The caller is the runner, and not in the
/// mailbox.
pub(crate) fn finish(actor: &ActorHold) {
    let (finish, prepaid, unlisted) = {
        let states = actor.lock();
        if states.is_dead() {
            drop(states);
            return finish_dead(actor);
        }
        // SAFETY: the caller is the runner, to which `front` belongs (rule 4 of `head`).
        let front = unsafe { &mut *actor.front.get() };
        let mut empty = front.is_empty() && states.back().is_empty();
        if empty {
            front.shrink();
        }
        if let Some(groups) = actor.admission().and_then(|admission| admission.groups.as_ref()) {
            if !empty {
                // A new call may be of a group with a free slot. The caller is the runner, so this only clears the flag.
                let _ = states.look_again();
            }
            empty &= !groups.has_waiting();
        }
        let finish = states.finish(empty, actor.has_backlog.load(Ordering::Acquire));
        let prepaid = if finish == Finish::End { states.take_prepaid() } else { 0 };
        let unlisted = finish == Finish::Nothing && states.list();
        (finish, prepaid, unlisted)
    };
    match finish {
        Finish::Nothing if unlisted => list(actor),
        Finish::Nothing => {}
        Finish::Enqueue => enqueue(actor.clone()),
        Finish::End | Finish::Finalize => {
            actor.give_holds_back(prepaid);
            lifecycle::free_name(actor);
            lifecycle::finalize(actor);
        }
    }
}

/// As [`finish`], for a dead actor. Fails the calls in `front` that the killer could not reach.
#[cold]
fn finish_dead(actor: &ActorHold) {
    let (finish, front) = {
        let states = actor.lock();
        // SAFETY: the caller is the runner, to which `front` belongs, and a killer that reaches it needs the lock, which is
        // held (rule 4 of `head`).
        let front = unsafe { states.take_front() };
        (states.finish(true, false), front)
    };
    interrupt::fail_all(actor, front);
    if finish == Finish::Finalize {
        lifecycle::finalize(actor);
    }
}

/// Puts the actor in the list of living actors, for the shutdown of its engine.
#[cold]
fn list(actor: &ActorHold) {
    let entered = match crate::engine::thread::of(actor.epoch) {
        Ok(state) => {
            let entered = Names::of(&state.engine).living.enter(actor);
            if entered && actor.is_dead() {
                // The thread that ended the actor may have tried to remove it before it was in the list.
                Names::of(&state.engine).living.leave(actor);
            }
            entered
        }
        Err(_) => false,
    };
    if !entered {
        lifecycle::abandon(actor);
    }
}

/// What must end before a call that has not begun can begin: the creation of its actor, or the bodies that use the
/// instance.
pub(crate) fn holders(call: &CallHold) -> Blockers {
    if call.hold().phase() != Phase::Queued {
        return Blockers::none();
    }
    let actor = &call.actor;
    let cold = actor.known_cold_state();
    if let Some(creation) = cold.and_then(|cold| cold.unready()) {
        return Blockers::each(vec![Blocker::Entry(creation)]);
    }
    if let Some(admission) = actor.admission()
        && actor.alive.load(Ordering::Acquire)
    {
        return admission.holders(&actor.run_state, call.hold(), usize::from(call.group), call.exclusive);
    }
    Blockers::each(match actor.running_call() {
        // The call has begun after the caller had looked at it.
        Some(running) if running.entry() == call.hold().entry() => Vec::new(),
        Some(running) => vec![Blocker::Entry(running)],
        // A told call or the constructor runs. The actor itself stands for it.
        None => vec![Blocker::Actor(actor.address())],
    })
}
