//! Concurrent actors, whose calls run side by side.
//!
//! The runner only admits calls, in the order of the mailbox. A call of a `&self` method is admitted if fewer than `limit`
//! calls run and none of them is exclusive; a call of a `&mut self` method if no call runs. The future of an async call is
//! spawned, a sync call goes to the worker threads. The end of a call frees its slot, and the next call is admitted. So
//! while a `&mut self` method runs, no other body uses the instance. [`run_state`](crate::actor::run_state) has the counts.
//! The calls of an actor with concurrency groups are admitted in the order of their group, see [`groups`](crate::actor::groups).

use std::ptr::NonNull;

use crate::actor::admission::Admission;
use crate::actor::call::CallHold;
use crate::actor::execution::{count_started, frame_of, next};
use crate::actor::groups::Groups;
use crate::actor::head::ActorHold;
use crate::actor::mailbox::{Buffer, Next, Record};
use crate::actor::run_state::{Admit, Left, Step};
use crate::actor::{backlog, construct, lifecycle, schedule};
use crate::engine::execute::execute;
use crate::engine::free_job::{FreeJob, FreeWork, Leftovers};
use crate::engine::future::Over;
use crate::engine::thread_state::ThreadState;
use crate::object::entry::Hold;
use crate::object::state::Phase;
use crate::task::runner::Runner;

/// A sync call with a slot, on its way to a worker thread.
pub(crate) struct Admitted(CallHold);

/// Admits the next call of the mailbox, if there is one and a slot is free. The caller is the runner and is in the mailbox;
/// afterwards it is not.
pub(crate) fn admit(state: &ThreadState, actor: &ActorHold, admission: &Admission) -> Step {
    if let Some(groups) = &admission.groups {
        return admit_by_group(state, actor, admission, groups);
    }
    // All messages of a concurrent actor are calls with entries.
    let next = next(actor, false).and_then(|front| match front.peek()? {
        Next::Call(entry) => Some((entry, front)),
        Next::Told { .. } => None,
    });
    let Some((entry, front)) = next else {
        actor.current.leave_mailbox();
        return Step::Idle;
    };
    // SAFETY: the mailbox holds the entry, and only calls are put into mailboxes.
    let call = unsafe { CallHold::of_call(Hold::new(entry)) };
    let admitted = if call.creates { None } else { admission.enter(&actor.run_state, call.hold(), call.exclusive) };
    if matches!(admitted, Some(Admit::Wait | Admit::Closed)) {
        actor.current.leave_mailbox();
        return Step::Idle;
    }
    let record = front.pop();
    actor.current.leave_mailbox();
    // Outside the mailbox, since the drop may run code of the user.
    drop(record);
    if admitted.is_none() {
        return if call.creates { construct::create(state, actor, call) } else { Step::Ran };
    }
    start(state, actor, call);
    Step::Ran
}

/// The runner moves so many calls from the mailbox to the lines of their groups before it leaves the mailbox.
const BATCH: usize = 256;

/// As [`admit`], for an actor with concurrency groups.
fn admit_by_group(state: &ThreadState, actor: &ActorHold, admission: &Admission, groups: &Groups) -> Step {
    for _ in 0..BATCH {
        let Some(Record::Call(call)) = next(actor, false).and_then(Buffer::pop) else { break };
        // SAFETY: only calls are put into mailboxes.
        let call = unsafe { CallHold::of_call(call) };
        if call.creates {
            actor.current.leave_mailbox();
            return construct::create(state, actor, call);
        }
        let (group, exclusive) = (usize::from(call.group), call.exclusive);
        if let Err(late) = groups.line_up(&actor.run_state, call.into_hold(), group, exclusive) {
            actor.current.leave_mailbox();
            backlog::refuse(actor, &CallHold::of(late));
            return Step::Idle;
        }
    }
    actor.current.leave_mailbox();
    let mut gone = Vec::new();
    let entered = admission.enter_group(groups, &actor.run_state, &mut gone);
    // Outside of the locks, since the drop may run code of the user.
    drop(gone);
    match entered {
        Some(call) => {
            // SAFETY: `admit_by_group` lines up calls only.
            start(state, actor, unsafe { CallHold::of_call(call) });
            Step::Ran
        }
        None => Step::Idle,
    }
}

/// Begins a call that has a slot.
fn start(state: &ThreadState, actor: &ActorHold, call: CallHold) {
    if !call.hold().state.step(Phase::Queued, Phase::Running) {
        leave(&call);
        return;
    }
    count_started(actor);
    if call.task.vtable().is_async {
        // The body of an async method only makes the future.
        execute_call(state, &call);
    } else {
        crate::engine::queue::queue_free(&state.engine, FreeJob::of(Admitted(call)));
        crate::engine::wake::kick(&state.engine);
    }
}

fn execute_call(state: &ThreadState, call: &CallHold) {
    // SAFETY: the runner that admitted the call has moved it to `Running`, and the caller's hold outlives this.
    unsafe { execute(state, call.hold().entry(), false, frame_of(state, call)) };
}

impl FreeWork for Admitted {
    fn into_raw(self) -> NonNull<()> {
        self.0.into_hold().into_entry().cast()
    }

    unsafe fn from_raw(data: NonNull<()>) -> Self {
        // SAFETY: `into_raw` has made the pointer of the hold of a call, and the caller uses it once.
        Self(unsafe { CallHold::of_call(Hold::adopt(data.cast())) })
    }

    fn run(self, runner: Runner<'_>) {
        let state = ThreadState::of(runner);
        let Self(call) = self;
        if call.hold().phase().is_settled() {
            // The call was killed or cancelled after it was admitted: its body does not begin.
            drop_args(&call);
        } else {
            execute_call(state, &call);
        }
        leave(&call);
    }

    fn abandon(self, _: &mut Leftovers) {
        let Self(call) = self;
        drop_args(&call);
        call.hold().state.set_seen();
        call.hold().fail(|_| true, crate::base::epoch::gone("the call had not started"));
        leave(&call);
    }
}

/// Drops the arguments of an admitted call whose body does not begin.
fn drop_args(call: &CallHold) {
    // SAFETY: the runner that admitted the call has moved it to `Running`, and gave it with its arguments to the
    // `Admitted`.
    unsafe { (call.task.vtable().drop_args)(call.hold().entry()) };
}

/// The function that is called after the future of an async call was dropped.
pub(crate) fn over(call: CallHold) -> Over {
    Box::new(move || leave(&call))
}

/// Frees the slot of a call whose body is over, and has the next call admitted.
fn leave(call: &CallHold) {
    let actor = &call.actor;
    let Some(admission) = actor.admission() else { return };
    match admission.leave(&actor.run_state, call.hold()) {
        Left::Nothing => {}
        Left::Enqueue => schedule::enqueue(actor.clone()),
        Left::Finalize => lifecycle::finalize(actor),
    }
}
