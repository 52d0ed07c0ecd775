//! The waiters of an entry: an intrusive list of nodes, guarded by the entry's `LOCK`.
//!
//! # Rules
//!
//! 1. A node is linked at most once, and is not moved while it is linked. `next` and `prev` are accessed only under the
//!    lock, or by the thread that has taken the whole list.
//! 2. The thread that settles an entry takes the whole list under the lock and then fires each node once. It reads the node's
//!    neighbour first, because firing may free the node.
//! 3. Firing wakes the threads, tasks and futures that wait, oldest first, and runs the callbacks (`late`) after all others: a
//!    callback may take long, and waiting threads must not wait for it.
//! 4. For a node that its owner frees (on a stack, in a wait set), `done` is the last access of the firing thread, and the owner
//!    keeps the node until it has unlinked it or has seen `done`. The types of other nodes (a future waiter, an edge) say which side frees
//!    them.

use std::cell::Cell;
use std::ptr::null_mut;

use crate::base::sync::{AtomicBool, Ordering};

/// A node. It is the first field of the struct that waits, so that `fire` can reach the other fields.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Waiter {
    next: Cell<*mut Waiter>,
    prev: Cell<*mut Waiter>,
    /// Called once, by the thread that settles the entry; `failed`: it has failed.
    fire: unsafe fn(*mut Waiter, failed: bool),
    /// Whether it is fired after all others. A list has at most one such node.
    late: bool,
    pub(crate) done: AtomicBool,
}

impl Waiter {
    pub(crate) fn new(fire: unsafe fn(*mut Waiter, bool)) -> Self {
        Self { next: Cell::new(null_mut()), prev: Cell::new(null_mut()), fire, late: false, done: AtomicBool::new(false) }
    }

    /// A node that is fired after all others of its entry; an entry has at most one.
    pub(crate) fn late(fire: unsafe fn(*mut Waiter, bool)) -> Self {
        Self { late: true, ..Self::new(fire) }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }
}

/// The list's head.
#[derive(Debug)]
pub(crate) struct Waiters(*mut Waiter);

impl Waiters {
    pub(crate) const fn new() -> Self {
        Self(null_mut())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_null()
    }

    /// Links a node at the front.
    ///
    /// # Safety
    /// The entry's lock is held, the node is linked nowhere, and it stays alive and in place while it is linked (rule 1).
    pub(crate) unsafe fn link(&mut self, node: *mut Waiter) {
        // SAFETY: the caller guarantees that the node is alive; the old head is linked, and linked nodes are alive (rule 1). The lock
        // is held.
        unsafe {
            (*node).next.set(self.0);
            (*node).prev.set(null_mut());
            if !self.0.is_null() {
                (*self.0).prev.set(node);
            }
        }
        self.0 = node;
    }

    /// Unlinks a node.
    ///
    /// # Safety
    /// The entry's lock is held and the node is linked in this list.
    pub(crate) unsafe fn unlink(&mut self, node: *mut Waiter) {
        // SAFETY: the caller guarantees that the node is linked here; its neighbours are linked, so they are alive (rule 1). The lock
        // is held.
        unsafe {
            let (prev, next) = ((*node).prev.get(), (*node).next.get());
            if prev.is_null() {
                self.0 = next
            } else {
                (*prev).next.set(next)
            }
            if !next.is_null() {
                (*next).prev.set(prev);
            }
        }
    }

    /// Takes the list; it is fired after the entry was published.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new())
    }

    /// Fires every node: oldest first, callbacks last (rule 3).
    ///
    /// # Safety
    /// The list was taken under the lock of an entry that has been settled since.
    pub(crate) unsafe fn fire(self, failed: bool) {
        // Nodes are linked at the front, so the oldest is at the end.
        let mut oldest = self.0;
        let mut late = null_mut::<Waiter>();
        // SAFETY: nodes are alive until they are fired (rule 1), and only this thread accesses a taken list. `fire` gets a node once,
        // and the node is not accessed afterwards (rule 2).
        unsafe {
            while !oldest.is_null() && !(*oldest).next.get().is_null() {
                oldest = (*oldest).next.get();
            }
            while !oldest.is_null() {
                let before = (*oldest).prev.get();
                if (*oldest).late {
                    debug_assert!(late.is_null(), "an entry has at most one node for its callbacks");
                    late = oldest;
                } else {
                    ((*oldest).fire)(oldest, failed);
                }
                oldest = before;
            }
            if !late.is_null() {
                ((*late).fire)(late, failed);
            }
        }
    }
}
