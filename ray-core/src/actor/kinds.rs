//! The calls of an actor, and its creation, as kinds of tasks.

use crate::object::state::Phase;
use std::ptr::NonNull;

use crate::actor::call::{CallHead, as_call};
use crate::actor::{create, interrupt, life, run, send, steal};
use crate::engine::blocking::interrupt::wake;
use crate::engine::thread_state::ThreadState;
use crate::engine::{claim, thread};
use crate::object::entry::{Header, Hold};
use crate::task::blockers::{Blocker, Blockers};
use crate::task::head::{ForLife, TaskHead, TaskKind};
use crate::task::runner::{Bodies, Runner};

const NO_FORCE: &str = "an actor's call cannot be cancelled by force, which would kill the actor: use `ray::kill(&handle)` for that, or cancel without force";

/// The call of a method, or of a closure on the instance.
pub(crate) static CALL: TaskKind = TaskKind {
    noun: "a call",
    in_class_queue: false,
    refuses_force: Some(NO_FORCE),
    ready: |call| {
        if let Some(call) = of_a_living_engine(call) {
            send::arguments_ready(&call)
        }
    },
    dependency_failed: |head| send::argument_failed(call_of(head)),
    leave_queue: |head| run::started(&call_of(head).actor),
    for_life: None,
    requeue: |_, call| send::again(call),
    run_inline,
    blockers: |call| {
        if call.phase() == Phase::Waiting {
            return Blockers::each(send::ahead_of(call).map(Blocker::Entry).into_iter().collect());
        }
        run::holders(call)
    },
    stop_waits: wake,
    cut_off: interrupt::cut_off_error,
    panicked: |entry, panic| {
        // SAFETY: the caller runs the call.
        let call = unsafe { CallHead::of(entry) };
        life::crashed(&call.actor, Some(entry), &call.task.blame(panic))
    },
};

/// The call of a constructor.
pub(crate) static CREATION: TaskKind = TaskKind {
    noun: "the creation of an actor",
    ready: |creation| {
        if let Some(creation) = of_a_living_engine(creation) {
            create::arguments_ready(creation)
        }
    },
    dependency_failed: |head| create::argument_failed(call_of(head)),
    leave_queue: |head| {
        claim::withdraw(head);
        if let Some(rare) = call_of(head).actor.known_rare() {
            rare.set_unready(None);
        }
    },
    for_life: Some(ForLife { owner: |head| call_of(head).actor.head().as_ptr().addr(), granted: create::granted }),
    blockers: |_| Blockers::none(),
    ..CALL
};

/// The head of a call, in functions of the tables above.
fn call_of(head: &TaskHead) -> &CallHead {
    as_call(&head.header).expect("these tables are those of calls")
}

fn run_inline(runner: Runner<'_>, entry: NonNull<Header>, bodies: Bodies, goes_on: &dyn Fn() -> bool) -> bool {
    steal::run(ThreadState::of(runner), entry, bodies, goes_on)
}

/// A call whose engine is gone has failed, and its actor with it.
fn of_a_living_engine(call: Hold) -> Option<Hold> {
    let Err(gone) = thread::of(call.epoch) else { return Some(call) };
    call.abort(gone);
    if let Some(head) = call.task() {
        (head.vtable().kind.dependency_failed)(head);
    }
    None
}
