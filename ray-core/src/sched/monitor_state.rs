//! The states of the monitor thread: not started, running, resting, and closed.
//!
//! The first submission of an engine starts a worker thread and no monitor thread: the worker looks at the queues itself, and there
//! is nothing else to monitor. The second submission starts the monitor thread. So a program that makes one call has its result
//! after the start of one thread, not of two.
//!
//! # Why no work is left behind
//!
//! *By a resting monitor thread*: it announces its rest first, with a sequentially consistent exchange, then looks at the queues
//! once more; a submitter queues first, then (after a fence) reads the state. One of the two sees the other.
//!
//! *By a shutdown*: it sets `CLOSED` in the same way, then drains the queues; a submitter that sees `CLOSED` after it has
//! queued work drains the queues itself. `CLOSED` is final, so work that is queued later is drained by the thread that queued it,
//! and a submitter need not check the engine a second time.
//!
//! A thread that moves work from one queue to another (a thief, a worker that gives its batch back) has it in no queue for a
//! moment. So it acts as a submitter: it reads the state when the work is in the other queue.
//!
//! The states are in a file of their own, so that the model checker can try them (`crate::loom::monitor_state`).

use crate::base::sync::{AtomicU8, Ordering, fence};

const ABSENT: u8 = 0;
const RESTING: u8 = 1;
const RUNNING: u8 = 2;
const CLOSED: u8 = 3;
/// As `ABSENT`, but the first work was queued, and a worker was started for it.
const FIRST: u8 = 4;

/// The state of the monitor thread.
#[derive(Debug)]
pub(crate) struct MonitorState(AtomicU8);

/// The duty of a submitter that found the monitor thread not running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum WakeDuty {
    /// It is the first work of the engine: start a worker.
    First,
    /// Start the monitor thread.
    Start,
    /// Unpark the monitor thread.
    Wake,
    /// Nothing: another thread has woken it.
    Nothing,
    /// The engine was shut down: drain the queues.
    Drain,
}

impl MonitorState {
    /// There is no monitor thread yet.
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(ABSENT))
    }

    /// Whether [`wake`](Self::wake) is to be called; a submitter asks after it has queued work.
    #[inline]
    #[must_use]
    pub(crate) fn must_be_woken(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) != RUNNING
    }

    /// Sets the state, unless it is `CLOSED`; returns the state before.
    fn set(&self, next: u8) -> u8 {
        let mut now = self.0.load(Ordering::SeqCst);
        while now != CLOSED {
            match self.0.compare_exchange_weak(now, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => break,
                Err(seen) => now = seen,
            }
        }
        now
    }

    /// Sets the state to running; returns what the caller has to do for it.
    pub(crate) fn wake(&self) -> WakeDuty {
        if self.0.compare_exchange(ABSENT, FIRST, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            return WakeDuty::First;
        }
        match self.set(RUNNING) {
            FIRST => WakeDuty::Start,
            RESTING => WakeDuty::Wake,
            CLOSED => WakeDuty::Drain,
            _ => WakeDuty::Nothing,
        }
    }

    /// Records that the thread could not be started.
    pub(crate) fn give_up(&self) {
        self.set(FIRST);
        // The caller looks at the queues next.
        fence(Ordering::SeqCst);
    }

    /// The monitor thread is about to rest. It looks at the queues once more after this call, and runs on ([`Self::go_on`]) if it
    /// finds work.
    pub(crate) fn announce(&self) {
        self.set(RESTING);
        fence(Ordering::SeqCst);
    }

    /// The monitor thread does not rest after all.
    pub(crate) fn go_on(&self) {
        self.set(RUNNING);
    }

    /// Whether no thread has woken the monitor thread, which asks between two parks.
    #[must_use]
    pub(crate) fn is_resting(&self) -> bool {
        self.0.load(Ordering::SeqCst) == RESTING
    }

    /// Closes the state for a shutdown, which drains the queues afterwards.
    pub(crate) fn close(&self) {
        self.0.swap(CLOSED, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}
