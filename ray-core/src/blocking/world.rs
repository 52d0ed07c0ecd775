//! The async runtime that a body sees: `Handle::try_current`, `tokio::spawn`, timers.
//!
//! From the start of the engine's async runtime on (by the first async body, or the first await on a thread of another
//! runtime) every body sees that one, wherever it runs: on a worker thread, on a getter's, on a thread of the user's runtime.
//! Before that a sync body sees none.

use tokio::runtime::EnterGuard;

use crate::error::Result;
use crate::thread::ThreadState;

/// The engine's runtime is the current one until this is dropped.
pub(crate) struct World<'a> {
    state: &'a ThreadState,
    guard: Option<EnterGuard<'a>>,
}

impl Drop for World<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.guard.take().is_some() {
            self.state.entered.set(false);
        }
    }
}

/// For a sync body that a waiting thread runs.
#[inline]
pub(crate) fn enter(state: &ThreadState) -> World<'_> {
    let guard = match state.engine.started_tokio() {
        Some(handle) if !is_inside(state) => Some(handle.enter()),
        _ => None,
    };
    enclose(state, guard)
}

/// For a future: starts the runtime, if need be.
///
/// # Errors
/// As `Engine::tokio`.
pub(crate) fn of_futures(state: &ThreadState) -> Result<World<'_>> {
    let handle = state.engine.tokio()?;
    Ok(enclose(state, (!is_inside(state)).then(|| handle.enter())))
}

#[inline]
fn enclose<'a>(state: &'a ThreadState, guard: Option<EnterGuard<'a>>) -> World<'a> {
    if guard.is_some() {
        state.entered.set(true);
    }
    World { state, guard }
}

/// The thread is inside already: a thread of the engine's runtime, or one that has entered it.
#[inline]
fn is_inside(state: &ThreadState) -> bool {
    state.entered.get() || state.frame().is_some_and(|frame| frame.is_async)
}
