//! The execution lock: functions for the thread that holds it, an actor's *runner*.
//!
//! The runner is a worker thread, a thread that waits for a call of its own, or the future of an async constructor.
//! [`run_state`](crate::actor::run_state) states how the lock is taken and released.

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::actor::call::CallHold;
use crate::actor::head::ActorHead;
use crate::actor::mailbox::Buffer;
use crate::call::spec::Spec;
use crate::engine::thread_state::{Frame, Held, ThreadState};
use crate::object::entry::Header;

/// The number of turns of a spin that lasts a few microseconds.
const PATIENCE: u32 = 200;

/// Takes the execution lock, if it is free. `from_queue`: for an entry of the run queue, which is used up in either case.
#[inline]
pub(crate) fn begin(actor: &ActorHead, from_queue: bool) -> bool {
    actor.lock().begin(from_queue)
}

/// The `front` of a mailbox with the next record; swaps the buffers if it is empty. The caller is the runner, and is in the
/// mailbox.
#[inline]
#[allow(clippy::mut_from_ref, reason = "the caller holds the execution lock, which makes the reference exclusive")]
pub(crate) fn next(actor: &ActorHead, patient: bool) -> Option<&mut Buffer> {
    // SAFETY: the caller is the runner and is in the mailbox, so `front` is its own (rule 4 of `head`).
    let front = unsafe { &mut *actor.front.get() };
    if front.is_empty() {
        if patient && front.was_small() {
            // The sender is about as fast as this thread. Without the pause each call would cost both threads a cache miss
            // on the lock; with it the sender puts a few calls together.
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

/// Counts that a call has begun, or never will, if the actor limits its pending calls.
#[inline]
pub(crate) fn count_started(actor: &ActorHead) {
    if let Some(unstarted) = unstarted(actor) {
        unstarted.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Counts that a call that had begun is pending again.
pub(crate) fn count_unstarted(actor: &ActorHead) {
    if let Some(unstarted) = unstarted(actor) {
        unstarted.fetch_add(1, Ordering::AcqRel);
    }
}

#[inline]
fn unstarted(actor: &ActorHead) -> Option<&AtomicU64> {
    let cold = actor.cold_state_for_runner()?;
    cold.settings()?.max_pending_calls.map(|_| &cold.unstarted)
}

/// The frame of the body of a call with an entry.
#[inline]
pub(crate) fn frame_of(state: &ThreadState, call: &CallHold) -> Frame {
    let table = call.task.vtable();
    let frame = frame(state, call.actor.head(), Some(call.hold().entry()), table.definition());
    Frame { is_async: table.is_async, ..frame }
}

/// The frame of a body that is not a future.
#[inline]
pub(crate) fn frame(
    state: &ThreadState,
    actor: NonNull<ActorHead>,
    entry: Option<NonNull<Header>>,
    spec: &'static Spec,
) -> Frame {
    Frame {
        below: state.frame.get(),
        entry,
        actor: Some(actor),
        spec,
        caller: Cell::new(0),
        is_async: false,
        crashed: Cell::new(false),
    }
}

/// Makes the thread hold the CPUs that the actor holds for life, while a body of a serial actor runs. A blocking get in the
/// body then lends them, as a get in a task does. Otherwise an actor that holds the last CPU would wait for a task of its
/// own for ever. Returns what the thread held before, which [`release_cpus`] sets again after the body; none: nothing has changed.
#[inline]
pub(crate) fn hold_cpus(state: &ThreadState, actor: &ActorHead) -> Option<Held> {
    let cold = actor.cold_state_for_runner()?;
    if !cold.granted.load(Ordering::Acquire) {
        return None;
    }
    let settings = cold.settings()?;
    Some(state.hold(settings.resources.cpu(), cold.seat.get().copied()))
}

/// Ends what [`hold_cpus`] has begun.
#[inline]
pub(crate) fn release_cpus(state: &ThreadState, held: Option<Held>) {
    if let Some(held) = held {
        state.hold_again(held);
    }
}
