//! The end of a failed attempt beside a canceller: the task is retried or cancelled, and the arguments that were kept for the retry
//! are dropped once.

use std::ptr::NonNull;

use ::loom::cell::UnsafeCell;
use ::loom::sync::Arc;
use ::loom::sync::atomic::{AtomicUsize, Ordering};
use ::loom::thread;

use super::check;
use crate::base::error::{Error, ErrorKind};
use crate::call::arg::Dependency;
use crate::call::spec::Spec;
use crate::object::entry;
use crate::object::entry::{Header, Hold, VTable};
use crate::object::kind::{Kind, ValueType};
use crate::object::release;
use crate::object::state::{Phase, State};
use crate::task::blockers::Blockers;
use crate::task::head::{Ran, TaskHead, TaskKind, TaskVTable, begins_again};
use crate::task::runner::Runner;

/// A task without a body.
#[repr(C)]
struct Task {
    head: TaskHead,
    /// Whether the arguments exist. Only their owner accesses it: loom fails the model if two threads do.
    kept: UnsafeCell<bool>,
    freed: Arc<AtomicUsize>,
}

static SPEC: Spec = Spec::new("task", "loom", 0);

static TASK: TaskVTable = TaskVTable { run, drop_args, each_dependency, spec: &SPEC, class: None, is_async: false, kind: &KIND };

static KIND: TaskKind = TaskKind {
    noun: "a task",
    of_actor: false,
    in_class_queue: true,
    refuses_force: None,
    actor: |_| None,
    ready: |_| {},
    dependency_failed: |_| {},
    leave_queue: |_| {},
    fails_with_actor: false,
    for_life: None,
    requeue: |_, _| {},
    run_inline: |_, _, _, _| false,
    blockers: |_| Blockers::none(),
    stop_waits: |_| {},
    cut_off: |_| None,
    panicked: |_, panic| panic,
};

static TABLE: VTable = VTable {
    value: 0,
    adopted: false,
    holds: ValueType::of::<()>(),
    kind: Kind::Task,
    remote: None,
    nested: false,
    drop_value: no_value,
    free,
    task: Some(TASK.erased()),
};

unsafe fn run(_: NonNull<Header>, _: Runner<'_>) -> Ran {
    unreachable!("the model runs no body")
}

unsafe fn each_dependency(_: NonNull<Header>, _: &mut dyn FnMut(Dependency)) {}

unsafe fn drop_args(entry: NonNull<Header>) {
    let task = unsafe { entry.cast::<Task>().as_ref() };
    task.kept.with_mut(|kept| assert!(unsafe { std::mem::take(&mut *kept) }, "the arguments are dropped once"));
}

unsafe fn no_value(_: NonNull<Header>) {}

unsafe fn free(entry: NonNull<Header>) {
    let task = unsafe { Box::from_raw(entry.cast::<Task>().as_ptr()) };
    task.kept.with(|kept| assert!(unsafe { !*kept }, "the arguments are dropped before the memory is freed"));
    task.freed.fetch_add(1, Ordering::Relaxed);
}

#[derive(Clone, Copy)]
struct Entry(NonNull<Header>);

unsafe impl Send for Entry {}

impl Entry {
    /// A task in its first attempt, with one ref and one hold for the runner.
    fn running(freed: &Arc<AtomicUsize>) -> Self {
        let header = Header::new(State::new(Phase::Running, 1, 1), &TABLE, 0);
        header.state.set_seen();
        let task = Task { head: TaskHead::new(header, None), kept: UnsafeCell::new(true), freed: freed.clone() };
        Self(NonNull::from(Box::leak(Box::new(task))).cast())
    }

    fn cancel(self) {
        unsafe { self.0.as_ref() }.abort(Error::new(ErrorKind::Cancelled, ""));
    }

    /// The attempt fails; the runner takes the task from the queue and, unless it was cancelled, runs it again, with success.
    fn fail_once(self) {
        let task = unsafe { Hold::adopt(self.0) };
        if unsafe { begins_again(&task) } && task.state.claim() {
            unsafe {
                drop_args(self.0);
                entry::publish(task.into_entry(), true);
            }
        }
    }
}

/// Both run in threads of their own, because then the choice of the first one costs no preemption, and two preemptions reach every
/// order of their steps that matters.
#[test]
fn a_canceller_beside_a_failed_attempt() {
    check(|| {
        let freed = Arc::new(AtomicUsize::new(0));
        let entry = Entry::running(&freed);
        let threads = [thread::spawn(move || entry.cancel()), thread::spawn(move || entry.fail_once())];
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        unsafe { release::drop_ref(entry.0) };
        assert_eq!(freed.load(Ordering::Relaxed), 1, "freed once");
    });
}
