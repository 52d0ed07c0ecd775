//! Where the runner of an actor is, apart from the cell, so that the model checker tries it (`crate::loom::actor`).
//!
//! # Why no call is left to a runner that is inside a body
//!
//! `front` belongs to the runner, who takes no lock to read it. But a killer must fail what is in it, at once, though the
//! runner may be inside a body that never ends. [`Current`] says where the runner is. While it is null the runner looks at
//! `front`; no code of a user runs then. Before the runner looks at `front` it stores null and then reads the state; a
//! killer changes the state and then reads `current`. Between the two there is a full barrier in the killer's thread and,
//! by `membarrier`, in the runner's. So either the runner sees the change and leaves `front` alone, or the killer sees null
//! and waits the moment until it is not. Then `front` belongs to the lock.

use crate::base::sync::{AtomicPtr, Ordering, light_barrier, spin};

/// Set in the address while another thread looks at the running call.
const BORROWED: usize = 1;
/// In place of an address: the runner does not look at `front`, and runs no call that has an entry.
const AWAY: usize = 2;

/// Where the runner is: null while it looks at `front`, the call that runs, or [`AWAY`].
pub(crate) struct Current<T>(AtomicPtr<T>);

/// What another thread has found in [`Current`].
#[must_use]
pub(crate) enum Seen<'a, T> {
    /// The runner looks at `front`.
    InMailbox,
    Away,
    /// A call runs, and does not end before this is dropped.
    Call(Borrowed<'a, T>),
}

/// A running call that cannot end now.
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

    /// The runner is about to look at `front`; it reads the state after this, and leaves `front` alone if that stops it.
    #[inline]
    pub(crate) fn enter_mailbox(&self) {
        self.0.store(std::ptr::null_mut(), Ordering::Release);
        light_barrier();
    }

    /// The runner looks at `front` no longer.
    #[inline]
    pub(crate) fn leave_mailbox(&self) {
        self.0.store(away(), Ordering::Release);
    }

    /// As [`leave_mailbox`](Self::leave_mailbox), to run a call.
    #[inline]
    pub(crate) fn begin_call(&self, call: *mut T) {
        self.0.store(call, Ordering::Release);
    }

    /// The call is over, and the runner lets go of it, when nobody looks at it.
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

    /// For another thread: where the runner is.
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

    /// For a thread that has changed the state and made a heavy barrier since: waits until the runner is not in the mailbox.
    /// When it is there next, it has seen the change.
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
