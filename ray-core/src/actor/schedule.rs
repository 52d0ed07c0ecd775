//! Putting actors in the run queue, and ending those that no handle refers to.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::actor::errors::without_handles;
use crate::actor::head::{ActorHead, ActorHold};
use crate::actor::interrupt::By;
use crate::actor::lifecycle;
use crate::engine::free_job::FreeJob;

/// Puts an actor in the run queue, if it has something to do and is not there yet.
pub(crate) fn schedule(actor: &ActorHold) {
    let enqueue_it = {
        let states = actor.lock();
        let something = states.is_orphan()
            || !states.back().is_empty()
            // SAFETY: without a runner `front` belongs to the lock (rule 4 of `head`), which is held.
            || !states.has_runner() && unsafe { !(*actor.front.get()).is_empty() };
        something && states.schedule()
    };
    if enqueue_it {
        enqueue(actor.clone());
    }
}

/// Puts an actor that was marked as scheduled in the run queue.
#[inline]
pub(crate) fn enqueue(actor: ActorHold) {
    match crate::engine::thread::of(actor.epoch) {
        Ok(state) => {
            crate::engine::queue::queue_free(&state.engine, FreeJob::of(actor));
        }
        Err(_) => lifecycle::abandon(&actor),
    }
}

/// The last handle was dropped: the actor ends when it has run its calls.
///
/// # Safety
/// The caller owns the hold of all handles, and gives it away.
pub(crate) unsafe fn orphan(head: NonNull<ActorHead>) {
    // SAFETY: the caller gives the hold away.
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

/// Ends an actor that waits for resources and has neither handles nor calls, so that its constructor need not run. `true`:
/// it has ended.
pub(crate) fn end_if_unwanted(actor: &ActorHold) -> bool {
    let unwanted = {
        let states = actor.lock();
        states.is_pending()
            && states.is_orphan()
            && states.back().is_empty()
            && !actor.has_backlog.load(Ordering::Acquire)
            && actor.known_cold_state().is_some_and(|cold| !cold.is_unready())
    };
    if unwanted {
        lifecycle::end(actor, without_handles(actor), By::Other);
    }
    unwanted
}
