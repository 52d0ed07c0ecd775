//! The last part of the way of a call to the mailbox, without the types of the call.
//!
//! Calls of one caller to a serial actor begin in the order of submission, also if an argument of one of them is not ready:
//! this call enters the actor's *backlog*, and so does every later call of the same caller until this one has left. Calls
//! of other callers pass. The calls of one caller in the backlog form a *line*. A concurrent actor, and one with
//! `allow_out_of_order_execution`, keeps no such order: each of its calls is a line of its own.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::actor::call::{CallHead, CallHold};
use crate::actor::errors::death;
use crate::actor::execution::count_unstarted;
use crate::actor::head::{ActorHead, ActorHold};
use crate::actor::schedule::{enqueue, schedule};
use crate::call::arg::ArgList;
use crate::object::entry::Hold;
use crate::object::state::Phase;
use crate::task::dependency;

/// Puts a call in the mailbox, or fails it if the actor is dead.
pub(crate) fn post(actor: &ActorHold, call: CallHold) {
    match append(actor, call, false) {
        Ok(false) => {}
        Ok(true) => enqueue(actor.clone()),
        Err(late) => refuse(actor, &late),
    }
}

/// As [`post`], for a call whose hold on the actor is not counted yet.
///
/// # Safety
/// The caller has a handle or a hold on the actor.
#[inline]
pub(crate) unsafe fn post_unpaid(actor: NonNull<ActorHead>, call: CallHold) {
    // SAFETY: the caller's handle or hold keeps the actor alive.
    let head = unsafe { actor.as_ref() };
    match append(head, call, true) {
        Ok(false) => {}
        // SAFETY: the caller's handle or hold keeps the actor alive.
        Ok(true) => enqueue(unsafe { ActorHold::new(actor) }),
        Err(late) => refuse(head, &late),
    }
}

/// The part of [`post`] that may be done under a lock. `Ok(true)`: the actor was marked as scheduled, and the caller puts
/// it in the run queue. `Err`: the actor is dead, and the caller fails the call. `unpaid`: as in [`post_unpaid`].
#[inline]
fn append(actor: &ActorHead, call: CallHold, unpaid: bool) -> Result<bool, CallHold> {
    let states = actor.lock();
    if states.is_dead() {
        drop(states);
        if unpaid {
            actor.add_hold();
        }
        return Err(call);
    }
    if unpaid {
        states.pay_hold();
    }
    states.back().push_call(call.into_hold());
    Ok(states.schedule())
}

#[cold]
pub(super) fn refuse(actor: &ActorHead, call: &CallHold) {
    call.hold().abort(call.task.blame(death(actor)));
}

/// The key of a call's line in the backlog.
fn line_of(call: &CallHead) -> u64 {
    if call.actor.is_unordered() { std::ptr::from_ref(call).addr() as u64 } else { call.caller }
}

/// Puts a call in the backlog: its arguments are not ready, or an earlier call of the same caller is there.
#[cold]
pub(crate) fn push_backlog(call: CallHold, args: &impl ArgList) {
    let (actor, line) = (&call.actor, line_of(&call));
    call.task.header.pending_args().store(1, Ordering::Relaxed);
    {
        let mut backlog = actor.cold_state().backlog.lock();
        backlog.entry(line).or_default().push_back(call.hold().clone());
        actor.has_backlog.store(true, Ordering::Release);
    }
    if actor.is_dead() {
        // A killer may have emptied the backlog before the call was in it.
        refuse(actor, &call);
        drain_backlog(actor, line);
        return;
    }
    match dependency::register(call.hold(), args) {
        Ok(true) => arguments_ready(&call),
        Ok(false) => {}
        Err(error) => {
            call.hold().abort(dependency::failed_argument(&call.task, error));
            drain_backlog(actor, line);
        }
    }
}

/// All arguments of a call are ready.
pub(crate) fn arguments_ready(call: &CallHead) {
    call.task.header.tell_ready();
    drain_backlog(&call.actor, line_of(call));
}

/// A call was cancelled, or one of its arguments has failed: the calls behind it no longer wait for it.
pub(crate) fn argument_failed(call: &CallHead) {
    if call.actor.has_backlog.load(Ordering::Acquire) {
        drain_backlog(&call.actor, line_of(call));
    }
    if call.actor.is_concurrent() && call.actor.lock().look_again() {
        // The call may be the one for which the runner waits.
        enqueue(call.actor.clone());
    }
}

/// The first call of the line in which a call stands, if that is another call.
pub(crate) fn ahead_of(call: &CallHold) -> Option<Hold> {
    let backlog = call.actor.known_cold_state()?.backlog.lock();
    let first = backlog.get(&line_of(call))?.front()?;
    (first.entry() != call.hold().entry()).then(|| first.clone())
}

/// Moves the calls of a line from the backlog to the mailbox, up to the first whose arguments are not ready.
fn drain_backlog(actor: &ActorHold, line: u64) {
    let mut backlog = actor.cold_state().backlog.lock();
    let Some(calls) = backlog.get_mut(&line) else { return };
    // Failing a call, or ending an actor whose engine is gone, may call this function again. So both wait until the lock is
    // released.
    let (mut unsent, mut push, mut late) = (false, false, Vec::new());
    while let Some(first) = calls.front() {
        if !first.phase().is_settled() {
            if first.pending_args().load(Ordering::Acquire) > 0 {
                unsent = true;
                break;
            }
            // Under the lock of the backlog, so that the calls keep their order.
            let call = CallHold::of(first.clone());
            if first.state.step(Phase::Waiting, Phase::Queued) {
                match append(actor, call, false) {
                    Ok(first) => push |= first,
                    Err(call) => late.push(call),
                }
            }
        }
        calls.pop_front();
    }
    if !unsent {
        backlog.remove(&line);
    }
    let empty = backlog.is_empty();
    if empty {
        actor.has_backlog.store(false, Ordering::Release);
    }
    drop(backlog);
    for call in late {
        refuse(actor, &call);
    }
    if push {
        enqueue(actor.clone());
    } else if empty {
        schedule(actor);
    }
}

/// Queues another attempt of a call. On a serial actor it comes before all other calls, and the caller is the runner.
pub(crate) fn requeue(call: CallHold) {
    let actor = call.actor.clone();
    count_unstarted(&actor);
    if actor.is_concurrent() {
        post(&actor, call);
        return;
    }
    let refused = {
        let states = actor.lock();
        if states.is_dead() {
            true
        } else {
            // SAFETY: the caller is the runner, to which `front` belongs; a killer that reaches `front` needs the lock,
            // which is held (rule 4 of `head`).
            unsafe { (*actor.front.get()).push_front(call.hold().clone()) };
            false
        }
    };
    if refused {
        refuse(&actor, &call);
    }
}
