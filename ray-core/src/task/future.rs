//! Async bodies: a future of the engine's, polled on its tokio runtime.
//!
//! The task's entry stays in `Running` from the first poll to the last. A canceller fails the entry, then aborts the
//! future, which is dropped at its next await; whatever happens to it, its end gives back what the task held.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::{Ran, TaskHead, children, conclude, give_back, leave_frame};
use crate::actor::cell::ActorHead;
use crate::callable::function::{BoxFuture, Outcome};
use crate::runtime::{Engine, lock};
use crate::store::entry::{Header, Hold};
use crate::thread::{self, Frame, ThreadState};

/// Turns an outcome into how the attempt ended; see `TaskCell::end`.
type End<R> = unsafe fn(NonNull<Header>, Outcome<R>, bool) -> Ran;

/// Called once when the body is over, with the panic it ended in: an actor frees the call's slot.
pub(crate) type Over = Box<dyn FnOnce(Option<Error>) + Send>;

struct Body<R> {
    future: Option<BoxFuture<'static, Outcome<R>>>,
    task: Hold,
    end: End<R>,
    over: Option<Over>,
    actor: Option<NonNull<ActorHead>>,
    caller: Cell<u64>,
    engine: Arc<Engine>,
}

// SAFETY: the future, the hold and `over` are Send; the actor is kept alive by `over` and by the call's hold on it.
unsafe impl<R> Send for Body<R> {}

/// Spawns the future of an entry that the caller runs; `end` is called when it is over.
///
/// # Safety
/// The entry is in `Running` by the caller's doing, and `end` fits it.
pub(crate) unsafe fn spawn<R: Send + 'static>(
    state: &ThreadState,
    entry: NonNull<Header>,
    future: BoxFuture<'static, Outcome<R>>,
    end: End<R>,
) {
    // SAFETY: the caller's promise.
    unsafe { spawn_for(state, entry, future, end, None, None) }
}

/// As [`spawn`], for a call of an actor.
///
/// # Safety
/// As [`spawn`]; the actor lives until `over` is called.
pub(crate) unsafe fn spawn_for<R: Send + 'static>(
    state: &ThreadState,
    entry: NonNull<Header>,
    future: BoxFuture<'static, Outcome<R>>,
    end: End<R>,
    actor: Option<NonNull<ActorHead>>,
    over: Option<Over>,
) {
    let engine = Arc::clone(&state.engine);
    // SAFETY: the caller runs it, so it is alive.
    let task = unsafe { Hold::new(entry) };
    let mut body = Body { future: Some(future), task, end, over, actor, caller: Cell::new(0), engine: Arc::clone(&engine) };
    match engine.tokio() {
        Ok(tokio) => {
            // Under the lock, so that the body's end finds what is entered here.
            let mut futures = lock(&engine.futures);
            let handle = tokio.spawn(body);
            futures.insert(entry.as_ptr().addr(), handle.abort_handle());
        }
        Err(error) => {
            body.future = None;
            body.finish(Err(error), None);
        }
    }
}

/// Drops the future of a task at its next await, if it has one.
pub(crate) fn abort(engine: &Engine, entry: NonNull<Header>) {
    let handle = lock(&engine.futures).get(&entry.as_ptr().addr()).cloned();
    if let Some(handle) = handle {
        handle.abort();
    }
}

impl<R> Body<R> {
    /// The body is over, one way or another.
    fn finish(&mut self, outcome: Outcome<R>, crashed: Option<Error>) {
        lock(&self.engine.futures).remove(&self.task.entry().as_ptr().addr());
        let strict = self.engine.settings.strict;
        // SAFETY: the entry is ours to end, and this is the only place that does.
        let ran = unsafe { (self.end)(self.task.entry(), outcome, strict) };
        // SAFETY: a task or a call, alive by our hold.
        let head = unsafe { TaskHead::of(self.task.entry()) };
        children::release(head);
        if let Some(over) = self.over.take() {
            over(crashed);
        }
        let Some(state) = thread::existing() else {
            // A thread without a state only drops futures, when the engine is gone.
            // SAFETY: alive by our hold.
            unsafe { super::abort(self.task.entry(), thread::gone("the future was dropped")) };
            return;
        };
        give_back(state, head);
        // SAFETY: as above; the hold stays ours.
        unsafe { conclude(state, self.task.entry(), ran, false) };
    }
}

impl<R> Future for Body<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(future) = this.future.as_mut() else { return Poll::Ready(()) };
        let state = match thread::current() {
            Ok(state) if state.epoch == this.engine.epoch => state,
            _ => {
                // Shut down: what the future holds goes, the entry's epoch tells the rest.
                let future = this.future.take();
                crate::unwind::quietly(|| drop(future));
                return Poll::Ready(());
            }
        };
        if this.task.phase().is_settled() {
            return Poll::Ready(());
        }
        // SAFETY: alive by our hold.
        let head = unsafe { TaskHead::of(this.task.entry()) };
        let frame = Frame {
            below: state.frame.get(),
            entry: Some(this.task.entry()),
            actor: this.actor,
            spec: head.vtable().spec,
            caller: Cell::new(this.caller.get()),
            is_async: true,
            crashed: Cell::new(None),
        };
        state.frame.set(&raw const frame);
        let polled = crate::unwind::catch(|| future.as_mut().poll(context));
        leave_frame(state, &frame);
        this.caller.set(frame.caller.get());
        let mut crashed = None;
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(panic) => {
                crashed = this.actor.map(|_| head.blame(panic.clone()));
                // SAFETY: the actor lives until `over` is called.
                Err(this.actor.map_or(panic.clone(), |actor| crate::actor::life::mourn(unsafe { actor.as_ref() }, panic)))
            }
        };
        let future = this.future.take();
        crate::unwind::quietly(|| drop(future));
        this.finish(outcome, crashed);
        Poll::Ready(())
    }
}

impl<R> Drop for Body<R> {
    fn drop(&mut self) {
        // Aborted, or the runtime went down.
        if let Some(future) = self.future.take() {
            crate::unwind::quietly(|| drop(future));
            let error = Error::new(ErrorKind::Cancelled, "the task was cancelled");
            self.finish(Err(error), None);
        }
    }
}

use crate::error::{Error, ErrorKind};
