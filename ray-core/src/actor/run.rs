//! The run right: taking it, using it, giving it back.

use crate::actor::names::Names;
use crate::task::runner::Runner;
use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::actor::call::CallHead;
use crate::actor::cell::{ActorHead, ActorHold};
use crate::actor::life::By;
use crate::actor::mailbox::{Buffer, Record};
use crate::actor::run_state::{Finish, Life, Made};
use crate::actor::{interrupt, life};
use crate::base::error::Error;
use crate::engine::execute::execute;
use crate::engine::free_job::{FreeJob, FreeWork, Leftovers};
use crate::engine::thread_state::{Frame, ThreadState};
use crate::object::entry::Hold;
use crate::object::state::Phase;
use crate::task::blockers::{Blocker, Blockers};
use crate::task::head::Ran;

/// So many calls a worker runs of one actor before others have their turn.
const TURN: usize = 256;

/// After so many calls in one turn an actor counts as busy.
const BUSY: usize = 16;
/// Turns of a spin, a few microseconds.
const PATIENCE: u32 = 200;

/// Takes the run right.
pub(crate) fn begin(actor: &ActorHead, from_queue: bool) -> bool {
    actor.lock().begin(from_queue)
}

/// Puts the actor in the run queue, if it is not there and has something to do.
pub(crate) fn schedule(actor: &ActorHold) {
    let enqueue_it = {
        let states = actor.lock();
        let something = states.is_orphan()
            || !states.back().is_empty()
            // SAFETY: without a runner, `front` is the lock's.
            || !states.has_runner() && unsafe { !(*actor.front.get()).is_empty() };
        something && states.schedule()
    };
    if enqueue_it {
        enqueue(actor.clone());
    }
}

/// Puts an actor, marked as scheduled, in the run queue.
pub(crate) fn enqueue(actor: ActorHold) {
    match crate::engine::thread::of(actor.epoch) {
        Ok(state) => {
            crate::engine::queue::queue_free(&state.engine, FreeJob::of(actor));
        }
        Err(_) => abandon(&actor),
    }
}

/// The engine is gone: the actor ends here, or when its last body does.
pub(crate) fn abandon(actor: &ActorHold) {
    life::end(actor, crate::base::epoch::gone("its actors ended with it"), By::Other);
}

/// An actor with calls in its mailbox, in the run queue.
impl FreeWork for ActorHold {
    const PREFETCH: usize = size_of::<ActorHead>();

    #[inline]
    fn into_raw(self) -> NonNull<()> {
        std::mem::ManuallyDrop::new(self).head().cast()
    }

    #[inline]
    unsafe fn from_raw(data: NonNull<()>) -> Self {
        // SAFETY: the caller's promise; it was made of a hold.
        unsafe { ActorHold::adopt(data.cast()) }
    }

    #[inline]
    fn run(self, runner: Runner<'_>) {
        work(ThreadState::of(runner), self);
    }

    fn abandon(self, _: &mut Leftovers) {
        abandon(&self);
    }
}

