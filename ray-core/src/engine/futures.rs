//! The table of the futures in the async runtime, by their tasks. A canceller finds the future of a task there and aborts it.

use std::collections::HashMap;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::AbortHandle;

use crate::object::entry::Header;

/// The table; see the module.
#[derive(Debug, Default)]
pub(crate) struct Futures(Mutex<HashMap<usize, Spawned>>);

/// A future in the runtime.
#[derive(Debug)]
struct Spawned {
    attempt: Attempt,
    /// None until `spawned` is called.
    handle: Option<AbortHandle>,
}

/// The number of an attempt, which distinguishes the attempts of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempt(u64);

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
    pub(crate) fn enter(&self, task: NonNull<Header>) -> Attempt {
        let attempt = Attempt::next();
        self.0.lock().insert(key(task), Spawned { attempt, handle: None });
        attempt
    }

    /// Adds the handle of the spawned future, unless the future has ended meanwhile; another attempt of the task may have begun
    /// then.
    pub(crate) fn spawned(&self, task: NonNull<Header>, attempt: Attempt, handle: AbortHandle) {
        if let Some(place) = self.0.lock().get_mut(&key(task)).filter(|place| place.attempt == attempt) {
            place.handle = Some(handle);
        }
    }

    /// Removes the future of a task when it ends.
    pub(crate) fn leave(&self, task: NonNull<Header>) {
        self.0.lock().remove(&key(task));
    }

    /// The handle that aborts the future of a task, if there is one.
    pub(crate) fn handle(&self, task: NonNull<Header>) -> Option<AbortHandle> {
        self.0.lock().get(&key(task)).and_then(|future| future.handle.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Locks the table for a test of the dump.
    #[cfg(test)]
    pub(crate) fn hold_lock(&self) -> impl Drop + '_ {
        self.0.lock()
    }

    /// The number of futures; none if the table cannot be locked within `patience`.
    pub(crate) fn len_within(&self, patience: Duration) -> Option<usize> {
        self.0.try_lock_for(patience).map(|futures| futures.len())
    }
}
