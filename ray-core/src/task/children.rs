//! The children of a task: the tasks that its body has submitted. The cancellation of a task reaches them through this list.
//!
//! # Rules
//!
//! 1. Only the thread that runs the parent adds a child, so it stores the head of the list without a compare-and-exchange: a
//!    child's `sibling` is written before the head is stored (Release).
//! 2. The list owns a hold on each child. A canceller walks the list, and the runner empties it (at the end of the parent) or
//!    removes ended children from it (a sweep), only under the parent's `LOCK`.
//! 3. Before a task runs, the head of the list may be the list of its edges instead; see [`edges`](crate::task::edges).

use std::ptr::{NonNull, null_mut};

use crate::base::sync::Ordering;
use crate::object::entry;
use crate::object::entry::{Header, Hold};
use crate::task::head::TaskHead;

/// Ended children are removed from a list that has so many children or more, each time its length reaches a power of two.
const SWEEP_FROM: u32 = if cfg!(loom) { 2 } else { 64 };

/// Adds a new task to its parent's list.
///
/// # Safety
/// The parent runs on this thread. The child is a task that no other list has, and one of its holds is for the list.
#[inline]
pub(crate) unsafe fn adopt(parent: &TaskHead, child: NonNull<Header>) {
    // SAFETY: the caller guarantees that the child is a task; the hold for the list keeps it alive.
    let head = unsafe { TaskHead::of(child) };
    head.sibling.store(parent.children.load(Ordering::Relaxed), Ordering::Relaxed);
    parent.children.store(child.as_ptr(), Ordering::Release);
    let count = parent.child_count.load(Ordering::Relaxed) + 1;
    parent.child_count.store(count, Ordering::Relaxed);
    if count >= SWEEP_FROM && count.is_power_of_two() {
        sweep(parent);
    }
}

fn lock(parent: &TaskHead) {
    let locked = parent.header.state.lock_if(|_| true);
    debug_assert!(locked.is_ok());
}

/// Removes all children from the list, after the parent's body has ended.
#[inline]
pub(crate) fn release(parent: &TaskHead) {
    if parent.children.load(Ordering::Relaxed).is_null() {
        return;
    }
    lock(parent);
    let mut next = parent.children.swap(null_mut(), Ordering::Relaxed);
    parent.header.state.unlock_keeping();
    while let Some(child) = NonNull::new(next) {
        // SAFETY: the list was taken out under the lock, with its hold on each child (rule 2). A child is not used after its hold was
        // dropped.
        unsafe {
            next = TaskHead::of(child).sibling.load(Ordering::Relaxed);
            entry::drop_hold(child);
        }
    }
}

/// Removes ended children from the list.
#[cold]
fn sweep(parent: &TaskHead) {
    lock(parent);
    let mut kept = null_mut();
    let mut count = 0;
    let mut ended = Vec::new();
    let mut next = parent.children.load(Ordering::Relaxed);
    while let Some(child) = NonNull::new(next) {
        // SAFETY: the list has a hold on each child (rule 2), and children are tasks.
        let head = unsafe { TaskHead::of(child) };
        next = head.sibling.load(Ordering::Relaxed);
        if head.header.phase().is_settled() {
            ended.push(child);
        } else {
            head.sibling.store(kept, Ordering::Relaxed);
            kept = child.as_ptr();
            count += 1;
        }
    }
    parent.children.store(kept, Ordering::Relaxed);
    parent.header.state.unlock_keeping();
    // The next sweep comes after at least as many new children as are in the list now.
    parent.child_count.store((count as u32).next_power_of_two().max(SWEEP_FROM / 2), Ordering::Relaxed);
    for child in ended {
        // SAFETY: the child was removed from the list under the lock, with the list's hold on it.
        unsafe { entry::drop_hold(child) };
    }
}

/// The present children, for a canceller.
pub(crate) fn collect(parent: &TaskHead) -> Vec<Hold> {
    let mut found = Vec::new();
    lock(parent);
    let mut next = parent.children.load(Ordering::Acquire);
    if crate::task::edges::is_edges(next) {
        // The task has not begun, so it has no children yet.
        next = null_mut();
    }
    while let Some(child) = NonNull::new(next) {
        // SAFETY: the list has a hold on each child, and children leave it only under the lock, which is held (rule 2).
        unsafe {
            next = TaskHead::of(child).sibling.load(Ordering::Relaxed);
            found.push(Hold::new(child));
        }
    }
    parent.header.state.unlock_keeping();
    found
}
