//! The futures that the async runtime has, by their tasks, so that a canceller can drop them.

use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::object::entry::Header;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Futures(Mutex<HashMap<usize, Spawned>>);

/// A future that the runtime has.
#[derive(Debug)]
struct Spawned {
    attempt: Attempt,
    /// None while it is just being spawned.
    handle: Option<AbortHandle>,
}

/// Tells the attempts of a call apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt(u64);

impl Attempt {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

fn key(task: NonNull<Header>) -> usize {
    task.as_ptr().addr()
}

impl Futures {
    /// Enters a task whose future is about to be spawned.
    pub(super) fn enter(&self, task: NonNull<Header>) -> Attempt {
        let attempt = Attempt::next();
        self.0.lock().insert(key(task), Spawned { attempt, handle: None });
        attempt
    }

    /// The future is spawned. It may have ended meanwhile, and another attempt of the same task have begun.
    pub(super) fn spawned(&self, task: NonNull<Header>, attempt: Attempt, handle: AbortHandle) {
        if let Some(place) = self.0.lock().get_mut(&key(task)).filter(|place| place.attempt == attempt) {
            place.handle = Some(handle);
        }
    }

    /// The future has ended.
    pub(super) fn leave(&self, task: NonNull<Header>) {
        self.0.lock().remove(&key(task));
    }

    /// What drops the future of a task at its next await, if it has one.
    pub(crate) fn handle(&self, task: NonNull<Header>) -> Option<AbortHandle> {
        self.0.lock().get(&key(task)).and_then(|future| future.handle.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Keeps every other thread from the table, for a test of the dump.
    #[cfg(test)]
    pub(crate) fn hold_lock(&self) -> impl Drop + '_ {
        self.0.lock()
    }

    /// How many there are; none where that cannot be looked at within a time.
    pub(crate) fn len_within(&self, patience: Duration) -> Option<usize> {
        self.0.try_lock_for(patience).map(|futures| futures.len())
    }
}
