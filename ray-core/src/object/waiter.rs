//! The waiters of an entry: an intrusive list of nodes, guarded by the entry's `LOCK`.
//!
//! # Rules
//!
//! 1. A node is linked at most once, and stays where it is while linked. `next` and `prev` are touched only under the
//!    lock, or by the thread that has taken the whole list.
//! 2. The thread that settles an entry takes the whole list under the lock and then fires each node once, having read
//!    its neighbour first: firing may free the node.
//! 3. Firing wakes the threads, tasks and futures that wait, oldest first, and the callbacks (`late`) after all others: a
//!    callback may take time, and what waits must not wait for that too.
//! 4. A node that its owner frees (on a stack, in a wait set) carries `done`; setting `done` is the firer's last touch, and
//!    the owner keeps the node until it has unlinked it or has seen `done`. A node that carries counts of its own (an
//!    alarm, an edge) says at its type which side frees it.

use std::cell::Cell;
use std::ptr::null_mut;

use crate::base::sync::{AtomicBool, Ordering};

/// A node. It is the first field of what it stands for, so that `fire` can reach the rest.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Waiter {
    next: Cell<*mut Waiter>,
    prev: Cell<*mut Waiter>,
    /// Called once, by the thread that settles the entry; `failed` says how it ended.
    fire: unsafe fn(*mut Waiter, failed: bool),
    /// Fired after those that are not; one in a list at most.
    late: bool,
    pub(crate) done: AtomicBool,
}

impl Waiter {
    pub(crate) fn new(fire: unsafe fn(*mut Waiter, bool)) -> Self {
        Self { next: Cell::new(null_mut()), prev: Cell::new(null_mut()), fire, late: false, done: AtomicBool::new(false) }
    }

    /// A node that is fired after all others of its entry; an entry has one at most.
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

    /// Links a node in front.
    ///
    /// # Safety
    /// The entry's lock is held, the node is linked nowhere, and it outlives its place in the list (rule 3).
    pub(crate) unsafe fn link(&mut self, node: *mut Waiter) {
        // SAFETY: the node is the caller's, the old head is linked and so alive.
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
        // SAFETY: the neighbours of a linked node are linked, so alive.
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

    /// Takes the list, to be fired after the entry was published.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new())
    }

    /// Fires every node: oldest first, callbacks last (rule 3).
    ///
    /// # Safety
    /// The list was taken under the lock of an entry that has been settled since.
    pub(crate) unsafe fn fire(self, failed: bool) {
        // Nodes are linked in front, so the oldest is at the end.
        let mut oldest = self.0;
        let mut late = null_mut::<Waiter>();
        // SAFETY: the nodes are alive until they are fired, and nobody else changes a taken list.
        unsafe {
            while !oldest.is_null() && !(*oldest).next.get().is_null() {
                oldest = (*oldest).next.get();
            }
            while !oldest.is_null() {
                let before = (*oldest).prev.get();
                if (*oldest).late {
                    debug_assert!(late.is_null(), "an entry has one node for its callbacks");
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
