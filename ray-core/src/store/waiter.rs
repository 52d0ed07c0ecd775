//! Who waits for an entry: an intrusive list of nodes, guarded by the entry's `LOCK`.
//!
//! # Rules
//!
//! 1. A node is linked at most once, and stays where it is while linked.
//! 2. Who settles an entry takes the whole list under the lock and then fires each node once, having read its
//!    `next` first: firing may free it.
//! 3. A node that nobody else frees (on a stack, in a wait set) carries `done`; `done` is the firer's last touch, and
//!    its owner keeps the node until it has unlinked it or has seen `done`.

use std::ptr::null_mut;

use crate::sync::{AtomicBool, Ordering};

/// A node. It is the first field of what it stands for, so that `fire` can reach the rest.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Waiter {
    pub(crate) next: *mut Waiter,
    pub(crate) prev: *mut Waiter,
    /// Called once, by who settles the entry; `failed` says how it ended.
    pub(crate) fire: unsafe fn(*mut Waiter, failed: bool),
    pub(crate) done: AtomicBool,
}

impl Waiter {
    pub(crate) fn new(fire: unsafe fn(*mut Waiter, bool)) -> Self {
        Self { next: null_mut(), prev: null_mut(), fire, done: AtomicBool::new(false) }
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

    /// The first node, for a look under the lock.
    pub(crate) fn first(&self) -> *mut Waiter {
        self.0
    }

    /// Links a node in front.
    ///
    /// # Safety
    /// The entry's lock is held, the node is linked nowhere, and it outlives its place in the list (rule 3).
    pub(crate) unsafe fn link(&mut self, node: *mut Waiter) {
        // SAFETY: the node is the caller's, the old head is linked and so alive.
        unsafe {
            (*node).next = self.0;
            (*node).prev = null_mut();
            if !self.0.is_null() {
                (*self.0).prev = node;
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
            let (prev, next) = ((*node).prev, (*node).next);
            if prev.is_null() {
                self.0 = next
            } else {
                (*prev).next = next
            }
            if !next.is_null() {
                (*next).prev = prev;
            }
        }
    }

    /// Takes the list, to be fired after the entry was published.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::new())
    }

    /// Fires every node, oldest first.
    ///
    /// # Safety
    /// The list was taken under the lock of an entry that has been settled since.
    pub(crate) unsafe fn fire(self, failed: bool) {
        // Nodes are linked in front; who came first is woken first.
        let mut last = self.0;
        // SAFETY: the nodes are alive until they are fired, and nobody else changes a taken list.
        unsafe {
            while !last.is_null() && !(*last).next.is_null() {
                last = (*last).next;
            }
            while !last.is_null() {
                let before = (*last).prev;
                ((*last).fire)(last, failed);
                last = before;
            }
        }
    }
}
