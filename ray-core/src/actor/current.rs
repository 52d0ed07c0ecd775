//! Where the runner of an actor is. It is apart from the head, so that the model checker can run it (`crate::loom::actor`).
//!
//! # Why a killer reaches all calls
//!
//! `front` belongs to the runner, which takes no lock to read it. But a killer must fail the calls in it at once, also
//! while the runner is inside a body that never ends. [`Current`] shows where the runner is. While it is null the runner
//! uses `front`, and runs no code of the user. Before the runner uses `front`, it stores null and then reads the state. A
//! killer changes the state and then reads `current`. Between the two steps there is a full barrier in the killer's thread
//! and, by `membarrier`, in the runner's. So either the runner sees the new state and does not touch `front`, or the killer
//! sees null and waits the short time until the runner has left the mailbox. From then on `front` belongs to the lock of
//! the state.

use crate::base::sync::{AtomicPtr, Ordering, light_barrier, spin};

/// This bit is set in the address while another thread borrows the running call.
const BORROWED: usize = 1;
/// In place of an address: the runner does not use `front`, and runs no call that has an entry.
const AWAY: usize = 2;

/// Where the runner is: null while it uses `front`, the address of the call that it runs, or [`AWAY`].
pub(crate) struct Current<T>(AtomicPtr<T>);

/// What another thread has found in [`Current`].
#[must_use]
pub(crate) enum Seen<'a, T> {
    /// The runner uses `front`.
    InMailbox,
    Away,
    /// A call runs, and cannot end before this is dropped.
    Call(Borrowed<'a, T>),
}

/// A running call that another thread has borrowed. It cannot end before this is dropped.
pub(crate) struct Borrowed<'a, T> {
    current: &'a AtomicPtr<T>,
    pub(crate) call: *mut T,
}

impl<T> Drop for Borrowed<'_, T> {
    fn drop(&mut self) {
        self.current.store(self.call, Ordering::Release);
    }
}

fn away<T>() -> *mut T {
    std::ptr::without_provenance_mut(AWAY)
}

impl<T> Current<T> {
    pub(crate) fn new() -> Self {
        Self(AtomicPtr::new(away()))
    }

    /// For the runner, before it uses `front`. It then reads the state, and does not touch `front` if the state stops it.
    #[inline]
    pub(crate) fn enter_mailbox(&self) {
        self.0.store(std::ptr::null_mut(), Ordering::Release);
        light_barrier();
    }

    /// For the runner: it no longer uses `front`.
    #[inline]
    pub(crate) fn leave_mailbox(&self) {
        self.0.store(away(), Ordering::Release);
    }

    /// As [`leave_mailbox`](Self::leave_mailbox), before it runs a call.
    #[inline]
    pub(crate) fn begin_call(&self, call: *mut T) {
        self.0.store(call, Ordering::Release);
    }

    /// For the runner, before it drops its hold on the call that has ended: waits until no other thread borrows the call.
    #[inline]
    pub(crate) fn end_call(&self) {
        let mut turn = 0;
        loop {
            let now = self.0.load(Ordering::Relaxed);
            if now.is_null() || now.addr() == AWAY {
                return;
            }
            if now.addr() & BORROWED == 0
                && self.0.compare_exchange_weak(now, away(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                return;
            }
            spin(&mut turn);
        }
    }

    /// For other threads: where the runner is.
    pub(crate) fn look(&self) -> Seen<'_, T> {
        let mut turn = 0;
        loop {
            let now = self.0.load(Ordering::Acquire);
            if now.is_null() {
                return Seen::InMailbox;
            }
            if now.addr() == AWAY {
                return Seen::Away;
            }
            let borrowed = now.map_addr(|address| address | BORROWED);
            if now.addr() & BORROWED == 0 && self.0.compare_exchange(now, borrowed, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Seen::Call(Borrowed { current: &self.0, call: now });
            }
            spin(&mut turn);
        }
    }

    /// For a thread that has changed the state and then passed a heavy barrier: waits until the runner is not in the
    /// mailbox. When the runner enters the mailbox again, it sees the change.
    pub(crate) fn look_outside(&self) -> Option<Borrowed<'_, T>> {
        let mut turn = 0;
        loop {
            match self.look() {
                Seen::InMailbox => spin(&mut turn),
                Seen::Away => return None,
                Seen::Call(call) => return Some(call),
            }
        }
    }
}
