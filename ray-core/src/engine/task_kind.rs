//! The tasks of functions and closures as one kind of task.

use std::ptr::NonNull;

use crate::engine::blocking::{inline, interrupt};
use crate::engine::thread_state::ThreadState;
use crate::engine::{claim, queue};
use crate::object::entry::{Header, Hold};
use crate::task::blockers::Blockers;
use crate::task::head::TaskKind;
use crate::task::runner::{Bodies, Runner};

/// The kind of a function's or a closure's task.
pub(crate) static TASK: TaskKind = TaskKind {
    noun: "a task",
    of_actor: false,
    in_class_queue: true,
    refuses_force: None,
    actor: |_| None,
    ready: queue::ready,
    dependency_failed: |_| {},
    leave_queue: claim::withdraw,
    fails_with_actor: false,
    for_life: None,
    requeue,
    run_inline,
    blockers: |_| Blockers::none(),
    stop_waits: interrupt::wake,
    cut_off: |_| None,
    panicked: |_, panic| panic,
};

fn requeue(runner: Runner<'_>, task: Hold) {
    queue::requeue(ThreadState::of(runner), task);
}

fn run_inline(runner: Runner<'_>, entry: NonNull<Header>, bodies: Bodies, _: &dyn Fn() -> bool) -> bool {
    inline::run_task(ThreadState::of(runner), entry, bodies)
}
