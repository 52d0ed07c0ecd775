//! The state of the current thread: how it is found, made and left.
//!
//! # How long a state lives
//!
//! References to a state are in stack frames of the engine's code. A thread gets another state only when it uses another engine,
//! and frames of the engine lie below that call only if the engine has called code of the user, which `users_code` counts. So the
//! former states are freed when the thread gets another state or shuts the engine down, unless it runs such code.

use std::cell::{Cell, RefCell};
use std::ptr::null;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::base::error::Result;
use crate::base::{epoch, event};
use crate::engine::engine;
use crate::engine::engine::Engine;
use crate::engine::thread_state::ThreadState;
use crate::engine::threads::is_engines_own;

thread_local! {
    static CURRENT: Cell<*const ThreadState> = const { Cell::new(null()) };
    static OWNED: RefCell<Owned> = const { RefCell::new(Owned(Vec::new())) };
}

/// Whether this thread runs work of an engine, so that it cannot wait for that engine's end.
pub(crate) fn is_inside() -> bool {
    is_engines_own() || event::is_in_listener() || existing().is_some_and(|state| state.is_worker || state.frame().is_some())
}

/// Boxed, because pointers to the states exist while the list grows.
#[allow(clippy::vec_box, reason = "states must not move")]
struct Owned(Vec<Box<ThreadState>>);

impl Drop for Owned {
    fn drop(&mut self) {
        CURRENT.set(null());
        for state in self.0.drain(..) {
            leave(&state);
        }
    }
}

/// Called when the thread ends: moves its queued jobs to the queues of all threads.
fn leave(state: &ThreadState) {
    while let Some(job) = state.deque.pop() {
        state.engine.injector.push(job);
    }
    if let Some(batch) = &state.batch {
        state.engine.free.leave(batch);
    }
    state.engine.threads.leave(&state.shared);
    if state.engine.is_live() {
        crate::engine::queue::notify(&state.engine);
    } else {
        crate::engine::shutdown::drain(&state.engine);
    }
    if state.is_worker {
        let workers = &state.engine.workers;
        let counted = if state.counted_out.get() { &workers.leaving } else { &workers.count };
        counted.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The state of this thread for the current engine; starts an engine if there is none.
///
/// # Errors
/// `RuntimeGone`: in a body or on a thread of an engine that was shut down, or while the thread is ending. Otherwise the error of
/// the engine's start.
#[inline]
pub(crate) fn current<'a>() -> Result<&'a ThreadState> {
    let state = CURRENT.get();
    if !state.is_null() {
        // SAFETY: this thread owns the state, which lives as long as a frame of the engine may refer to it (see the module), and
        // the reference cannot leave the thread because `ThreadState` is not Sync.
        let state = unsafe { &*state };
        if state.epoch == epoch::current() {
            return Ok(state);
        }
    }
    attach()
}

/// The state of this thread for the engine with this epoch. Unlike [`current`] it never starts an engine. For callers that deal
/// with existing objects: a waiter, a handle, an argument that became ready.
///
/// # Errors
/// `RuntimeGone` if that engine is not the current one.
#[inline]
pub(crate) fn of<'a>(epoch: u32) -> Result<&'a ThreadState> {
    if let Some(state) = existing()
        && state.epoch == epoch
        && epoch::current() == epoch
    {
        return Ok(state);
    }
    join(epoch)
}

#[cold]
fn join<'a>(epoch: u32) -> Result<&'a ThreadState> {
    if event::is_in_listener() {
        return Err(event::refused());
    }
    match engine::running().filter(|engine| engine.epoch == epoch) {
        Some(engine) if existing().is_none_or(|state| state.frame().is_none()) => enter(engine, false),
        _ => Err(epoch::gone("its objects and actors ended with it")),
    }
}

/// The state of this thread for any engine, if it has one.
#[inline]
pub(crate) fn existing<'a>() -> Option<&'a ThreadState> {
    // SAFETY: the pointer is null or that of a state of this thread, which lives as long as a frame of the engine may refer to it,
    // and the reference cannot leave the thread because `ThreadState` is not Sync.
    unsafe { CURRENT.get().as_ref() }
}

/// Calls the listener of events while this thread has no state, so that the engine refuses calls of the listener.
pub(crate) fn detached(listener: impl FnOnce()) {
    struct Put(*const ThreadState);
    impl Drop for Put {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _put = Put(CURRENT.replace(null()));
    listener();
}

#[cold]
fn attach<'a>() -> Result<&'a ThreadState> {
    if event::is_in_listener() {
        return Err(event::refused());
    }
    if let Some(state) = existing()
        && state.frame().is_some()
    {
        return Err(epoch::gone("this body belongs to an engine that was shut down"));
    }
    if is_engines_own() {
        // Code of the user that this thread runs at the end of its engine (a callback, the drop of a value) must not start another
        // one.
        let engine = engine::running().ok_or_else(|| epoch::gone("this thread belonged to it"))?;
        return enter(engine, false);
    }
    enter(engine::engine()?, false)
}

/// Makes this thread a worker of the engine.
pub(crate) fn attach_worker<'a>(engine: Arc<Engine>) -> Result<&'a ThreadState> {
    enter(engine, true)
}

/// Frees this thread's states of engines that were shut down, unless a frame below may refer to one.
pub(crate) fn free_former() {
    if crate::base::users_code::is_in_users_code() {
        return;
    }
    let current = existing().filter(|state| state.engine.is_live());
    let kept = current.map_or(null(), std::ptr::from_ref);
    let mut former = Vec::new();
    let _ = OWNED.try_with(|owned| {
        let all = std::mem::take(&mut owned.borrow_mut().0);
        let (here, gone): (Vec<_>, Vec<_>) = all.into_iter().partition(|state| std::ptr::eq(&raw const **state, kept));
        owned.borrow_mut().0 = here;
        former = gone;
    });
    CURRENT.set(kept);
    // `leave` may drop values of the user, and their code may call this function again. So the states are out of the list before.
    for state in former {
        leave(&state);
    }
}

/// Attaches this thread to an engine that has ended, so that it can run that engine's last callbacks.
pub(crate) fn attach_late<'a>(engine: Arc<Engine>) -> Result<&'a ThreadState> {
    enter(engine, false)
}

fn enter<'a>(engine: Arc<Engine>, is_worker: bool) -> Result<&'a ThreadState> {
    free_former();
    let raw = OWNED
        .try_with(|owned| {
            // The state is made inside `try_with`, because making it enters it in the engine's list of threads, and only a kept
            // state is removed from there.
            let state = Box::new(ThreadState::new(engine, is_worker));
            let raw: *const ThreadState = &raw const *state;
            owned.borrow_mut().0.push(state);
            raw
        })
        .map_err(|_| epoch::gone("this thread is ending"))?;
    CURRENT.set(raw);
    // SAFETY: `OWNED` of this thread has the state in a box, and keeps it as long as a frame of the engine may refer to it.
    Ok(unsafe { &*raw })
}
