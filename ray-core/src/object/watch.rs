//! Failures of watched entries. A getter of several objects waits for the last of them, and is to fail as soon as any of them does:
//! it marks all as watched, and a failure of a watched entry wakes every such getter, to look again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Thread;

use parking_lot::Mutex;

/// The threads of these getters.
static WATCHERS: Mutex<Vec<Thread>> = Mutex::new(Vec::new());
/// So many watched entries have failed so far.
static FAILURES: AtomicU64 = AtomicU64::new(0);

/// How many watched entries have failed so far.
pub(crate) fn failures() -> u64 {
    FAILURES.load(Ordering::SeqCst)
}

/// A watched entry has failed.
#[cold]
pub(crate) fn failed() {
    FAILURES.fetch_add(1, Ordering::SeqCst);
    for thread in &*WATCHERS.lock() {
        thread.unpark();
    }
}

/// This thread is among the watchers until the guard goes.
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
