//! The list of a task's children: a canceller reaches them, and no child is freed while it is in the list.

use std::ptr::NonNull;

use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::sync::atomic::{AtomicUsize, Ordering};
use ::loom::thread;

use super::check;
use crate::object::entry;
use crate::object::entry::{Header, VTable};
use crate::object::kind::{Kind, ValueType};
use crate::object::state::{Phase, State};
use crate::task::children;
use crate::task::head::TaskHead;

/// A task without a body.
#[repr(C)]
struct Child {
    head: TaskHead,
    /// A thread with a hold reads it, and the thread that frees the memory writes it: loom fails the model if the two accesses are not
    /// ordered.
    alive: UnsafeCell<bool>,
    freed: Arc<AtomicUsize>,
}

static TABLE: VTable = VTable {
    value: 0,
    adopted: false,
    holds: ValueType::of::<()>(),
    kind: Kind::Task,
    remote: None,
    nested: false,
    drop_value: no_value,
    free,
    task: None,
};

unsafe fn no_value(_: NonNull<Header>) {}

unsafe fn free(entry: NonNull<Header>) {
    let child = unsafe { Box::from_raw(entry.cast::<Child>().as_ptr()) };
    child.alive.with_mut(|alive| unsafe { *alive = false });
    child.freed.fetch_add(1, Ordering::Relaxed);
}

/// A task with two holds: one for the caller, one for the list.
fn child(phase: Phase, freed: &Arc<AtomicUsize>) -> NonNull<Header> {
    let header = Header::new(State::new(phase, 0, 2), &TABLE, 0);
    header.state.set_seen();
    let child = Child { head: TaskHead::new(header, None), alive: UnsafeCell::new(true), freed: freed.clone() };
    NonNull::from(Box::leak(Box::new(child))).cast()
}

struct Parent(TaskHead);

impl Parent {
    fn new() -> Arc<Self> {
        Arc::new(Self(TaskHead::new(Header::new(State::new(Phase::Running, 1, 1), &TABLE, 0), None)))
    }

    /// The body submits a task; the hold of the task's worker is dropped.
    fn submit(&self, phase: Phase, freed: &Arc<AtomicUsize>) {
        let child = child(phase, freed);
        unsafe {
            children::adopt(&self.0, child);
            entry::drop_hold(child);
        }
    }

    /// Walks the list as a canceller; returns how many children it has reached.
    fn look(&self) -> usize {
        let found = children::collect(&self.0);
        for child in &found {
            let child = unsafe { child.entry().cast::<Child>().as_ref() };
            child.alive.with(|alive| assert!(unsafe { *alive }));
        }
        found.len()
    }
}

#[test]
fn a_canceller_beside_the_body() {
    check(|| {
        let (parent, freed) = (Parent::new(), Arc::new(AtomicUsize::new(0)));
        parent.submit(Phase::Queued, &freed);
        let other = parent.clone();
        let canceller = thread::spawn(move || other.look());
        parent.submit(Phase::Queued, &freed);
        children::release(&parent.0);
        assert!(canceller.join().unwrap() <= 2);
        assert_eq!(freed.load(Ordering::Relaxed), 2, "each child is freed once");
    });
}

/// In a model, a list of two children is swept.
#[test]
fn a_canceller_beside_a_sweep() {
    check(|| {
        let (parent, freed) = (Parent::new(), Arc::new(AtomicUsize::new(0)));
        parent.submit(Phase::Queued, &freed);
        let other = parent.clone();
        let canceller = thread::spawn(move || other.look());
        // In `Ready`, without a value that `free` would have to drop.
        parent.submit(Phase::Ready, &freed);
        let found = canceller.join().unwrap();
        assert!((1..=2).contains(&found), "{found}: the child that has not ended is always in the list");
        assert_eq!((freed.load(Ordering::Relaxed), parent.look()), (1, 1), "the child that has ended was removed");
        children::release(&parent.0);
        assert_eq!(freed.load(Ordering::Relaxed), 2, "each child is freed once");
    });
}
