//! The future of an async constructor, on the engine's async runtime.
//!
//! # Rules
//!
//! 1. The runner that begins an async constructor hands the execution lock over to the future: no thread takes the lock, and
//!    no call begins, until the future is over. The actor stays in the state `Starting`.
//! 2. However the future ends (result, panic, abort, end of the runtime), `finish` runs once: it changes the actor's state and
//!    releases the execution lock.
//! 3. A thread that kills or restarts the actor changes the state first, and then aborts the future, which is dropped at its
//!    next await.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use crate::actor::call::CallHold;
use crate::actor::execution::frame_of;
use crate::actor::run_state::Life;
use crate::actor::{construct, run};
use crate::base::config::Mode;
use crate::base::error::{Error, ErrorKind, Result};
use crate::call::function::{BoxFuture, Outcome};
use crate::engine::engine::Engine;
use crate::engine::execute::leave_frame;
use crate::engine::thread;
use crate::engine::thread_state::{Frame, ThreadState};
use crate::object::entry::Header;
use crate::task::children;
use crate::task::head::Ran;

/// Takes the outcome of the body; see `CallCell::end`.
type End<R> = unsafe fn(NonNull<Header>, Outcome<R>, bool) -> Ran;

struct Constructor<R> {
    future: Option<BoxFuture<'static, Outcome<R>>>,
    creation: CallHold,
    end: End<R>,
    caller: Cell<u64>,
    engine: Arc<Engine>,
    /// Whether the future has been polled.
    polled: bool,
    /// Whether the creation is entered in [`Engine::futures`].
    listed: bool,
}

/// Spawns the future of a constructor, which is the runner from now on.
///
/// # Safety
/// The caller is the runner of the actor, whose state is `Starting`, and no longer is when this returns. `end` is the function
/// of the type of the creation.
pub(super) unsafe fn spawn<R: Send + 'static>(
    state: &ThreadState,
    creation: CallHold,
    future: BoxFuture<'static, Outcome<R>>,
    end: End<R>,
) {
    let engine = Arc::clone(&state.engine);
    let (actor, entry) = (creation.actor.clone(), creation.hold().entry());
    *actor.cold_state().constructing.lock() = Some(creation.hold().clone());
    let (future, caller) = (Some(future), Cell::new(0));
    let mut body = Constructor { future, creation, end, caller, engine: Arc::clone(&engine), polled: false, listed: false };
    match engine.tokio() {
        Ok(tokio) => {
            body.listed = true;
            // As for every future: it is entered before it is spawned, and the table is not locked during `spawn`.
            let attempt = engine.futures.enter(entry);
            let handle = tokio.spawn(body).abort_handle();
            engine.futures.spawned(entry, attempt, handle.clone());
            if actor.life() != Life::Starting || !engine.is_live() {
                // A thread that killed or restarted the actor meanwhile found no handle. If the constructor has ended by
                // itself, this does nothing.
                handle.abort();
            }
        }
        Err(error) => {
            body.future = None;
            body.finish(Ok(Err(error)));
        }
    }
}

impl<R> Constructor<R> {
    /// Ends the constructor after its future was dropped. The outer error is a panic.
    fn finish(&mut self, ended: Result<Outcome<R>>) {
        if self.listed {
            self.engine.futures.leave(self.creation.hold().entry());
        }
        let strict = self.engine.settings.mode == Mode::Strict;
        let (ran, crashed) = match ended {
            // SAFETY: this future runs the creation, and `finish` is called once, after the future of the user was dropped.
            Ok(outcome) => (unsafe { (self.end)(self.creation.hold().entry(), outcome, strict) }, false),
            Err(panic) => (Ran::Failed(panic), true),
        };
        children::release(&self.creation.task);
        let actor = self.creation.actor.clone();
        let constructing = actor.cold_state().constructing.lock().take();
        drop(constructing);
        let (made, error) = construct::ended(&actor, &self.creation, ran, crashed);
        construct::conclude(&actor, self.creation.clone(), made, error);
        run::finish(&actor);
    }
}

impl<R> Future for Constructor<R> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let Some(future) = this.future.as_mut() else { return Poll::Ready(()) };
        let Ok(state) = thread::of(this.engine.epoch) else { return Poll::Ready(()) };
        if this.creation.actor.life() != Life::Starting {
            // The actor was killed, or is to restart: the runtime drops this future, which finishes it.
            return Poll::Ready(());
        }
        let frame = Frame { caller: Cell::new(this.caller.get()), ..frame_of(state, &this.creation) };
        state.frame.set(&raw const frame);
        state.shared.running.store(std::ptr::from_ref(frame.spec).cast_mut(), Ordering::Relaxed);
        if !std::mem::replace(&mut this.polled, true) {
            this.creation.hold().tell_started();
        }
        let outer = state.timed.replace(false);
        let polled = crate::base::unwind::catch(|| future.as_mut().poll(context));
        state.timed.set(outer);
        leave_frame(state, &frame);
        this.caller.set(frame.caller.get());
        let ended = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(outcome)) => Ok(outcome),
            Err(panic) => Err(panic),
        };
        let future = this.future.take();
        crate::base::users_code::quietly(|| drop(future));
        this.finish(ended);
        Poll::Ready(())
    }
}

impl<R> Drop for Constructor<R> {
    fn drop(&mut self) {
        // The future was aborted, or the runtime has shut down.
        if let Some(future) = self.future.take() {
            crate::base::users_code::quietly(|| drop(future));
            self.finish(Ok(Err(Error::new(ErrorKind::Cancelled, "the constructor was cancelled"))));
        }
    }
}
