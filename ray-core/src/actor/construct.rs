//! Running a constructor: for a new actor, and for one that restarts. The future of an async one is in
//! [`async_constructor`](crate::actor::async_constructor).

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::actor::call::CallHold;
use crate::actor::cold_state::ColdState;
use crate::actor::errors::{constructor_error, death};
use crate::actor::execution::{frame_of, hold_cpus, release_cpus};
use crate::actor::head::{ActorHead, ActorHold};
use crate::actor::interrupt::By;
use crate::actor::lifecycle::end;
use crate::actor::run_state::{AfterMade, Made, Start, Step};
use crate::base::error::{Error, ErrorKind};
use crate::engine::thread_state::{Frame, ThreadState};
use crate::object::entry::{Hold, publish};
use crate::object::state::Phase;
use crate::task::head::Ran;

/// Replaces the instance, unless bodies still use the old one or the actor is dead: runs the constructor again on the kept
/// arguments. The caller is the runner, and not in the mailbox.
pub(crate) fn replace(state: &ThreadState, actor: &ActorHold) -> Step {
    let start = actor.lock().start();
    match start {
        Start::Begin => {}
        Start::Bodies | Start::Dead => return Step::Idle,
    }
    if actor.alive.swap(false, Ordering::AcqRel) {
        // SAFETY: the instance existed until this swap. `Begin` says that no body uses it, and the caller is the runner.
        unsafe { (actor.vtable.drop_instance)(actor.head()) };
    }
    match actor.cold_state().kept_creation() {
        Some(creation) => run_constructor(state, actor, CallHold::of(creation)),
        None => {
            end(actor, death(actor), By::Runner);
            Step::Idle
        }
    }
}

/// Runs the creation, for a new actor. The caller is the runner, and not in the mailbox.
pub(crate) fn create(state: &ThreadState, actor: &ActorHold, call: CallHold) -> Step {
    let creation = call.hold();
    if !creation.state.claim() {
        // The creation was cancelled before it began. The thread that cancels it may not have written the error yet.
        let error = match creation.phase() {
            Phase::Failed => creation.error(),
            _ => Error::new(ErrorKind::Cancelled, "its creation was cancelled"),
        };
        end(actor, constructor_error(actor, error), By::Runner);
        return Step::Ran;
    }
    let start = actor.lock().start();
    match start {
        Start::Begin => run_constructor(state, actor, call),
        Start::Bodies | Start::Dead => {
            // SAFETY: `claim` gave this thread the arguments, and no body takes them.
            unsafe { (call.task.vtable().drop_args)(creation.entry()) };
            fail_creation(creation, death(actor));
            Step::Ran
        }
    }
}

/// Runs the constructor, and changes the actor's state. The caller is the runner, and there is no instance.
#[inline]
fn run_constructor(state: &ThreadState, actor: &ActorHold, call: CallHold) -> Step {
    let Some((made, error)) = construct(state, actor, &call) else { return Step::HandedOver };
    conclude(actor, call, made, error);
    if actor.is_dead() { Step::Idle } else { Step::Ran }
}

/// Changes the actor's state after its constructor has ended. The caller is the runner.
#[inline]
pub(super) fn conclude(actor: &ActorHold, call: CallHold, made: Made, error: Option<Error>) {
    let after = actor.lock().made(made, || actor.known_cold_state().is_some_and(ColdState::spend_restart));
    let creation = call.into_hold();
    match (after, error) {
        (AfterMade::Live, _) => {
            if creation.phase() == Phase::Running {
                // SAFETY: this thread has moved the entry to `Running`, and the constructor has written the value, which is
                // `()`. The hold is given away.
                unsafe { publish(creation.into_entry(), true) };
            }
        }
        // The runner sees the state `Replacing`, and replaces the instance, or makes the first one.
        (AfterMade::Again, _) => {}
        (AfterMade::Dies, error) => {
            let error = constructor_error(actor, error.unwrap_or_else(|| death(actor)));
            end(actor, error.clone(), By::Runner);
            fail_creation(&creation, error);
        }
        (AfterMade::Dead, _) => fail_creation(&creation, death(actor)),
    }
}

/// Runs the constructor; returns how it ended, and its error. `None`: it is async, and its future is the runner now. The
/// caller is the runner, and there is no instance.
#[inline]
fn construct(state: &ThreadState, actor: &ActorHead, creation: &CallHold) -> Option<(Made, Option<Error>)> {
    let head = &creation.task;
    let frame = frame_of(state, creation);
    state.frame.set(&raw const frame);
    let held = hold_cpus(state, actor);
    if !head.vtable().is_async {
        creation.hold().tell_started();
    }
    let ran = restore(actor, &frame).unwrap_or_else(|| {
        // SAFETY: the caller is the runner, and there is no instance, so its place is free. The arguments belong to the
        // creation, which this thread has moved to `Running` (and left there, if they are kept for restarts).
        unsafe { (head.vtable().run)(creation.hold().entry(), state.runner()) }
    });
    release_cpus(state, held);
    crate::engine::execute::leave_frame(state, &frame);
    if matches!(ran, Ran::Spawned) {
        return None;
    }
    crate::task::children::release(head);
    Some(ended(actor, creation, ran, frame.crashed.get()))
}

/// Makes an instance of the last checkpoint; none: the constructor is to run. The caller is the runner, and there is no
/// instance.
#[inline]
fn restore(actor: &ActorHead, frame: &Frame) -> Option<Ran> {
    let restore = actor.vtable.restore?;
    // SAFETY: the caller is the runner, and there is no instance. The table is that of the actor's class.
    match crate::base::unwind::catch(|| unsafe { restore(NonNull::from(actor)) }) {
        Ok(None) => None,
        Ok(Some(Ok(()))) => Some(Ran::Value),
        Ok(Some(Err(error))) => Some(Ran::Failed(error)),
        Err(panic) => {
            frame.crashed.set(true);
            Some(Ran::Failed(panic))
        }
    }
}

/// How a constructor has ended, and its error; `crashed`: it has panicked.
#[inline]
pub(super) fn ended(actor: &ActorHead, creation: &CallHold, ran: Ran, crashed: bool) -> (Made, Option<Error>) {
    match ran {
        Ran::Value => {
            actor.alive.store(true, Ordering::Release);
            (Made::Instance, None)
        }
        Ran::Failed(error) => {
            let made = if crashed { Made::Panic } else { Made::Error };
            (made, Some(creation.task.blame(error)))
        }
        Ran::Again | Ran::Spawned => unreachable!("a constructor is not tried again by itself, and has ended"),
    }
}

/// Fails the creation. It has no reference that a user could read; the calls get their error from the actor.
fn fail_creation(creation: &Hold, error: Error) {
    creation.state.set_seen();
    creation.fail(|phase| phase == Phase::Running, error);
}
