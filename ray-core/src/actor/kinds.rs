//! The two kinds of tasks that actors have: calls and creations.

use std::ptr::NonNull;

use crate::actor::call::{CallHead, CallHold, as_call};
use crate::actor::execution::count_started;
use crate::actor::{backlog, creation, interrupt, lifecycle, run, steal};
use crate::engine::blocking::interrupt::wake;
use crate::engine::thread_state::ThreadState;
use crate::engine::{claim, thread};
use crate::object::entry::{Header, Hold};
use crate::object::state::Phase;
use crate::task::blockers::{Blocker, Blockers};
use crate::task::head::{ForLife, TaskHead, TaskKind};
use crate::task::runner::{Bodies, Runner};

const NO_FORCE: &str = "an actor's call cannot be cancelled by force, which would kill the actor: use `ray::kill(&handle)` for that, or cancel without force";

/// The call of a method, or of a closure on the instance.
pub(crate) static CALL: TaskKind = TaskKind {
    noun: "a call",
    of_actor: true,
    in_class_queue: false,
    refuses_force: Some(NO_FORCE),
    actor: |head| Some(call_of(head).actor.id()),
    ready: |call| {
        if let Some(call) = of_a_living_engine(call) {
            backlog::arguments_ready(&call)
        }
    },
    dependency_failed: |head| backlog::argument_failed(call_of(head)),
    leave_queue: |head| count_started(&call_of(head).actor),
    fails_with_actor: true,
    for_life: None,
    requeue: |_, call| backlog::requeue(CallHold::of(call)),
    run_inline,
    blockers: |call| {
        let call = CallHold::of(call.clone());
        if call.hold().phase() == Phase::Waiting {
            return Blockers::each(backlog::ahead_of(&call).map(Blocker::Entry).into_iter().collect());
        }
        run::holders(&call)
    },
    stop_waits: wake,
    cut_off: interrupt::cut_off_error,
    panicked: |entry, panic| {
        // SAFETY: the caller runs the entry, which is alive, and a call since its table has this kind.
        let call = unsafe { CallHead::of(entry) };
        lifecycle::crashed(&call.actor, Some(call), &call.task.blame(panic))
    },
};

/// The call of a constructor.
pub(crate) static CREATION: TaskKind = TaskKind {
    noun: "the creation of an actor",
    ready: |creation| {
        if let Some(creation) = of_a_living_engine(creation) {
            creation::arguments_ready(creation)
        }
    },
    dependency_failed: |head| creation::argument_failed(call_of(head)),
    leave_queue: |head| {
        claim::withdraw(head);
        if let Some(cold) = call_of(head).actor.known_cold_state() {
            cold.set_unready(None);
        }
    },
    fails_with_actor: false,
    for_life: Some(ForLife {
        owner: |head| call_of(head).actor.address(),
        granted: |creation| creation::granted(CallHold::of(creation)),
        group_removed: |head, error| lifecycle::group_removed(&call_of(head).actor, error),
    }),
    blockers: |_| Blockers::none(),
    ..CALL
};

/// The call of a task's head, in the functions of the tables above.
fn call_of(head: &TaskHead) -> &CallHead {
    as_call(&head.header).expect("these tables are those of calls")
}

fn run_inline(runner: Runner<'_>, entry: NonNull<Header>, bodies: Bodies, goes_on: &dyn Fn() -> bool) -> bool {
    steal::run(ThreadState::of(runner), entry, bodies, goes_on)
}

/// The call, if its engine runs. Otherwise the call fails, and if it is a creation, its actor ends.
fn of_a_living_engine(call: Hold) -> Option<CallHold> {
    let Err(gone) = thread::of(call.epoch) else { return Some(CallHold::of(call)) };
    call.abort(gone);
    if let Some(head) = call.task() {
        (head.vtable().kind.dependency_failed)(head);
    }
    None
}
