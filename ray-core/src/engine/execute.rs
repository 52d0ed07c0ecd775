//! Runs a task that the caller has claimed, and ends it.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::call::spec;
use crate::call::spec::Spec;
use crate::engine::claim;
use crate::engine::engine::Engine;
use crate::engine::thread_state::{Frame, ThreadState};
use crate::object::entry;
use crate::object::entry::{Header, Hold};
use crate::object::state::Phase;
use crate::task::head::{Ran, TaskHead, begins_again};

/// Runs a task that the caller moved to `Running`, and ends it.
///
/// # Safety
/// The caller has claimed the entry. With `hold` the caller gives a hold away; without it the caller keeps a ref or a hold until
/// this returns.
pub(crate) unsafe fn execute(state: &ThreadState, entry: NonNull<Header>, hold: bool, frame: Frame) {
    // SAFETY: the caller's hold or ref keeps the entry alive, and only tasks and calls are claimed.
    let head = unsafe { TaskHead::of(entry) };
    let table = head.vtable();
    let spec = frame.spec;
    state.frame.set(&raw const frame);
    state.shared.running.store(std::ptr::from_ref(spec).cast_mut(), Ordering::Relaxed);
    // SAFETY: the caller claimed the entry, so this thread alone runs the body.
    let run = move || unsafe { (table.run)(entry, state.runner()) };
    // Of an `async fn` the future measures the first poll.
    let ran = if table.is_async {
        run()
    } else {
        head.header.tell_started();
        timed(state, spec, run)
    };
    leave_frame(state, &frame);
    if matches!(ran, Ran::Spawned) {
        if hold {
            // SAFETY: the caller gave this hold away, and the future has a hold of its own.
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
    // SAFETY: with `Ran::Value` the body has written the value; with `hold` the caller gave a hold away.
    unsafe {
        match ran {
            Ran::Value => entry::publish(entry, hold),
            ran => conclude(state, entry, ran, hold),
        }
    }
}

/// Runs a body, and measures its own time if its definition wants a sample.
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
    // A body that lost its processor shows nothing about its length, so it is no sample. For a definition that is known to be short
    // the monitor thread finds the long bodies (`engine::overrun`), and distinguishes the two cases.
    let lost = took >= spec::OVERRUN && switches.is_none_or(|before| crate::base::os::lost_processor() != before);
    if !lost {
        spec.sample(took);
    }
    crate::base::clock::advance(crate::base::clock::exact());
    result
}

/// Removes the frame, and counts the body as ended.
#[inline]
pub(crate) fn leave_frame(state: &ThreadState, frame: &Frame) {
    state.frame.set(frame.below);
    let running = frame.below().map_or(std::ptr::null_mut(), |below| std::ptr::from_ref(below.spec).cast_mut());
    state.shared.running.store(running, Ordering::Relaxed);
    state.shared.count_body();
}

/// Gives back the task's granted resources, if it has any.
pub(crate) fn give_back(engine: &Engine, head: &TaskHead) {
    if let Some(extra) = head.extra()
        && extra.granted.load(Ordering::Relaxed)
        && head.mark_granted(false)
    {
        let group = extra.settings.in_group().map(|place| place.group.id());
        claim::give_back(engine, claim::key_of(head), &extra.settings.resources, group);
    }
}

/// Ends an attempt: publishes the value, fails the task or queues it again.
///
/// # Safety
/// As for [`execute`]; the body has ended with `ran`.
pub(crate) unsafe fn conclude(state: &ThreadState, entry: NonNull<Header>, ran: Ran, hold: bool) {
    match ran {
        // SAFETY: `Ran::Value` says that the body has written the value; with `hold` the caller gives a hold away.
        Ran::Value => unsafe { entry::publish(entry, hold) },
        Ran::Failed(error) => {
            // SAFETY: the caller's hold or ref keeps the entry alive; with `hold` the caller gives that hold away, and it is
            // dropped last.
            unsafe {
                let head = TaskHead::of(entry);
                head.header.fail(|phase| phase == Phase::Running, head.blame(error));
                if hold {
                    entry::drop_hold(entry);
                }
            }
        }
        Ran::Again => {
            // SAFETY: the caller's hold or ref keeps the entry alive while `Hold::new` takes another hold.
            let again = unsafe {
                let again = Hold::new(entry);
                if hold {
                    entry::drop_hold(entry);
                }
                again
            };
            // SAFETY: the caller ran the attempt, and `Ran::Again` says that the arguments were kept.
            if unsafe { begins_again(&again) } {
                // SAFETY: `again` is a hold on the entry, which is a task or a call.
                let kind = unsafe { TaskHead::of(entry) }.vtable().kind;
                (kind.requeue)(state.runner(), again);
            }
        }
        Ran::Spawned => {}
    }
}
