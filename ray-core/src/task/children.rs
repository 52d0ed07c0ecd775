//! The tasks that a task has submitted, so that cancelling it can reach them.
//!
//! # Rules
//!
//! 1. Only the thread that runs the parent pushes, so the list's head needs no exchange: a child's `sibling` is
//!    written before the head is stored (Release).
//! 2. Each child in the list is held by it. The list is taken down (at the parent's end, or when it is swept of ended
//!    children) and walked by a canceller under the parent's `LOCK` alone.
//! 3. Before a task runs, the list's head may be its edges instead; see [`dependency`](crate::task::dependency).

use std::ptr::{NonNull, null_mut};

use crate::base::sync::Ordering;
use crate::object::entry;
use crate::object::entry::{Header, Hold};
use crate::task::head::TaskHead;

/// A list this long is swept of ended children when it has doubled.
const SWEEP_FROM: u32 = if cfg!(loom) { 2 } else { 64 };

/// Puts a new task in its parent's list.
///
/// # Safety
/// The parent runs on this thread, the child is a fresh task and one of its holds is for the list.
#[inline]
pub(crate) unsafe fn adopt(parent: &TaskHead, child: NonNull<Header>) {
    // SAFETY: a fresh task.
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

/// Lets go of all children; the parent's body is over.
#[inline]
pub(crate) fn release(parent: &TaskHead) {
    if parent.children.load(Ordering::Relaxed).is_null() {
        return;
    }
    lock(parent);
    let mut next = parent.children.swap(null_mut(), Ordering::Relaxed);
    parent.header.state.unlock_keeping();
    while let Some(child) = NonNull::new(next) {
        // SAFETY: held by the list, which is ours now.
        unsafe {
            next = TaskHead::of(child).sibling.load(Ordering::Relaxed);
            entry::drop_hold(child);
        }
    }
}

#[cold]
fn sweep(parent: &TaskHead) {
    lock(parent);
    let mut kept = null_mut();
    let mut count = 0;
    let mut ended = Vec::new();
    let mut next = parent.children.load(Ordering::Relaxed);
    while let Some(child) = NonNull::new(next) {
        // SAFETY: held by the list.
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
    // A sweep that finds little is not repeated before the list has doubled.
    parent.child_count.store((count as u32).max(SWEEP_FROM / 2), Ordering::Relaxed);
    for child in ended {
        // SAFETY: the list's hold, taken out under the lock.
        unsafe { entry::drop_hold(child) };
    }
}

/// The children of now, for a canceller.
pub(crate) fn collect(parent: &TaskHead) -> Vec<Hold> {
    let mut found = Vec::new();
    lock(parent);
    let mut next = parent.children.load(Ordering::Acquire);
    if crate::task::edges::is_edges(next) {
        // It has not begun, so it has no children yet.
        next = null_mut();
    }
    while let Some(child) = NonNull::new(next) {
        // SAFETY: held by the list, which cannot be taken down while we have the lock.
        unsafe {
            next = TaskHead::of(child).sibling.load(Ordering::Relaxed);
            found.push(Hold::new(child));
        }
    }
    parent.header.state.unlock_keeping();
    found
}