/// A worker's turn with an actor, or several while nothing else waits.
fn work(state: &ThreadState, actor: ActorHold) {
    let mut ran = 0;
    if begin(&actor, true) {
        while state.engine.is_live() && step(state, &actor, ran >= BUSY) {
            ran += 1;
            if ran.is_multiple_of(TURN) && !state.engine.free.is_empty() {
                break;
            }
        }
        finish(&actor);
    }
    if ran == 0 {
        state.engine.workers.in_vain.fetch_add(1, Ordering::Relaxed);
    }
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

/// Runs the next call; `false`: there is none, or none that may start now. Between two turns the runner is out of the
/// mailbox, as [`Current`](crate::actor::current::Current) has it.
fn step(state: &ThreadState, actor: &ActorHold, patient: bool) -> bool {
    actor.current.enter_mailbox();
    if let Some(rare) = actor.runners_rare() {
        match actor.life() {
            Life::Dead | Life::Final => {
                actor.current.leave_mailbox();
                return false;
            }
            Life::Replacing => {
                actor.current.leave_mailbox();
                return life::replace(state, actor);
            }
            _ => {}
        }
        if let Some(admission) = rare.admission.get() {
            return crate::actor::concurrent::admit(state, actor, admission);
        }
    }
    let Some(record) = next(actor, patient).and_then(Buffer::pop) else {
        actor.current.leave_mailbox();
        return false;
    };
    run_record(state, actor, record);
    true
}

/// Runs one record of a serial actor. The caller has the run right, and is in the mailbox.
#[inline]
pub(crate) fn run_record(state: &ThreadState, actor: &ActorHold, record: Record) {
    match record {
        Record::Call(call) => {
            // SAFETY: a call's entry.
            if unsafe { CallHead::of(call.entry()) }.creates {
                actor.current.leave_mailbox();
                life::create(state, actor, call);
                return;
            }
            if !call.state.claim() {
                actor.current.leave_mailbox();
                return;
            }
            actor.current.begin_call(call.entry().as_ptr());
            started(actor);
            let frame = frame(state, actor, &call);
            let held = hold(state, actor);
            // SAFETY: claimed just now; the record's hold goes along, and `current` lets go of it before it is given back.
            unsafe { execute(state, call.into_entry(), true, frame) };
            state.cpu.set(held);
        }
        Record::Told(told, args) => {
            let held = hold(state, actor);
            // SAFETY: popped, so the arguments are ours, and the caller is in the mailbox, so the buffer is not touched.
            let panic = unsafe { (told.run)(actor.head(), args, state) };
            state.cpu.set(held);
            if let Some(panic) = panic {
                life::crashed(actor, None, &panic);
            }
        }
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

fn frame(state: &ThreadState, actor: &ActorHold, call: &Hold) -> Frame {
    let spec = call.task().map_or(actor.vtable.spec, |head| head.vtable().definition());
    Frame {
        below: state.frame.get(),
        entry: Some(call.entry()),
        actor: Some(actor.head()),
        spec,
        caller: Cell::new(0),
        is_async: false,
        crashed: Cell::new(false),
    }
}

/// Runs the constructor: how it ended, and with what error. The caller has the run right, and is not in the mailbox.
#[inline]
pub(crate) fn construct(state: &ThreadState, actor: &ActorHold, creation: &Hold) -> (Made, Option<Error>) {
    let Some(head) = creation.task() else { return (Made::Error, None) };
    let frame = frame(state, actor, creation);
    state.frame.set(&raw const frame);
    let held = hold(state, actor);
    // SAFETY: the run right is ours and there is no instance; the arguments are the creation's, kept or not.
    let ran = unsafe { (head.vtable().run)(creation.entry(), state.runner()) };
    state.cpu.set(held);
    crate::engine::execute::leave_frame(state, &frame);
    crate::task::children::release(head);
    match ran {
        Ran::Value => {
            actor.alive.store(true, Ordering::Release);
            (Made::Instance, None)
        }
        Ran::Failed(error) => {
            let made = if frame.crashed.get() { Made::Panic } else { Made::Error };
            (made, Some(head.blame(error)))
        }
        Ran::Again | Ran::Spawned => unreachable!("a constructor is not tried again by itself, and is no future"),
    }
}

/// Gives the run right back; ends the actor if nobody can call it any more. The caller is not in the mailbox.
pub(crate) fn finish(actor: &ActorHold) {
    let (finish, prepaid, unlisted) = {
        let states = actor.lock();
        if states.is_dead() {
            drop(states);
            return finish_dead(actor);
        }
        // SAFETY: the run right is still ours, and the lock is held.
        let front = unsafe { &mut *actor.front.get() };
        let empty = front.is_empty() && states.back().is_empty();
        if empty {
            front.shrink();
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
            life::free_name(actor);
            life::finalize(actor);
        }
    }
}

#[cold]
fn finish_dead(actor: &ActorHold) {
    let (finish, front) = {
        let states = actor.lock();
        // What the killer could not reach.
        // SAFETY: the run right is still ours, and the lock is held.
        let front = unsafe { states.take_front() };
        (states.finish(true, false), front)
    };
    interrupt::fail_all(actor, front);
    if finish == Finish::Finalize {
        life::finalize(actor);
    }
}

/// Enters the actor among the living, for the shutdown of its engine.
#[cold]
fn list(actor: &ActorHold) {
    let entered = match crate::engine::thread::of(actor.epoch) {
        Ok(state) => {
            let entered = Names::of(&state.engine).living.enter(actor);
            if entered && actor.is_dead() {
                // The thread that ended it may have looked for it before.
                Names::of(&state.engine).living.leave(actor);
            }
            entered
        }
        Err(_) => false,
    };
    if !entered {
        abandon(actor);
    }
}

/// The last handle is gone.
pub(crate) fn orphaned(head: NonNull<ActorHead>) {
    // SAFETY: the handles' common hold, which is given back at the end.
    let actor = unsafe { ActorHold::adopt(head) };
    let (push, waits) = {
        let states = actor.lock();
        (states.orphan(), states.is_pending() && states.back().is_empty())
    };
    if push {
        enqueue(actor);
    } else if waits {
        end_if_unwanted(&actor);
    }
}

/// Ends an actor without handles and calls that waits for resources: its constructor need not run. `true`: it has ended.
pub(crate) fn end_if_unwanted(actor: &ActorHold) -> bool {
    let unwanted = {
        let states = actor.lock();
        states.is_pending()
            && states.is_orphan()
            && states.back().is_empty()
            && !actor.has_backlog.load(Ordering::Acquire)
            && actor.known_rare().is_some_and(|rare| !rare.is_unready())
    };
    if unwanted {
        life::end(actor, life::without_handles(actor), By::Other);
    }
    unwanted
}

/// What a call that has not begun waits for with certainty: the creation of its actor, or the bodies that hold that.
pub(crate) fn holders(call: &Hold) -> Blockers {
    // SAFETY: a call's entry.
    let head = unsafe { CallHead::of(call.entry()) };
    if call.phase() != Phase::Queued {
        return Blockers::none();
    }
    let actor = &head.actor;
    let rare = actor.known_rare();
    if let Some(creation) = rare.and_then(|rare| rare.unready()) {
        return Blockers::each(vec![Blocker::Entry(creation)]);
    }
    if let Some(admission) = rare.and_then(|rare| rare.admission.get())
        && actor.alive.load(Ordering::Acquire)
    {
        return admission.holders(actor, call, head.exclusive);
    }
    Blockers::each(match actor.running_call() {
        // It has begun since it was looked at.
        Some(running) if running.entry() == call.entry() => Vec::new(),
        Some(running) => vec![Blocker::Entry(running)],
        // A told call or the constructor, which the actor itself stands for.
        None => vec![Blocker::Actor(actor.head().as_ptr().addr())],
    })
}
