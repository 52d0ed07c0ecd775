//! How an actor ends, and what follows a panic in one of its methods.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::actor::admission::Admission;
use crate::actor::call::CallHead;
use crate::actor::cold_state::ColdState;
use crate::actor::errors::{death, fatal, lost_its_group, title, unavailable};
use crate::actor::head::{ActorHead, ActorHold};
use crate::actor::interrupt::{
    By, cut_off_running, fail_all, mark_for_retry, reach_runner, running_beside, stop, stop_constructor,
};
use crate::actor::mailbox::Buffer;
use crate::actor::names::Names;
use crate::actor::run_state::{Crash, Life};
use crate::base::error::Error;
use crate::base::placement::Lifetime;
use crate::engine::claim;
use crate::object::entry::Header;
use crate::sched::claims::{Key, Term};

/// The state of an actor.
/// [Ray's states](https://docs.ray.io/en/latest/ray-observability/reference/doc/ray.util.state.common.ActorState.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActorState {
    /// The constructor has not ended: it runs, it waits for arguments or resources, or it is queued.
    PendingCreation,
    /// The actor takes calls.
    Alive,
    /// The actor crashed or was killed, and its constructor is to run again.
    Restarting,
    /// The actor has ended, and stays so.
    Dead,
}

/// The state of an actor.
pub(crate) fn state_of(actor: &ActorHead) -> ActorState {
    match actor.life() {
        Life::Dead | Life::Final => ActorState::Dead,
        Life::Replacing => ActorState::Restarting,
        Life::Live => ActorState::Alive,
        Life::Pending | Life::Queued | Life::Starting if actor.restarts() > 0 => ActorState::Restarting,
        Life::Pending | Life::Queued | Life::Starting => ActorState::PendingCreation,
    }
}

/// Restarts or ends the actor, after a method has panicked. Returns the error of the method's call. A call that is made
/// again instead is marked as cut off. The caller is the thread that runs the body.
pub(crate) fn crashed(actor: &ActorHold, call: Option<&CallHead>, panic: &Error) -> Error {
    let crash = actor.lock().crash(|| actor.known_cold_state().is_some_and(ColdState::spend_restart));
    let entry = call.map(|call| NonNull::from(&call.task.header));
    match crash {
        Crash::Restarts => {
            let error = unavailable(actor, panic);
            // As in Ray, where the process ends: the calls that run beside this one are interrupted at once.
            cut_off_running(actor, &error, entry);
            if let Some(call) = call {
                mark_for_retry(call);
            }
            error
        }
        Crash::Replaced => unavailable(actor, panic),
        Crash::Dies => {
            let error = fatal(actor, panic);
            let by = if actor.is_concurrent() { By::Other } else { By::Runner };
            end_sparing(actor, error.clone(), by, entry);
            error
        }
        Crash::Dead => death(actor),
    }
}

/// Ends an actor for good. All queued and running calls fail at once; the instance is dropped when no body uses it any
/// more.
pub(crate) fn end(actor: &ActorHold, error: Error, by: By) {
    end_sparing(actor, error, by, None);
}

/// Ends an actor whose placement group was removed: one that waited for the group, or has begun.
pub(crate) fn group_removed(actor: &ActorHold, error: Error) {
    let has_begun = actor.known_cold_state().is_some_and(|cold| cold.granted.load(Ordering::Acquire));
    let error = if has_begun { lost_its_group(actor, error) } else { error };
    if !actor.is_dead() {
        end(actor, error, By::Other);
    }
}

/// Ends an actor whose engine is gone.
pub(crate) fn abandon(actor: &ActorHold) {
    end(actor, crate::base::epoch::gone("its actors ended with it"), By::Other);
}

