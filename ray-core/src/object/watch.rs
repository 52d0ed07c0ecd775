//! Failures of watched entries. A getter of several objects waits for the last of them, but must return as soon as one of them
//! fails. So it marks all of them as watched; the failure of a watched entry wakes every such getter, which looks again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Thread;

use parking_lot::Mutex;

/// The threads that wait in such a getter.
static WATCHERS: Mutex<Vec<Thread>> = Mutex::new(Vec::new());
/// The number of watched entries that have failed so far.
static FAILURES: AtomicU64 = AtomicU64::new(0);

/// The number of watched entries that have failed so far. A getter compares it with an earlier value.
pub(crate) fn failures() -> u64 {
    FAILURES.load(Ordering::SeqCst)
}

/// Records the failure of a watched entry, and wakes all watchers.
#[cold]
pub(crate) fn failed() {
    FAILURES.fetch_add(1, Ordering::SeqCst);
    for thread in &*WATCHERS.lock() {
        thread.unpark();
    }
}

/// Keeps this thread among the watchers until it is dropped.
pub(crate) struct Watching;

impl Watching {
    pub(crate) fn new() -> Self {
        WATCHERS.lock().push(std::thread::current());
        Self
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let me = std::thread::current().id();
        let mut watchers = WATCHERS.lock();
        if let Some(at) = watchers.iter().position(|thread| thread.id() == me) {
            watchers.swap_remove(at);
        }
    }
}
