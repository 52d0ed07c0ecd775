//! Async bodies: futures that the engine's tokio runtime polls.
//!
//! # Rules
//!
//! 1. The task's entry stays in `Running` from the first poll to the last.
//! 2. A canceller first fails the entry, then aborts the future, which is dropped at its next await.
//! 3. However a future ends (result, panic, abort, end of the runtime), `finish` runs once and gives back the task's resources.

use crate::base::config::Mode;
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use crate::base::error::{Error, ErrorKind};
use crate::call::function::{BoxFuture, Outcome};
use crate::engine::engine::Engine;
use crate::engine::execute::{conclude, give_back, leave_frame};
use crate::engine::thread;
use crate::engine::thread_state::{Frame, Host, ThreadState};
use crate::object::entry;
use crate::object::entry::{Header, Hold};
use crate::task::children;
use crate::task::head::{Ran, TaskHead};

/// Converts an outcome into the way in which the attempt ended; see `TaskCell::end`.
type End<R> = unsafe fn(NonNull<Header>, Outcome<R>, bool) -> Ran;

/// Called once when the body has ended: an actor frees the slot of the call.
pub(crate) type Over = Box<dyn FnOnce() + Send>;

struct Body<R> {
    future: Option<BoxFuture<'static, Outcome<R>>>,
    task: Hold,
    end: End<R>,
    over: Option<Over>,
    actor: Option<NonNull<dyn Host>>,
    caller: Cell<u64>,
    engine: Arc<Engine>,
    /// Whether the future has been polled.
    polled: bool,
    /// Whether the task is entered in [`Engine::futures`].
    listed: bool,
}

// SAFETY: the future, the hold and `over` are Send. `actor` is only used while `over` and the call's hold keep the actor alive, and
// `caller` only by the thread that polls.
unsafe impl<R> Send for Body<R> {}

/// Spawns the future of an entry whose attempt the caller runs; `end` is called with its outcome.
///
/// # Safety
/// The caller moved the entry to `Running`, and `end` is the function of the entry's type.
pub(crate) unsafe fn spawn<R: Send + 'static>(
    state: &ThreadState,
    entry: NonNull<Header>,
    future: BoxFuture<'static, Outcome<R>>,
    end: End<R>,
) {
    // SAFETY: the caller has moved the entry to `Running` and chosen `end` for it; without an actor there is no further condition.
    unsafe { spawn_for(state, entry, future, end, None, None) }
}

/// Like [`spawn`], for a call of an actor.
///
/// # Safety
/// As for [`spawn`]; the actor lives until `over` has been called.
pub(crate) unsafe fn spawn_for<R: Send + 'static>(
    state: &ThreadState,
    entry: NonNull<Header>,
    future: BoxFuture<'static, Outcome<R>>,
    end: End<R>,
    actor: Option<NonNull<dyn Host>>,
    over: Option<Over>,
) {
    let engine = Arc::clone(&state.engine);
    // SAFETY: the caller runs the attempt, so the entry is alive.
    let task = unsafe { Hold::new(entry) };
    let mut body = Body {
        future: Some(future),
        task,
        end,
        over,
        actor,
        caller: Cell::new(0),
        engine: Arc::clone(&engine),
        polled: false,
        listed: false,
    };
    if state.first_poll.replace(false) && Pin::new(&mut body).poll(&mut Context::from_waker(Waker::noop())).is_ready() {
        return;
    }
    // If the future was polled above, with a waker that does nothing, the runtime polls it again at once with a waker of its own.
    match engine.tokio() {
        Ok(tokio) => {
            body.listed = true;
            // The task is entered before the future is spawned, so that the end of the body finds the entry. The table is not
            // locked during `spawn`: a runtime that has shut down drops the body inside `spawn`, and the drop locks the table.
            let attempt = engine.futures.enter(entry);
            // SAFETY: the caller runs the attempt, and `body` has a hold on the entry.
            let task = unsafe { Hold::new(entry) };
            let handle = tokio.spawn(body).abort_handle();
            engine.futures.spawned(entry, attempt, handle.clone());
            let now = task.state.load();
            if now.phase().is_settled() || crate::engine::blocking::interrupt::is_cut_off(&task) || !engine.is_live() {
                // A thread that cancelled it or cut it off meanwhile found no handle.
                handle.abort();
            }
        }
        Err(error) => {
            body.future = None;
            body.finish(Err(error));
        }
    }
}

