//! Async bodies: a future of the engine's, polled on its tokio runtime.
//!
//! The task's entry stays in `Running` from the first poll to the last. A canceller fails the entry, then aborts the
//! future, which is dropped at its next await; whatever happens to it, its end gives back what the task held.

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

/// Turns an outcome into how the attempt ended; see `TaskCell::end`.
type End<R> = unsafe fn(NonNull<Header>, Outcome<R>, bool) -> Ran;

/// Called once when the body is over: an actor frees the call's slot.
pub(crate) type Over = Box<dyn FnOnce() + Send>;

struct Body<R> {
    future: Option<BoxFuture<'static, Outcome<R>>>,
    task: Hold,
    end: End<R>,
    over: Option<Over>,
    actor: Option<NonNull<dyn Host>>,
    caller: Cell<u64>,
    engine: Arc<Engine>,
    /// It has been polled.
    polled: bool,
    /// It stands in [`Engine::futures`].
    listed: bool,
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
    actor: Option<NonNull<dyn Host>>,
    over: Option<Over>,
) {
    let engine = Arc::clone(&state.engine);
    // SAFETY: the caller runs it, so it is alive.
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
    // A future that has been polled is polled again as soon as it is spawned, with a waker of the runtime's.
    match engine.tokio() {
        Ok(tokio) => {
            body.listed = true;
            // Entered before it is spawned, so that the body's end finds it. Not under the lock: a runtime that was taken
            // down drops the body at once.
            let attempt = engine.futures.enter(entry);
            // SAFETY: as above.
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

/// Drops the future of a task at its next await, if it has one.
pub(crate) fn abort(engine: &Engine, entry: NonNull<Header>) {
    if let Some(handle) = engine.futures.handle(entry) {
        handle.abort();
    }
}

impl<R> Body<R> {
    /// The body is over, one way or another.
    fn finish(&mut self, outcome: Outcome<R>) {
        if self.listed {
            self.engine.futures.leave(self.task.entry());
        }
        let strict = self.engine.settings.mode == Mode::Strict;
        // SAFETY: the entry is ours to end, and this is the only place that does.
        let ran = unsafe { (self.end)(self.task.entry(), outcome, strict) };
        // SAFETY: a task or a call, alive by our hold.
        let head = unsafe { TaskHead::of(self.task.entry()) };
        children::release(head);
        let state = thread::of(self.engine.epoch);
        // An actor without handles ends when it has no calls. So a call that is made again keeps its slot until it is queued.
        let over_late = self.over.take_if(|_| state.is_ok() && matches!(ran, Ran::Again));
        if let Some(over) = self.over.take() {
            over();
        }
        give_back(&self.engine, head);
        if let Ok(state) = state {
            // SAFETY: as above; the hold stays ours.
            unsafe { conclude(state, self.task.entry(), ran, false) };
            if let Some(over) = over_late {
                over();
            }
            return;
        }
        // The engine is gone, and nothing begins again; but what there is must find its end.
        // SAFETY: the value or the arguments are ours, as `ran` says, and alive by our hold.
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
        // SAFETY: alive by our hold.
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
        // Aborted, or the runtime went down.
        if let Some(future) = self.future.take() {
            crate::base::users_code::quietly(|| drop(future));
            let error = Error::new(ErrorKind::Cancelled, "the task was cancelled");
            self.finish(Err(error));
        }
    }
}
