//! Running a task that the caller has claimed, and ending it.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::call::spec;
use crate::call::spec::Spec;
use crate::engine::engine::Engine;
use crate::engine::thread_state::{Frame, ThreadState};
use crate::object::entry;
use crate::object::entry::{Header, Hold};
use crate::object::state::Phase;
use crate::task::head::{Ran, TaskHead, begins_again};

/// Runs a task that the caller moved to `Running`, and ends it.
///
/// # Safety
/// With `hold` the caller gives a hold away; without one it borrows a ref or a hold that outlives the call.
pub(crate) unsafe fn execute(state: &ThreadState, entry: NonNull<Header>, hold: bool, frame: Frame) {
    // SAFETY: alive by the caller's hold or ref; the caller claimed it, and it is a task or a call.
    let head = unsafe { TaskHead::of(entry) };
    let table = head.vtable();
    let spec = frame.spec;
    state.frame.set(&raw const frame);
    state.shared.running.store(std::ptr::from_ref(spec).cast_mut(), Ordering::Relaxed);
    // SAFETY: claimed by the caller.
    let run = || unsafe { (table.run)(entry, state.runner()) };
    // Of an `async fn` the first poll is timed, by the future.
    let ran = if table.is_async {
        run()
    } else {
        head.header.tell_started();
        timed(state, spec, run)
    };
    leave_frame(state, &frame);
    if matches!(ran, Ran::Spawned) {
        if hold {
            // SAFETY: given to us; the future has its own.
            unsafe { entry::drop_hold(entry) };
        }
        return;
    }
    if let Some(actor) = frame.actor {
        // SAFETY: the actor outlives the frames that run its calls.
        unsafe { actor.as_ref() }.end_call();
    }
    crate::task::children::release(head);
    give_back(&state.engine, head);
    // SAFETY: the value is written if `run` says so; the hold is ours if `hold`.
    unsafe {
        match ran {
            Ran::Value => entry::publish(entry, hold),
            ran => conclude(state, entry, ran, hold),
        }
    }
}

/// Runs a body, and takes its own time for its definition where that wants it.
#[inline]
pub(crate) fn timed<R>(state: &ThreadState, spec: &'static Spec, body: impl FnOnce() -> R) -> R {
    let turn = state.samples.get();
    state.samples.set(turn.wrapping_add(1));
    let wanted = spec.wants_sample(turn);
    let outer = state.timed.replace(wanted);
    let result = if wanted { measured(state, spec, body) } else { body() };
    state.timed.set(outer);
    result
}

#[cold]
fn measured<R>(state: &ThreadState, spec: &'static Spec, body: impl FnOnce() -> R) -> R {
    let outer = state.outside.replace(Duration::ZERO);
    let switches = (!spec.is_short()).then(crate::base::os::lost_processor);
    let began = Instant::now();
    let result = body();
    let took = began.elapsed().saturating_sub(state.outside.replace(outer));
    // A body that lost its processor is not long: nothing is known of it. Of a definition that is known to be short the monitor
    // thread finds the long bodies, which tells the two apart.
    let lost = took >= spec::OVERRUN && switches.is_none_or(|before| crate::base::os::lost_processor() != before);
    if !lost {
        spec.sample(took);
    }
    crate::base::clock::advance(crate::base::clock::exact());
    result
}

/// Takes the frame off, and counts the body.
#[inline]
pub(crate) fn leave_frame(state: &ThreadState, frame: &Frame) {
    state.frame.set(frame.below);
    // SAFETY: a frame below is on this thread's stack.
    let below = unsafe { frame.below.as_ref() };
    let running = below.map_or(std::ptr::null_mut(), |below| std::ptr::from_ref(below.spec).cast_mut());
    state.shared.running.store(running, Ordering::Relaxed);
    state.shared.count_body();
}

/// Gives back what the task was granted, if it was.
pub(crate) fn give_back(engine: &Engine, head: &TaskHead) {
    if let Some(extra) = head.extra()
        && extra.granted.load(Ordering::Relaxed)
        && head.mark_granted(false)
    {
        crate::engine::claim::give_back(engine, &extra.settings.resources);
    }
}

/// Ends an attempt.
///
/// # Safety
/// As [`execute`], the body being over.
pub(crate) unsafe fn conclude(state: &ThreadState, entry: NonNull<Header>, ran: Ran, hold: bool) {
    match ran {
        // SAFETY: the caller's promise.
        Ran::Value => unsafe { entry::publish(entry, hold) },
        Ran::Failed(error) => {
            // SAFETY: alive by the caller's hold or ref.
            unsafe {
                let head = TaskHead::of(entry);
                head.header.fail(|phase| phase == Phase::Running, head.blame(error));
                if hold {
                    entry::drop_hold(entry);
                }
            }
        }
        Ran::Again => {
            // SAFETY: alive by the caller's hold or ref.
            let again = unsafe {
                let again = Hold::new(entry);
                if hold {
                    entry::drop_hold(entry);
                }
                again
            };
            // SAFETY: the caller's promise.
            if unsafe { begins_again(&again) } {
                // SAFETY: as above.
                let kind = unsafe { TaskHead::of(entry) }.vtable().kind;
                (kind.requeue)(state.runner(), again);
            }
        }
        Ran::Spawned => {}
    }
}
