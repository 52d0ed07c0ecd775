//! The pulse's rest: announcing it, and being roused from it.
//!
//! Resting is announced first (then a fence), then the queues are looked at once more; a submitter queues first (then a
//! fence), then looks whether the pulse rests. One of the two sees the other, so no work is left behind. Apart from the
//! pulse, so that the model checker tries it (`crate::loom::rest`).

use crate::sync::{AtomicU8, Ordering, fence};

const ABSENT: u8 = 0;
const RESTS: u8 = 1;
const GOES: u8 = 2;

/// Whether the pulse goes.
#[derive(Debug)]
pub(crate) struct Rest(AtomicU8);

/// What a submitter that found the pulse resting has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Rouse {
    /// There is no thread yet: start it.
    Start,
    /// Unpark it.
    Wake,
    /// Somebody else was first.
    Nothing,
}

impl Rest {
    /// There is no pulse yet.
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

    /// Makes the pulse go.
    pub(crate) fn rouse(&self) -> Rouse {
        match self.0.swap(GOES, Ordering::SeqCst) {
            ABSENT => Rouse::Start,
            RESTS => Rouse::Wake,
            _ => Rouse::Nothing,
        }
    }

    /// The thread could not be started.
    pub(crate) fn give_up(&self) {
        self.0.store(ABSENT, Ordering::SeqCst);
    }

    /// By the pulse: it is about to rest. It looks at the queues once more after this, and goes on ([`Self::go_on`]) if there is anything.
    pub(crate) fn announce(&self) {
        self.0.store(RESTS, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// By the pulse: it rests no longer.
    pub(crate) fn go_on(&self) {
        self.0.store(GOES, Ordering::SeqCst);
    }

    /// By the pulse, between two parks: nobody has roused it.
    #[must_use]
    pub(crate) fn is_resting(&self) -> bool {
        self.0.load(Ordering::SeqCst) == RESTS
    }
}
