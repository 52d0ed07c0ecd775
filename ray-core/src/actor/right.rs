//! An actor's states and the lock they are changed under: who is scheduled, who runs, who may send. Apart from the
//! cell, so that the model checker tries it (`crate::loom::right`).
//!
//! * `SCHEDULED`: an entry in the run queue refers to it. It survives the run right's being taken by a getter, so that
//!   the entry is used again and not pushed twice.
//! * `RUNNING`: somebody has the run right, and with it `front` and the instance (a concurrent actor's admitted calls
//!   share the instance by the rules of [`concurrent`](super::concurrent)).
//! * `OPEN`: the runner has opened `front` to the lock (see [`mailbox`](super::mailbox)).
//! * `GATED`: its creation waits for arguments or resources; nobody may take the run right.
//! * `ORPHAN`: no handle is left; it ends when its mailbox and its backlog are empty.
//! * `DEAD`: for ever; sends fail, and what was queued has been failed.
//!
//! # Why no message is left behind
//!
//! Who puts a message in does so under the lock, and schedules the actor unless it is scheduled or runs. Who gives the
//! run right back looks at the mailbox under the same lock, and schedules the actor if it is not empty. So a message
//! is either seen by the runner or schedules the actor. Nobody else takes messages out, and `RUNNING` is taken under the
//! lock by one who saw it clear, so there is one runner at a time.

use crate::sync::{AtomicU8, Ordering, spin};

pub(crate) const SCHEDULED: u8 = 1;
pub(crate) const RUNNING: u8 = 1 << 1;
pub(crate) const OPEN: u8 = 1 << 2;
pub(crate) const GATED: u8 = 1 << 3;
pub(crate) const ORPHAN: u8 = 1 << 4;
pub(crate) const DEAD: u8 = 1 << 5;

/// The lock, a byte that is held for a few instructions, and the states.
#[derive(Debug)]
pub(crate) struct Right {
    lock: AtomicU8,
    states: AtomicU8,
}

/// The lock, held.
#[derive(Debug)]
pub(crate) struct Guard<'a>(&'a Right);

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.lock.store(0, Ordering::Release);
    }
}

impl Right {
    pub(crate) fn new() -> Self {
        Self { lock: AtomicU8::new(0), states: AtomicU8::new(0) }
    }

    #[inline]
    pub(crate) fn lock(&self) -> Guard<'_> {
        let mut turn = 0;
        while self.lock.compare_exchange_weak(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
            spin(&mut turn);
        }
        Guard(self)
    }

    /// Marks an actor that nobody else knows yet as scheduled.
    #[inline]
    pub(crate) fn be_born(&self) {
        self.states.store(SCHEDULED, Ordering::Relaxed);
    }

    /// Dead, as far as can be seen without the lock.
    #[inline]
    pub(crate) fn is_dead(&self) -> bool {
        self.states.load(Ordering::Relaxed) & DEAD != 0
    }
}

impl Guard<'_> {
    #[inline]
    fn states(&self) -> u8 {
        self.0.states.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, states: u8) {
        self.0.states.store(self.states() | states, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn clear(&self, states: u8) {
        self.0.states.store(self.states() & !states, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is(&self, any: u8) -> bool {
        self.states() & any != 0
    }

    /// There is something to do: marks the actor as scheduled, unless it is, or runs, or may not; `true`: the caller
    /// puts it in the run queue.
    #[inline]
    #[must_use]
    pub(crate) fn schedule(&self) -> bool {
        let push = !self.is(SCHEDULED | RUNNING | GATED | DEAD);
        if push {
            self.set(SCHEDULED);
        }
        push
    }

    /// Takes the run right; an entry of the run queue is used up by it, in vain or not.
    #[inline]
    #[must_use]
    pub(crate) fn begin(&self, from_queue: bool) -> bool {
        if from_queue {
            self.clear(SCHEDULED);
        }
        let free = !self.is(RUNNING | DEAD | GATED);
        if free {
            self.set(RUNNING);
        }
        free
    }

    /// Gives the run right back; `more`: there is something to do; `true`: the caller puts the actor in the run queue.
    #[inline]
    #[must_use]
    pub(crate) fn finish(&self, more: bool) -> bool {
        self.clear(RUNNING);
        more && self.schedule()
    }
}
