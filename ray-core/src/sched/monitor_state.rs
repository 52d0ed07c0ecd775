//! The states of the monitor thread: not started, resting, being roused, and closed for good.
//!
//! The first work of an engine starts a worker and no monitor thread: the worker looks at the queues by itself, and there is
//! nothing else to look after. The second submission starts the monitor thread. So a program that makes one call has its result
//! after the start of one thread, not of two.
//!
//! # Why no work is left behind
//!
//! *By a resting monitor*: it announces its rest first, with a sequentially consistent exchange, then looks at the queues
//! once more; a submitter queues first, then (after a fence) looks at the state. One of the two sees the other.
//!
//! *By a shutdown*: it sets `CLOSED` in the same way, then drains the queues; a submitter that sees `CLOSED` after it
//! queued drains them itself. `CLOSED` is final, so whatever is queued later is drained by whoever queued it, and work
//! that is queued costs no second look at the engine.
//!
//! A thread that moves work from one queue to another (a thief, a worker that gives its batch back) has it in no queue for a
//! moment. So it is a submitter too: it looks at the state when the work is in the other queue.
//!
//! Apart from the monitor, so that the model checker tries it (`crate::loom::rest`).

use crate::base::sync::{AtomicU8, Ordering, fence};

const ABSENT: u8 = 0;
const RESTS: u8 = 1;
const GOES: u8 = 2;
const CLOSED: u8 = 3;
/// As `ABSENT`, but the first work has been queued, and a worker was started for it.
const FIRST: u8 = 4;

/// Whether the monitor thread goes.
#[derive(Debug)]
pub(crate) struct MonitorState(AtomicU8);

/// What a submitter that found the monitor not going has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Rouse {
    /// It is the first work of all: start a worker.
    First,
    /// There is no thread yet: start it.
    Start,
    /// Unpark it.
    Wake,
    /// Somebody else was first.
    Nothing,
    /// The engine was shut down: drain the queues.
    Drain,
}

impl MonitorState {
    /// There is no monitor thread yet.
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(ABSENT))
    }

    /// After something was queued: whether [`rouse`](Self::rouse) is to be called.
    #[inline]
    #[must_use]
    pub(crate) fn is_roused_by_work(&self) -> bool {
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Relaxed) != GOES
    }

    /// Moves to a state, unless it is closed; the state before.
    fn go_to(&self, next: u8) -> u8 {
        let mut now = self.0.load(Ordering::SeqCst);
        while now != CLOSED {
            match self.0.compare_exchange_weak(now, next, Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => break,
                Err(seen) => now = seen,
            }
        }
        now
    }

    /// Makes the monitor go.
    pub(crate) fn rouse(&self) -> Rouse {
        if self.0.compare_exchange(ABSENT, FIRST, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            return Rouse::First;
        }
        match self.go_to(GOES) {
            FIRST => Rouse::Start,
            RESTS => Rouse::Wake,
            CLOSED => Rouse::Drain,
            _ => Rouse::Nothing,
        }
    }

    /// The thread could not be started.
    pub(crate) fn give_up(&self) {
        self.go_to(FIRST);
        // The caller looks at the queues next.
        fence(Ordering::SeqCst);
    }

    /// By the monitor: it is about to rest. It looks at the queues once more after this, and goes on ([`Self::go_on`]) if there is anything.
    pub(crate) fn announce(&self) {
        self.go_to(RESTS);
        fence(Ordering::SeqCst);
    }

    /// By the monitor: it rests no longer.
    pub(crate) fn go_on(&self) {
        self.go_to(GOES);
    }

    /// By the monitor, between two parks: nobody has roused it.
    #[must_use]
    pub(crate) fn is_resting(&self) -> bool {
        self.0.load(Ordering::SeqCst) == RESTS
    }

    /// By the shutdown, which drains the queues after it.
    pub(crate) fn close(&self) {
        self.0.swap(CLOSED, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}
