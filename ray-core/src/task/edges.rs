//! Edges: each leads from an object that is not ready to a task that has it as an argument.
//!
//! # Rules of edges
//!
//! 1. An edge is in two lists: in the list of its object's waiters, under the object's `LOCK`, and in the list of its task's edges,
//!    under the task's `LOCK`. The head of the task's list is in the word of its children, marked by the lowest bit, because a
//!    task in `Waiting` has no children yet.
//! 2. The thread that fires an edge takes it out of the task's list, if the task is still in `Waiting`, and frees it. It does so
//!    before it decrements the task's counter, so a task that becomes ready has no edges.
//! 3. The thread that moves a task from `Waiting` to `Running` to end it owns the list of edges. It takes each edge out of the
//!    object's list and frees it. If the object was settled first, the firing thread has the edge too: the second of the two
//!    threads to set `left` frees it.

use std::cell::Cell;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::object::entry::{Header, Hold};
use crate::object::waiter::Waiter;
use crate::task::head::TaskHead;

/// The mark in the word of a task's children: the other bits are the address of its first edge.
const EDGES: usize = 1;

/// An edge from an object to a task that needs it.
#[repr(C)]
pub(super) struct Edge {
    pub(super) waiter: Waiter,
    /// The object. It is alive while the edge is in both lists, by the task's arguments, and while the edge fires, by the settling
    /// thread.
    pub(super) object: NonNull<Header>,
    /// A hold on the task, which the firing thread takes out.
    pub(super) task: Cell<Option<Hold>>,
    /// The neighbours in the task's list.
    pub(super) next: Cell<*mut Edge>,
    pub(super) prev: Cell<*mut Edge>,
    /// Whether one of the two threads of rule 3 has let go of the edge.
    pub(super) left: AtomicBool,
}

/// The edges of a task that is not running.
fn first_edge(task: &TaskHead) -> Option<*mut Edge> {
    let word = task.children.load(Ordering::Relaxed);
    (word.addr() & EDGES != 0).then(|| word.map_addr(|address| address & !EDGES).cast())
}

fn set_first_edge(task: &TaskHead, edge: *mut Edge) {
    let word = if edge.is_null() { null_mut() } else { edge.map_addr(|address| address | EDGES).cast() };
    task.children.store(word, Ordering::Relaxed);
}

/// Whether the word of a task's children is a list of edges.
pub(super) fn is_edges(word: *mut Header) -> bool {
    word.addr() & EDGES != 0
}

/// Adds an edge to the task's list.
///
/// # Safety
/// The edge is alive and in no list of a task, and the task's lock is held.
pub(super) unsafe fn enter(task: &TaskHead, edge: *mut Edge) {
    let first = first_edge(task).unwrap_or(null_mut());
    // SAFETY: the caller guarantees that the edge is alive; the edges in the list are alive (rules 2 and 3), and the lock is held.
    unsafe {
        (*edge).next.set(first);
        if !first.is_null() {
            (*first).prev.set(edge);
        }
    }
    set_first_edge(task, edge);
}

/// Takes an edge out of the task's list.
///
/// # Safety
/// The edge is in the list of the task, whose lock is held.
pub(super) unsafe fn leave(task: &TaskHead, edge: *mut Edge) {
    // SAFETY: the edge and its neighbours are in the list, so they are alive (rules 2 and 3), and the lock is held.
    unsafe {
        let (prev, next) = ((*edge).prev.get(), (*edge).next.get());
        if prev.is_null() {
            set_first_edge(task, next);
        } else {
            (*prev).next.set(next);
        }
        if !next.is_null() {
            (*next).prev.set(prev);
        }
    }
}

/// Lets go of an edge for one of the two threads of rule 3; the second call frees it.
///
/// # Safety
/// The caller is one of the two threads, calls this once, and does not use the edge afterwards.
pub(super) unsafe fn let_go(edge: *mut Edge) {
    // SAFETY: the edge is alive until both threads have set `left`. The second one sees it set, so the first does not use the edge
    // any more.
    unsafe {
        if (*edge).left.swap(true, Ordering::AcqRel) {
            drop(Box::from_raw(edge));
        }
    }
}

/// Takes the edges of a task that will not run out of their objects' lists.
///
/// # Safety
/// The caller moved the task to `Running`, and has not dropped its arguments.
pub(super) unsafe fn release_edges(task: &TaskHead) {
    let Some(mut edge) = first_edge(task) else { return };
    set_first_edge(task, null_mut());
    while !edge.is_null() {
        // SAFETY: this thread owns the list (rule 3). An edge of it is alive until this thread has let go of it, and the arguments
        // keep its object alive. The node was linked in that object.
        unsafe {
            let next = (*edge).next.get();
            if (*edge).object.as_ref().try_unlink(edge.cast()) {
                drop(Box::from_raw(edge));
            } else {
                let_go(edge);
            }
            edge = next;
        }
    }
}
