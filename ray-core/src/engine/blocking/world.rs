//! The async runtime that a body sees: `Handle::try_current`, `tokio::spawn`, timers.
//!
//! From the start of the engine's async runtime on (by the first async body, or the first await on a thread of another
//! runtime) every body sees that one, wherever it runs: on a worker thread, on a getter's, on a thread of the user's runtime.
//! Before that a sync body sees none.

use tokio::runtime::{EnterGuard, Handle};

use crate::base::error::Result;
use crate::engine::thread_state::ThreadState;

/// The engine's runtime is the current one until this is dropped.
pub(crate) struct World<'a> {
    state: &'a ThreadState,
    _guard: EnterGuard<'a>,
}

impl Drop for World<'_> {
    fn drop(&mut self) {
        self.state.entered.set(false);
    }
}

/// There is a runtime to enter.
#[inline]
pub(crate) fn is_wanted(state: &ThreadState) -> bool {
    state.engine.started_tokio().is_some()
}

/// For a sync body that a waiting thread runs.
pub(crate) fn enter(state: &ThreadState) -> Option<World<'_>> {
    match state.engine.started_tokio() {
        None => None,
        Some(handle) => enter_runtime(state, handle),
    }
}

/// For a future: starts the runtime, if need be.
///
/// # Errors
/// As `Engine::tokio`.
pub(crate) fn of_futures(state: &ThreadState) -> Result<Option<World<'_>>> {
    Ok(enter_runtime(state, state.engine.tokio()?))
}

/// Unless the thread is inside already: a thread of the engine's runtime, or one that has entered it.
fn enter_runtime<'a>(state: &'a ThreadState, runtime: &'a Handle) -> Option<World<'a>> {
    if state.entered.get() || state.frame().is_some_and(|frame| frame.is_async) {
        return None;
    }
    state.entered.set(true);
    Some(World { state, _guard: runtime.enter() })
}
