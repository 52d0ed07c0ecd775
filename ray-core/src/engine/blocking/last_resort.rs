//! A thread that waits while no other thread is left to run what it waits for.
//!
//! Every worker waits in a get, and no further one can be had: because `Config::max_threads` is reached, or since the system
//! refuses threads. Then the waiting thread runs what it waits for by itself, be it long. Where there is no worker at all it
//! runs whatever is queued: slowly, but the program goes on. If there is nothing for this thread to run, another waiting
//! thread may have something; only when nothing has changed for [`PATIENCE`] looks is the wait an error.
//!
//! Workers may also block outside of the engine, on a lock or a join, while no further thread can be had. Only the monitor
//! thread sees that. It asks the waiting threads for help ([`Calls`]): each looks once whether it can run something that it
//! waits for itself, and one that runs no body takes what the monitor thread offers. Waits with a time-out do not help.

use crate::engine::calls::Offer;
use std::ptr::NonNull;
use std::time::Duration;

use crate::engine::awaited::AwaitedQueue;
use crate::engine::blocking::inline;
use crate::engine::thread_state::ThreadState;
use crate::object::entry::Header;
use crate::task::runner::Bodies;

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
        if crate::engine::blocking::depth_of(state) >= crate::engine::blocking::DEEPEST {
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
        if state.engine.has_no_worker() && crate::engine::worker::run_one_here(state) {
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

/// A waiting thread was called: it runs something that one of `entries` needs; else, outside of bodies, what is offered.
#[cold]
pub(crate) fn answer(state: &ThreadState, mut entries: impl Iterator<Item = NonNull<Header>>) {
    if crate::engine::blocking::depth_of(state) >= crate::engine::blocking::DEEPEST
        || !inline::thread_may(state, Bodies::Any)
        || entries.any(|entry| run(state, entry))
    {
        return;
    }
    if state.frame().is_some() {
        // What is offered may need a lock that the body below it holds.
        return;
    }
    let offer = state.engine.calls.take_offer();
    match offer {
        Some(Offer::Task(task, _)) => crate::engine::worker::run_overdrawn(state, task),
        Some(Offer::AnyWork) => {
            let _ = crate::engine::worker::run_one_here(state);
        }
        None => {}
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
    while state.engine.has_no_worker() && !header.phase().is_settled() && crate::engine::worker::run_one_here(state) {}
}
