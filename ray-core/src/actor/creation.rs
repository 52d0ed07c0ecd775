//! A creation before its constructor runs: it waits for its arguments and for the actor's resources.

use std::sync::atomic::Ordering;

use crate::actor::call::{CallHead, CallHold};
use crate::actor::errors::{constructor_error, death};
use crate::actor::interrupt::By;
use crate::actor::lifecycle::{end, note_holder};
use crate::actor::schedule::{end_if_unwanted, schedule};
use crate::base::call_options::CallSettings;
use crate::engine::{claim, group_claim, thread};
use crate::object::state::Phase;

/// The arguments of a constructor are ready: its creation claims the actor's resources.
pub(crate) fn arguments_ready(creation: CallHold) {
    creation.hold().tell_ready();
    let entry = creation.hold();
    entry.state.set_seen();
    let _ = entry.state.step(Phase::Waiting, Phase::Queued);
    let actor = creation.actor.clone();
    if let Some(cold) = actor.known_cold_state() {
        cold.set_unready(None);
    }
    let waits = |settings: &CallSettings| !settings.resources.is_none() || settings.in_group().is_some();
    let needs = creation.task.extra().is_some_and(|extra| waits(&extra.settings));
    if !needs {
        open(creation);
        return;
    }
    if actor.is_dead() || end_if_unwanted(&actor) {
        fail_unbegun(&creation);
        return;
    }
    match thread::of(entry.epoch) {
        Ok(state) => claim::claim(&state.engine, creation.into_hold()),
        Err(gone) => {
            end(&actor, gone, By::Other);
            fail_unbegun(&creation);
        }
    }
}

/// The resources of an actor are granted, for life.
pub(crate) fn granted(creation: CallHold) {
    let actor = creation.actor.clone();
    if let Some(group) = group_claim::id_of(&creation.task)
        && let Some(engine) = crate::engine::engine::running()
        && let Some(seat) = group_claim::seat(&engine, group, claim::key_of(&creation.task).0)
    {
        let _ = actor.cold_state().seat.set(seat);
    }
    // The actor gives the resources back, and not the creation.
    actor.cold_state().granted.store(true, Ordering::Release);
    // Under the lock: either this thread sees that the actor was killed meanwhile, or `finalize` sees `granted`.
    let dead = actor.lock().is_dead();
    if dead {
        if actor.cold_state().granted.swap(false, Ordering::AcqRel)
            && let Some(engine) = crate::engine::engine::running()
            && let Some(extra) = creation.task.extra()
        {
            let group = group_claim::id_of(&creation.task);
            claim::give_back(&engine, claim::key_of(&creation.task), &extra.settings.resources, group);
        }
        fail_unbegun(&creation);
        return;
    }
    note_holder(&actor);
    open(creation);
}

/// Lets the actor run: puts its creation before the calls that were sent meanwhile.
fn open(creation: CallHold) {
    let actor = creation.actor.clone();
    let late = {
        let states = actor.lock();
        if states.open() {
            // SAFETY: the actor was pending until now, so no thread has held the execution lock. Without a runner `front`
            // belongs to the lock (rule 4 of `head`), which is held.
            unsafe { (*actor.front.get()).push_call(creation.into_hold()) };
            None
        } else {
            Some(creation)
        }
    };
    match late {
        // The actor was killed meanwhile.
        Some(creation) => fail_unbegun(&creation),
        None => {
            drop(actor.cold_state().set_pending(None));
            schedule(&actor);
        }
    }
}

/// Fails a creation whose actor has died before the constructor has begun.
fn fail_unbegun(creation: &CallHold) {
    creation.hold().state.set_seen();
    creation.hold().abort(death(&creation.actor));
}

/// A creation that could not wait for its arguments: its actor ends.
pub(crate) fn refuse(creation: &CallHold, error: crate::base::error::Error) {
    let actor = &creation.actor;
    end(actor, constructor_error(actor, error), By::Other);
    fail_unbegun(creation);
}

/// An argument of the constructor has failed, or the creation was cancelled: the actor ends.
pub(crate) fn argument_failed(creation: &CallHead) {
    let header = &creation.task.header;
    if header.phase() == Phase::Failed {
        let error = header.error();
        header.state.set_seen();
        end(&creation.actor, constructor_error(&creation.actor, error), By::Other);
    }
}