/// As [`end`], but the running call `spared` is not failed.
pub(crate) fn end_sparing(actor: &ActorHold, error: Error, by: By, spared: Option<NonNull<Header>>) {
    // The cause is stored before the state changes, so that a thread that sees the state finds it. The cold state tells the
    // runner to look at the state.
    let cold = actor.cold_state();
    cold.set_cause_of_death(error);
    let (found, back, mut front, prepaid) = {
        let states = actor.lock();
        let found = states.die();
        let front = if !found.running || by == By::Runner {
            // SAFETY: without a runner `front` belongs to the lock, otherwise the caller is the runner (rule 4 of `head`).
            unsafe { states.take_front() }
        } else {
            Buffer::new()
        };
        (found, states.back().take(), front, states.take_prepaid())
    };
    crate::engine::blocking::interrupt::wake(actor.head());
    actor.give_holds_back(prepaid);
    let error = death(actor);
    if found.first && found.running {
        let (call, reached) = reach_runner(actor, by);
        if let Some(call) = call.filter(|call| Some(call.entry()) != spared) {
            stop(&call, &error);
        }
        if by == By::Other {
            front = reached;
        }
    }
    for call in running_beside(actor, spared) {
        stop(&call, &error);
    }
    stop_constructor(cold);
    fail_all(actor, front);
    fail_all(actor, back);
    for call in actor.admission().map_or_else(Vec::new, Admission::take_waiting) {
        call.abort(error.clone());
    }
    let waiting = cold.take_backlog();
    actor.has_backlog.store(false, Ordering::Release);
    for call in waiting {
        call.abort(error.clone());
    }
    free_name(actor);
    withdraw_creation(cold, error);
    if found.finalize {
        finalize(actor);
    }
}

/// Fails a creation that waits for arguments or resources, which drops its arguments.
fn withdraw_creation(cold: &ColdState, error: Error) {
    cold.set_unready(None);
    let Some(creation) = cold.set_pending(None) else { return };
    creation.state.set_seen();
    creation.abort(error);
}

/// Frees the name of a dead actor.
#[inline]
pub(crate) fn free_name(actor: &ActorHold) {
    if actor.known_cold_state().is_some_and(|cold| cold.namespace.get().is_some()) {
        remove_name(actor);
    }
}

#[cold]
fn remove_name(actor: &ActorHold) {
    if let Some(engine) = crate::engine::engine::running() {
        Names::of(&engine).remove(actor);
    }
}

/// Releases what a dead actor has: the instance, kept arguments, resources. The caller has changed the state to `Final`, so
/// no other thread does this.
pub(crate) fn finalize(actor: &ActorHold) {
    let (listed, begun) = actor.run_state.at_last();
    if listed && let Some(engine) = crate::engine::engine::running().filter(|engine| engine.epoch == actor.epoch) {
        Names::of(&engine).living.leave(actor);
    }
    if actor.alive.swap(false, Ordering::AcqRel) {
        // SAFETY: the instance existed until this swap, and in the state `Final` no body runs and none can begin.
        unsafe { (actor.vtable.drop_instance)(actor.head()) };
    }
    let Some(cold) = actor.known_cold_state() else { return };
    let checkpoint = cold.checkpoint.lock().take();
    crate::base::users_code::quietly(|| drop(checkpoint));
    if cold.settings().is_some_and(|settings| settings.lifetime == Lifetime::Detached)
        && let Some(engine) = crate::engine::engine::running().filter(|engine| engine.epoch == actor.epoch)
    {
        Names::of(&engine).give_up(actor);
    }
    if let Some(creation) = cold.take_kept_creation() {
        if !begun {
            creation.abort(death(actor));
        } else if let Some(head) = creation.task() {
            // SAFETY: the arguments were kept for restarts. There will be none, and the creation was taken out of its
            // place, so this thread owns them.
            unsafe { (head.vtable().drop_args)(creation.entry()) };
        }
    }
    if cold.granted.swap(false, Ordering::AcqRel)
        && let Some(settings) = cold.settings()
        && let Some(engine) = crate::engine::engine::running().filter(|engine| engine.epoch == actor.epoch)
    {
        engine.holders.lock().remove(&actor.address());
        let group = settings.placement.as_ref().and_then(|placement| Some(placement.in_group()?.group.id()));
        claim::give_back(&engine, (Key(actor.address()), Term::Life), &settings.resources, group);
    }
}

/// Lists an actor among the holders of resources, for reports. [`finalize`] removes it.
pub(crate) fn note_holder(actor: &ActorHold) {
    let Some(engine) = crate::engine::engine::running().filter(|engine| engine.epoch == actor.epoch) else { return };
    engine.holders.lock().insert(actor.address(), format!("{} holds {} for life", title(actor), actor.resources()));
    if actor.life() == Life::Final {
        engine.holders.lock().remove(&actor.address());
    }
}
