//! The async runtime that bodies see through `Handle::try_current`, `tokio::spawn` and timers.
//!
//! Once the engine's async runtime has been started (by the first async body, or by the first await on a thread of another
//! runtime), every body sees it on every thread: a worker thread, a getter's thread, a thread of the user's runtime. Before that a
//! sync body sees none.

use tokio::runtime::{EnterGuard, Handle};

use crate::base::error::Result;
use crate::engine::thread_state::ThreadState;

/// The guard of a thread that has entered the engine's runtime.
pub(crate) struct World<'a> {
    state: &'a ThreadState,
    _guard: EnterGuard<'a>,
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        self.state.entered.set(false);
    }
}

/// Whether there is a runtime to enter.
#[inline]
pub(crate) fn is_wanted(state: &ThreadState) -> bool {
    state.engine.started_tokio().is_some()
}

/// Enters the runtime for a sync body that a waiting thread runs, if it has been started.
pub(crate) fn enter(state: &ThreadState) -> Option<World<'_>> {
    match state.engine.started_tokio() {
        None => None,
        Some(handle) => enter_runtime(state, handle),
    }
}

/// Enters the runtime for a future; starts it if need be.
///
/// # Errors
/// Those of `Engine::tokio`.
pub(crate) fn of_futures(state: &ThreadState) -> Result<Option<World<'_>>> {
    Ok(enter_runtime(state, state.engine.tokio()?))
}

/// Enters the runtime, unless the thread is inside already: it belongs to the engine's runtime, or has entered it.
fn enter_runtime<'a>(state: &'a ThreadState, runtime: &'a Handle) -> Option<World<'a>> {
    if state.entered.get() || state.frame().is_some_and(|frame| frame.is_async) {
        return None;
    }
    state.entered.set(true);
    Some(World { state, _guard: runtime.enter() })
}
