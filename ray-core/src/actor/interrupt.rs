//! Interrupting the calls of an actor whose state has just changed: the calls that run, and the calls that its runner has
//! taken out of `back` and not begun.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use tokio::task::AbortHandle;

use crate::actor::admission::Admission;
use crate::actor::call::{CallHead, as_call};
use crate::actor::cold_state::ColdState;
use crate::actor::current::Seen;
use crate::actor::errors::death;
use crate::actor::head::{ActorHead, held};
use crate::actor::mailbox::{Buffer, Record};
use crate::actor::run_state::Life;
use crate::base::error::{Error, ErrorKind};
use crate::object::entry::{Header, Hold};

/// The thread that ends an actor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The runner, which holds the execution lock.
    Runner,
    Other,
}

/// Marks a running call, if its retries allow another attempt. A marked call is made again when its body is over.
pub(crate) fn mark_for_retry(call: &CallHead) -> bool {
    let again = call.task.may_retry_crash();
    if again {
        call.cut_off.store(true, Ordering::Release);
    }
    again
}

/// For a thread that has just ended the actor: the call that runs, if it has an entry, and the content of `front`.
pub(crate) fn reach_runner(actor: &ActorHead, by: By) -> (Option<Hold>, Buffer) {
    let (call, reached) = match actor.current.look() {
        Seen::Call(call) => (Some(call), true),
        _ if by == By::Runner => (None, false),
        Seen::InMailbox | Seen::Away => {
            // Without `membarrier` this thread cannot reach `front`; the runner fails its content when its body is over.
            let reached = crate::base::sync::heavy_barrier();
            let call = actor.current.look_outside();
            let reached = reached || call.is_some();
            (call, reached)
        }
    };
    let front = {
        let states = actor.lock();
        if reached && by == By::Other && states.is_dead() {
            // SAFETY: the actor is dead, and this thread has seen its runner outside the mailbox since (or still borrows
            // the running call, so that the runner cannot return to the mailbox). So `front` belongs to the lock (rule 4 of
            // `head`).
            unsafe { states.take_front() }
        } else {
            Buffer::new()
        }
    };
    (call.as_ref().and_then(held), front)
}

/// For a thread that has just changed the state of a serial actor to `Replacing`: marks the call that runs, if it has an
/// entry. A call on the new instance, which may exist already, is not marked.
pub(crate) fn cut_off_runner(actor: &ActorHead) -> Option<CutOff> {
    let call = match actor.current.look() {
        Seen::Call(call) => call,
        Seen::InMailbox | Seen::Away => {
            let _ = crate::base::sync::heavy_barrier();
            actor.current.look_outside()?
        }
    };
    // The call cannot end while it is borrowed, so no new instance can be made.
    let is_of_the_old = actor.lock().life() == Life::Replacing;
    held(&call).filter(|_| is_of_the_old).and_then(|call| CutOff::mark(&call))
}

/// The running calls of a concurrent actor, except for `spared`.
pub(crate) fn running_beside(actor: &ActorHead, spared: Option<NonNull<Header>>) -> Vec<Hold> {
    let mut calls = actor.admission().map_or_else(Vec::new, Admission::running);
    calls.retain(|call| Some(call.entry()) != spared);
    calls
}

/// Fails a running call. Its body can see that it is cancelled; a future is dropped at its next await.
pub(crate) fn stop(call: &Hold, error: &Error) {
    call.abort(error.clone());
    if let Some(future) = future_of(call) {
        future.abort();
    }
}

/// Aborts the future of the constructor that runs, if an async one does. The caller has changed the actor's state.
pub(super) fn stop_constructor(cold: &ColdState) {
    let creation = cold.constructing.lock().clone();
    if let Some(creation) = creation
        && let Some(engine) = crate::engine::engine::running()
    {
        crate::engine::future::abort(&engine, creation.entry());
    }
}

/// The handle that drops the future of a running call at its next await; `None`: the call is not async.
fn future_of(call: &Hold) -> Option<AbortHandle> {
    let is_async = call.task().is_some_and(|head| head.vtable().is_async);
    let engine = is_async.then(crate::engine::engine::running).flatten()?;
    engine.futures.handle(call.entry())
}

/// A running call that is interrupted because its actor restarts. It was marked while its attempt could not end.
pub(crate) struct CutOff {
    call: Hold,
    again: bool,
    future: Option<AbortHandle>,
}

impl CutOff {
    /// Marks a running call; `None`: it has ended already. The caller keeps the attempt from ending.
    fn mark(call: &Hold) -> Option<Self> {
        if call.phase().is_settled() {
            return None;
        }
        let again = mark_for_retry(as_call(call)?);
        Some(Self { call: call.clone(), again, future: future_of(call) })
    }

    /// Fails the call, or has it made again when its body is over.
    pub(crate) fn end(self, error: &Error) {
        if self.again {
            // Ends the waits of the body. The mark tells the body to stop, and is removed with this attempt.
            crate::engine::blocking::interrupt::wake(self.call.entry());
            if let Some(future) = self.future {
                future.abort();
            }
        } else {
            stop(&self.call, error);
        }
    }
}

/// Interrupts the running calls of a concurrent actor except for `spared`, after the state was changed to `Replacing`.
/// Calls on the new instance, which may exist already, are not interrupted.
pub(crate) fn cut_off_running(actor: &ActorHead, error: &Error, spared: Option<NonNull<Header>>) {
    let Some(admission) = actor.admission() else { return };
    let calls: Vec<CutOff> = admission.with_running(|running| {
        // A call on a new instance enters the list only after that instance was made.
        if actor.life() != Life::Replacing {
            return Vec::new();
        }
        let calls = running.iter().map(|running| &running.call);
        calls.filter(|call| Some(call.entry()) != spared).filter_map(CutOff::mark).collect()
    });
    calls.into_iter().for_each(|call| call.end(error));
}

/// Fails all calls of a buffer.
pub(crate) fn fail_all(actor: &ActorHead, mut buffer: Buffer) {
    while let Some(record) = buffer.pop() {
        match record {
            Record::Call(call) => {
                call.abort(death(actor));
            }
            Record::Told(told, args) => {
                // SAFETY: the record was taken out, so its arguments are dropped here and nowhere else (rule 3 of
                // `mailbox`).
                crate::base::users_code::quietly(|| unsafe { (told.drop)(args) });
            }
        }
    }
}

/// The error that ends the waits in the body of a call that is made again on another instance.
pub(crate) fn cut_off_error(header: &Header) -> Option<Error> {
    is_cut_off(header).then(|| {
        let error = Error::new(ErrorKind::ActorUnavailable, "the actor starts anew, and this call of its is made again");
        header.task().map_or(error.clone(), |head| head.blame(error))
    })
}

/// Whether the running attempt of a call is to stop, and is followed by an attempt on another instance.
fn is_cut_off(header: &Header) -> bool {
    as_call(header).is_some_and(|call| call.cut_off.load(Ordering::Acquire))
}
