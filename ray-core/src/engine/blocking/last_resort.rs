//! Waits for which no other thread can run the awaited work.
//!
//! # No worker is left
//!
//! Every worker waits in a get, and no further one can be started because `Config::max_threads` is reached or the system refuses
//! threads. Then the waiting thread runs the work that it waits for itself, even if it is long. If there is no worker at all, the
//! thread runs any queued work: that is slow, but the program goes on. If there is nothing for this thread to run, another waiting
//! thread may have something; the wait fails when nothing has changed for [`PATIENCE`] looks.
//!
//! # Workers block outside of the engine
//!
//! Workers may block on a lock or a join while no further thread can be had. Only the monitor thread sees that, and calls the
//! waiting threads for help (`engine::calls`). Each of them looks once whether it can run something that it waits for; a thread
//! that runs no body takes the work that the monitor thread offers. Waits with a time-out do not help.

use crate::engine::calls::Offer;
use std::ptr::NonNull;
use std::time::Duration;

use crate::engine::awaited::AwaitedQueue;
use crate::engine::blocking::inline;
use crate::engine::thread_state::ThreadState;
use crate::object::entry::Header;
use crate::task::runner::Bodies;

/// The number of looks without a result, [`PAUSE`] apart, after which the wait fails.
const PATIENCE: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// How many looks of a wait have found nothing to run.
#[derive(Debug, Default)]
pub(crate) struct LastResort(u32);

impl LastResort {
    /// Runs work that one of `entries` needs. `true`: the caller looks again. `false`: no thread can go on.
    #[cold]
    pub(crate) fn helps(&mut self, state: &ThreadState, entries: impl Iterator<Item = NonNull<Header>>) -> bool {
        if crate::engine::blocking::depth_of(state) >= crate::engine::blocking::DEEPEST {
            return false;
        }
        for entry in entries {
            // SAFETY: the waiting thread has a ref to the entry, so it is alive.
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

/// Answers a call for help: runs work that one of `entries` needs, otherwise (on a thread that runs no body) the offered work.
#[cold]
pub(crate) fn answer(state: &ThreadState, mut entries: impl Iterator<Item = NonNull<Header>>) {
    if crate::engine::blocking::depth_of(state) >= crate::engine::blocking::DEEPEST
        || !inline::thread_may(state, Bodies::Any)
        || entries.any(|entry| run(state, entry))
    {
        return;
    }
    if state.frame().is_some() {
        // The offered work may need a lock that the body on this thread holds.
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
    // SAFETY: the waiting thread has a ref to the entry, so it is alive.
    let needs = AwaitedQueue::startable(unsafe { entry.as_ref() });
    needs.iter().any(|task| inline::run(state, task.entry(), Bodies::Any))
}

/// Runs queued work for an await when there is no worker, until the object is settled or nothing is left to run.
#[cold]
pub(crate) fn help_an_await(state: &ThreadState, entry: NonNull<Header>) {
    // SAFETY: the await has a ref to the entry, so it is alive.
    let header = unsafe { entry.as_ref() };
    while state.engine.has_no_worker() && !header.phase().is_settled() && crate::engine::worker::run_one_here(state) {}
}
