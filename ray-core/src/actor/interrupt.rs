//! Reaching the calls of an actor whose state has just changed: those that run, and those that its runner has taken out of
//! `back` and not begun.

use crate::actor::call::as_call;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use tokio::task::AbortHandle;

use crate::actor::call::CallHead;
use crate::actor::cell::{ActorHead, held};
use crate::actor::concurrent::Admission;
use crate::actor::current::Seen;
use crate::actor::life::{By, death};
use crate::actor::mailbox::{Buffer, Record};
use crate::actor::run_state::Life;
use crate::base::error::{Error, ErrorKind};
use crate::object::entry::{Header, Hold};

/// The call is made again when its body is over, if its retries allow.
pub(crate) fn mark_for_retry(call: &CallHead) -> bool {
    let again = call.task.may_retry_crash();
    if again {
        call.cut_off.store(true, Ordering::Release);
    }
    again
}

/// For a thread that has just ended the actor: the call that runs, if it has an entry, and what is in `front`.
pub(crate) fn reach_runner(actor: &ActorHead, by: By) -> (Option<Hold>, Buffer) {
    let (call, reached) = match actor.current.look() {
        Seen::Call(call) => (Some(call), true),
        _ if by == By::Runner => (None, false),
        Seen::InMailbox | Seen::Away => {
            // Without `membarrier` the runner fails what is in `front`, when its body is over.
            let reached = crate::base::sync::heavy_barrier();
            let call = actor.current.look_outside();
            let reached = reached || call.is_some();
            (call, reached)
        }
    };
    let front = {
        let states = actor.lock();
        if reached && by == By::Other && states.is_dead() {
            // SAFETY: the runner was not in the mailbox after the actor had died, so it does not look at `front` without the
            // lock any more; while a call is borrowed, it cannot even end that.
            unsafe { states.take_front() }
        } else {
            Buffer::new()
        }
    };
    (call.as_ref().and_then(held), front)
}

/// For a thread that has just changed the state to `Replacing`: cuts off the call of a serial actor that runs, if it has an
/// entry. A call of the new instance, which may be there already, is left alone.
pub(crate) fn cut_off_runner(actor: &ActorHead) -> Option<CutOff> {
    let call = match actor.current.look() {
        Seen::Call(call) => call,
        Seen::InMailbox | Seen::Away => {
            let _ = crate::base::sync::heavy_barrier();
            actor.current.look_outside()?
        }
    };
    // While it is borrowed it cannot end, so no new instance can come.
    let is_of_the_old = actor.lock().life() == Life::Replacing;
    held(&call).filter(|_| is_of_the_old).and_then(|call| CutOff::mark(&call))
}

/// The calls of a concurrent actor that run, but one.
pub(crate) fn running_beside(actor: &ActorHead, spared: Option<NonNull<Header>>) -> Vec<Hold> {
    let mut calls = actor.known_rare().and_then(|rare| rare.admission.get()).map_or_else(Vec::new, Admission::running);
    calls.retain(|call| Some(call.entry()) != spared);
    calls
}

/// Fails a call that runs; its body is told, and dropped at its next await.
pub(crate) fn stop(call: &Hold, error: &Error) {
    call.state.set_cancel();
    call.abort(error.clone());
    drop_future(call);
}

fn drop_future(call: &Hold) {
    if let Some(future) = future_of(call) {
        future.abort();
    }
}

/// What drops the future of a call that runs at its next await.
fn future_of(call: &Hold) -> Option<AbortHandle> {
    let is_async = call.task().is_some_and(|head| head.vtable().is_async);
    let engine = is_async.then(crate::engine::engine::running).flatten()?;
    engine.futures.handle(call.entry())
}

/// A call that is cut off, since its actor starts anew. It was marked while its attempt could not end.
pub(crate) struct CutOff {
    call: Hold,
    again: bool,
    future: Option<AbortHandle>,
}

impl CutOff {
    /// Marks it; `None`: it has ended already. The caller keeps the attempt from ending.
    fn mark(call: &Hold) -> Option<Self> {
        if call.phase().is_settled() {
            return None;
        }
        // SAFETY: a call's entry, alive by the hold.
        let again = mark_for_retry(unsafe { CallHead::of(call.entry()) });
        // SAFETY: alive by the hold.
        Some(Self { call: unsafe { Hold::new(call.entry()) }, again, future: future_of(call) })
    }

    /// It fails now, or is made again when its body is over.
    pub(crate) fn end(self, error: &Error) {
        if self.again {
            // Its waits end. The mark itself tells the body to stop, and goes with this attempt; the cancel flag could be set
            // when the body has ended meanwhile, and stop the next attempt.
            crate::engine::blocking::interrupt::wake(self.call.entry());
            if let Some(future) = self.future {
                future.abort();
            }
        } else {
            stop(&self.call, error);
        }
    }
}

/// Cuts off the calls that run, but one, after the state has been changed to `Replacing`; calls of the new instance, which may
/// be there already, are left alone.
pub(crate) fn cut_off_running(actor: &ActorHead, error: &Error, spared: Option<NonNull<Header>>) {
    let Some(admission) = actor.known_rare().and_then(|rare| rare.admission.get()) else { return };
    let calls: Vec<CutOff> = admission.with_running(|running| {
        // A call of a new instance is in the list only after that instance was there.
        if actor.life() != Life::Replacing {
            return Vec::new();
        }
        running.iter().filter(|call| Some(call.entry()) != spared).filter_map(CutOff::mark).collect()
    });
    calls.into_iter().for_each(|call| call.end(error));
}

/// Fails what a buffer holds.
pub(crate) fn fail_all(actor: &ActorHead, mut buffer: Buffer) {
    while let Some(record) = buffer.pop() {
        match record {
            Record::Call(call) => {
                call.abort(death(actor));
            }
            Record::Told(told, args) => {
                // SAFETY: popped, so the arguments are ours.
                crate::base::users_code::quietly(|| unsafe { (told.drop)(args) });
            }
        }
    }
}

/// Why the waits in a body end whose call is made again on another instance.
pub(crate) fn cut_off_error(header: &Header) -> Option<Error> {
    is_cut_off(header).then(|| {
        let error = Error::new(ErrorKind::ActorUnavailable, "the actor starts anew, and this call of its is made again");
        header.task().map_or(error.clone(), |head| head.blame(error))
    })
}

/// The running attempt of a call is to stop, and is made again on another instance.
fn is_cut_off(header: &Header) -> bool {
    as_call(header).is_some_and(|call| call.cut_off.load(Ordering::Acquire))
}
