//! The edges from the objects that a task waits for to the task.
//!
//! # Rules of edges
//!
//! 1. An edge is in two lists: in that of its object's waiters, under the object's `LOCK`, and in that of its task's edges,
//!    under the task's `LOCK`. The task's list begins in the word of its children, marked by the lowest bit: a task in
//!    `Waiting` has none yet.
//! 2. An edge that fires takes itself out of its task's list, if the task is in `Waiting` still, and is freed by the firing
//!    thread. It does so before it counts, so a task that becomes ready has no edges.
//! 3. The thread that moves a task from `Waiting` to `Running` to end it owns its list of edges. It takes each edge out of
//!    its object's list and frees it. If the object was settled first, the edge belongs to the firing thread too: of the
//!    two, the second to set `left` frees it.

use std::cell::Cell;
use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::object::entry::{Header, Hold};
use crate::object::waiter::Waiter;
use crate::task::head::TaskHead;

/// In the word of a task's children: the rest is the address of its first edge.
const EDGES: usize = 1;

/// An edge from an object to a task that needs it.
#[repr(C)]
pub(super) struct Edge {
    pub(super) waiter: Waiter,
    /// The object. Valid while the edge is in both lists: the task's arguments hold it then, and the settling thread when
    /// the edge fires.
    pub(super) object: NonNull<Header>,
    /// Taken by the firing thread.
    pub(super) task: Cell<Option<Hold>>,
    /// In the task's list.
    pub(super) next: Cell<*mut Edge>,
    pub(super) prev: Cell<*mut Edge>,
    /// One of the two sides has let go.
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

/// The word of a task's children is a list of edges.
pub(super) fn is_edges(word: *mut Header) -> bool {
    word.addr() & EDGES != 0
}

/// # Safety
/// The edge is alive and the task's lock is held.
pub(super) unsafe fn enter(task: &TaskHead, edge: *mut Edge) {
    let first = first_edge(task).unwrap_or(null_mut());
    // SAFETY: the edge is alive by the caller's promise, those in the list are.
    unsafe {
        (*edge).next.set(first);
        if !first.is_null() {
            (*first).prev.set(edge);
        }
    }
    set_first_edge(task, edge);
}

/// # Safety
/// The edge is in the list of the task, whose lock is held.
pub(super) unsafe fn leave(task: &TaskHead, edge: *mut Edge) {
    // SAFETY: what is in the list is alive.
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

/// One of the two sides lets go of an edge; the second frees it.
///
/// # Safety
/// The caller is one of the two, and touches the edge no more.
pub(super) unsafe fn let_go(edge: *mut Edge) {
    // SAFETY: the other side, if it is there, frees nothing before it has seen `left`.
    unsafe {
        if (*edge).left.swap(true, Ordering::AcqRel) {
            drop(Box::from_raw(edge));
        }
    }
}

/// Takes the edges of a task out of their objects' lists: it will not run.
///
/// # Safety
/// The caller moved the task to `Running`, and its arguments are still there.
pub(super) unsafe fn release_edges(task: &TaskHead) {
    let Some(mut edge) = first_edge(task) else { return };
    set_first_edge(task, null_mut());
    while !edge.is_null() {
        // SAFETY: an edge of this list stays until both sides have let go of it; its object is held by the arguments.
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
