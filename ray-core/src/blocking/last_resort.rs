//! A thread that waits while no other thread is left to run what it waits for.
//!
//! Every worker waits in a get, and no further one can be had: because `Config::max_threads` is reached, or since the system
//! refuses threads. Then the waiting thread runs what it waits for by itself, be it long. Where there is no worker at all it
//! runs whatever is queued: slowly, but the program goes on. If there is nothing for this thread to run, another waiting
//! thread may have something; only when nothing has changed for [`PATIENCE`] looks is the wait an error.

use std::ptr::NonNull;
use std::time::Duration;

use super::inline::{self, Bodies};
use crate::store::entry::Header;
use crate::thread::ThreadState;
use crate::worker::awaited::AwaitedQueue;

/// So many looks in vain, [`PAUSE`] apart.
const PATIENCE: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// How often a wait has found nothing to run.
#[derive(Debug, Default)]
pub(crate) struct LastResort(u32);

impl LastResort {
    /// Runs something that one of `entries` needs. `true`: look again; `false`: nobody can go on.
    #[cold]
    pub(crate) fn helps(&mut self, state: &ThreadState, entries: impl Iterator<Item = NonNull<Header>>) -> bool {
        if super::depth_of(state) >= super::DEEPEST {
            return false;
        }
        for entry in entries {
            // SAFETY: the waiting thread has a ref.
            let header = unsafe { entry.as_ref() };
            if header.phase().is_settled() || run(state, entry) {
                self.0 = 0;
                return true;
            }
        }
        if state.engine.has_no_worker() && crate::worker::run_one_here(state) {
            self.0 = 0;
            return true;
        }
        self.0 += 1;
        if self.0 < PATIENCE {
            std::thread::park_timeout(PAUSE);
        }
        self.0 < PATIENCE
    }
}

fn run(state: &ThreadState, entry: NonNull<Header>) -> bool {
    if inline::run(state, entry, Bodies::Any) {
        return true;
    }
    // SAFETY: the waiting thread has a ref.
    let needs = AwaitedQueue::startable(unsafe { entry.as_ref() });
    needs.iter().any(|task| inline::run(state, task.entry(), Bodies::Any))
}

/// An await on a thread that no worker can help: runs queued work here until the object is settled, or nothing is left.
#[cold]
pub(crate) fn help_an_await(state: &ThreadState, entry: NonNull<Header>) {
    // SAFETY: the await has a ref.
    let header = unsafe { entry.as_ref() };
    while state.engine.has_no_worker() && !header.phase().is_settled() && crate::worker::run_one_here(state) {}
}