/// Aborts the future of a task, if it has one: the runtime drops it at its next await.
pub(crate) fn abort(engine: &Engine, entry: NonNull<Header>) {
    if let Some(handle) = engine.futures.handle(entry) {
        handle.abort();
    }
}

impl<R> Body<R> {
    /// Ends the attempt after the future was dropped.
    fn finish(&mut self, outcome: Outcome<R>) {
        if self.listed {
            self.engine.futures.leave(self.task.entry());
        }
        let strict = self.engine.settings.mode == Mode::Strict;
        // SAFETY: this body runs the attempt, and `finish` is called once, after the future was taken out.
        let ran = unsafe { (self.end)(self.task.entry(), outcome, strict) };
        // SAFETY: the entry is a task or a call, and `self.task` is a hold on it.
        let head = unsafe { TaskHead::of(self.task.entry()) };
        children::release(head);
        let state = thread::of(self.engine.epoch);
        // An actor without handles ends when it has no calls. So a call that is retried keeps its slot until it is queued.
        let over_late = self.over.take_if(|_| state.is_ok() && matches!(ran, Ran::Again));
        if let Some(over) = self.over.take() {
            over();
        }
        give_back(&self.engine, head);
        if let Ok(state) = state {
            // SAFETY: `self.task` keeps the entry alive and is not given away; `ran` is the end of the attempt that this body runs.
            unsafe { conclude(state, self.task.entry(), ran, false) };
            if let Some(over) = over_late {
                over();
            }
            return;
        }
        // The engine has ended, so nothing is retried, but the task must be settled.
        // SAFETY: this body runs the attempt, so it owns a value that was written or arguments that were kept, as `ran` says; its
        // hold keeps the entry alive.
        unsafe {
            match ran {
                Ran::Value => return entry::publish(self.task.entry(), false),
                Ran::Again => (head.vtable().drop_args)(self.task.entry()),
                Ran::Failed(_) | Ran::Spawned => {}
            }
            self.task.state.set_seen();
            self.task.fail(|_| true, crate::base::epoch::gone("the future was dropped"));
        }
    }
}

impl<R> Future for Body<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(future) = this.future.as_mut() else { return Poll::Ready(()) };
        let state = match thread::of(this.engine.epoch) {
            Ok(state) => state,
            Err(gone) => {
                let future = this.future.take();
                crate::base::users_code::quietly(|| drop(future));
                this.finish(Err(gone));
                return Poll::Ready(());
            }
        };
        if this.task.phase().is_settled() {
            return Poll::Ready(());
        }
        // SAFETY: the entry is a task or a call, and `this.task` is a hold on it.
        let head = unsafe { TaskHead::of(this.task.entry()) };
        let frame = Frame {
            below: state.frame.get(),
            entry: Some(this.task.entry()),
            actor: this.actor,
            spec: head.vtable().definition(),
            caller: Cell::new(this.caller.get()),
            is_async: true,
            crashed: Cell::new(false),
        };
        state.frame.set(&raw const frame);
        state.shared.running.store(std::ptr::from_ref(frame.spec).cast_mut(), Ordering::Relaxed);
        let mut poll = || crate::base::unwind::catch(|| future.as_mut().poll(context));
        let polled = if this.polled {
            let outer = state.timed.replace(false);
            let polled = poll();
            state.timed.set(outer);
            polled
        } else {
            this.polled = true;
            this.task.tell_started();
            let polled = crate::engine::execute::timed(state, frame.spec, poll);
            if matches!(polled, Ok(Poll::Pending)) {
                frame.spec.has_waited();
            }
            polled
        };
        leave_frame(state, &frame);
        this.caller.set(frame.caller.get());
        let outcome = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => outcome,
            Err(panic) => Err((head.vtable().kind.panicked)(this.task.entry(), panic)),
        };
        let future = this.future.take();
        crate::base::users_code::quietly(|| drop(future));
        this.finish(outcome);
        Poll::Ready(())
    }
}

impl<R> Drop for Body<R> {
    fn drop(&mut self) {
        // The future was aborted, or the runtime has shut down.
        if let Some(future) = self.future.take() {
            crate::base::users_code::quietly(|| drop(future));
            let error = Error::new(ErrorKind::Cancelled, "the task was cancelled");
            self.finish(Err(error));
        }
    }
}
