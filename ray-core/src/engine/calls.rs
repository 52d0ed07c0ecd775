//! Calls for help: how the monitor thread reaches the threads that wait, where no worker thread is left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::object::entry::Hold;

/// The monitor thread's calls for help, and what it offers to the threads that wait.
#[derive(Default)]
pub(crate) struct Calls {
    count: AtomicU64,
    offer: Mutex<Option<Offer>>,
}

/// Work that no worker thread is left to begin.
pub(crate) enum Offer {
    /// A task for one CPU, and since when it is offered. The CPU is overdrawn by the thread that takes the task.
    Task(Hold, Instant),
    /// Whatever could begin, in the engine's queues.
    AnyWork,
}

impl Calls {
    /// How many there were. A thread that sees the number change while it waits is to [`answer`](crate::engine::blocking::last_resort::answer).
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Makes an offer; the former one comes back.
    pub(super) fn offer(&self, offer: Option<Offer>) -> Option<Offer> {
        std::mem::replace(&mut *self.offer.lock(), offer)
    }

    /// The offer, for a thread that takes it.
    pub(super) fn take_offer(&self) -> Option<Offer> {
        self.offer.lock().take()
    }

    /// Counts a call, for the threads that are woken after it.
    pub(super) fn count_call(&self) {
        self.count.fetch_add(1, Ordering::Release);
    }

    /// No thread has come for it.
    pub(crate) fn any_work_is_offered(&self) -> bool {
        matches!(*self.offer.lock(), Some(Offer::AnyWork))
    }

    /// The offered task, if that was offered before `before`, so that it can be queued again.
    pub(crate) fn take_task_back(&self, before: Instant) -> Option<Hold> {
        match self.offer.lock().take_if(|offer| matches!(offer, Offer::Task(_, since) if *since <= before)) {
            Some(Offer::Task(task, _)) => Some(task),
            _ => None,
        }
    }
}
