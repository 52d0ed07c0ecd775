//! Calls for help: the monitor thread asks waiting threads to run work when no worker can be had.
//!
//! The monitor thread makes an offer (or none), increments the count of calls, and unparks the waiting threads. A waiting thread
//! that sees a new count looks for work of its own, then takes the offer if it runs no body. An offered task that no thread takes
//! goes back to the queue.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use crate::object::entry::Hold;

/// The count of the calls, and the current offer.
#[derive(Default)]
pub(crate) struct Calls {
    count: AtomicU64,
    offer: Mutex<Option<Offer>>,
}

/// Work for which no worker can be had.
pub(crate) enum Offer {
    /// A task for one CPU, and the time of the offer. The thread that takes the task overdraws the CPU.
    Task(Hold, Instant),
    /// Any work in the engine's queues that can begin.
    AnyWork,
}

impl Calls {
    /// The number of calls so far. A waiting thread that sees it change calls
    /// [`answer`](crate::engine::blocking::last_resort::answer).
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// Replaces the offer, and returns the former one.
    pub(super) fn offer(&self, offer: Option<Offer>) -> Option<Offer> {
        std::mem::replace(&mut *self.offer.lock(), offer)
    }

    /// Takes the offer.
    pub(super) fn take_offer(&self) -> Option<Offer> {
        self.offer.lock().take()
    }

    /// Counts a call. The caller wakes the threads afterwards.
    pub(super) fn count_call(&self) {
        self.count.fetch_add(1, Ordering::Release);
    }

    /// Whether any work is offered, and no thread has taken the offer.
    pub(crate) fn any_work_is_offered(&self) -> bool {
        matches!(*self.offer.lock(), Some(Offer::AnyWork))
    }

    /// Takes the offered task back if it was offered at `before` or earlier, so that it can be queued again.
    pub(crate) fn take_task_back(&self, before: Instant) -> Option<Hold> {
        match self.offer.lock().take_if(|offer| matches!(offer, Offer::Task(_, since) if *since <= before)) {
            Some(Offer::Task(task, _)) => Some(task),
            _ => None,
        }
    }
}
