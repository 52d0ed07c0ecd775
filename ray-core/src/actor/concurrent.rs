//! Concurrent actors: whose calls run side by side.
//!
//! The runner only admits. A call is admitted in the order of the mailbox: one that needs `&self` while fewer than
//! `limit` run and none is exclusive, one that needs `&mut self` when nothing runs. An async call's future is spawned,
//! a sync one goes to the workers; its end frees the slot and has the next admitted. So what `&mut` promises the
//! borrow checker is true: nothing else touches the instance. The counts are in [`run_state`](crate::actor::run_state).

use crate::task::runner::Runner;
use parking_lot::Mutex;
use std::cell::Cell;
use std::ptr::NonNull;

use crate::actor::call::CallHead;
use crate::actor::cell::{ActorHead, ActorHold};
use crate::actor::life;

use crate::actor::run;
use crate::actor::run_state::{Admit, Left};
use crate::engine::execute::execute;
use crate::engine::free_job::{FreeJob, FreeWork, Leftovers};
use crate::engine::future::Over;
use crate::engine::thread_state::{Frame, ThreadState};
use crate::object::entry::Hold;
use crate::object::state::Phase;
use crate::task::blockers::{Blocker, Blockers};

/// The slots of an actor.
pub(crate) struct Admission {
    limit: u32,
    /// The calls inside. Its lock is taken before the actor's.
    running: Mutex<Vec<Hold>>,
}

/// A sync call with a slot.
pub(crate) struct Admitted(Hold);

impl Admission {
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, running: Mutex::new(Vec::new()) }
    }

    /// A slot for a call, if there is one; `None`: the call was cancelled.
    fn enter(&self, actor: &ActorHead, call: &Hold, exclusive: bool) -> Option<Admit> {
        // Under both locks, so that a killer, who changes the state first, finds the call in the list.
        let mut running = self.running.lock();
        let states = actor.lock();
        if call.phase().is_settled() {
            // Seen under the lock: a call that is cancelled after this has the actor look again.
            return None;
        }
        let admit = states.admit(exclusive, self.limit);
        drop(states);
        if admit == Admit::Enter {
            // SAFETY: alive by the caller's hold.
            running.push(unsafe { Hold::new(call.entry()) });
        }
        Some(admit)
    }

    fn leave(&self, actor: &ActorHead, call: &Hold) -> Left {
        let mut running = self.running.lock();
        let place = running.iter().position(|other| other.entry() == call.entry());
        // One place: another attempt of the same call may have been admitted already.
        let hold = place.map(|place| running.swap_remove(place));
        let left = actor.lock().leave();
        drop(running);
        drop(hold);
        left
    }

    /// What a queued call waits for with certainty: all bodies inside, if it needs the instance for itself or stands
    /// behind one that does; one of them, if they have all the slots.
    pub(crate) fn holders(&self, actor: &ActorHead, call: &Hold, exclusive: bool) -> Blockers {
        let running = self.running.lock();
        if running.iter().any(|running| running.entry() == call.entry()) {
            // It was admitted since it was looked at.
            return Blockers::each(Vec::new());
        }
        let alone = {
            let states = actor.lock();
            states.is_exclusive() || states.waits_alone()
        };
        // SAFETY: held by the list.
        let bodies = || running.iter().map(|call| Blocker::Entry(unsafe { Hold::new(call.entry()) })).collect();
        if exclusive || alone {
            Blockers::each(bodies())
        } else if running.len() >= self.limit as usize {
            Blockers::one(bodies())
        } else {
            Blockers::each(Vec::new())
        }
    }

    /// The calls that run.
    pub(crate) fn running(&self) -> Vec<Hold> {
        // SAFETY: held by the list.
        self.with_running(|running| running.iter().map(|call| unsafe { Hold::new(call.entry()) }).collect())
    }

    /// Looks at the calls that run, which cannot end meanwhile.
    pub(crate) fn with_running<R>(&self, look: impl FnOnce(&[Hold]) -> R) -> R {
        look(&self.running.lock())
    }
}

/// Admits the next call of the mailbox; `false`: there is none, or no slot. The caller has the run right and is in the
/// mailbox; afterwards it is not.
pub(crate) fn admit(state: &ThreadState, actor: &ActorHold, admission: &Admission) -> bool {
    let next = run::next(actor, false).and_then(|front| Some((front.peek()?.2?, front)));
    let Some((entry, front)) = next else {
        actor.current.leave_mailbox();
        return false;
    };
    // SAFETY: held by the record.
    let head = unsafe { CallHead::of(entry) };
    let (exclusive, is_async) = (head.exclusive, head.task.vtable().is_async);
    // SAFETY: held by the record.
    let call = unsafe { Hold::new(entry) };
    let admitted = if head.creates { None } else { admission.enter(actor, &call, exclusive) };
    if matches!(admitted, Some(Admit::Wait | Admit::Closed)) {
        actor.current.leave_mailbox();
        return false;
    }
    let record = front.pop();
    actor.current.leave_mailbox();
    // What it drops may be of the user's making.
    drop(record);
    if admitted.is_none() {
        // SAFETY: a call's entry, alive by the hold.
        if unsafe { CallHead::of(call.entry()) }.creates {
            life::create(state, actor, call);
        }
        return true;
    }
    if !call.state.step(Phase::Queued, Phase::Running) {
        leave(&call);
        return true;
    }
    run::started(actor);
    if is_async {
        // The body of an async method is but the making of its future.
        execute_call(state, &call);
    } else {
        crate::engine::queue::queue_free(&state.engine, FreeJob::of(Admitted(call)));
        crate::engine::wake::kick(&state.engine);
    }
    true
}

fn execute_call(state: &ThreadState, call: &Hold) {
    // SAFETY: a call's entry.
    let head = unsafe { CallHead::of(call.entry()) };
    let frame = Frame {
        below: state.frame.get(),
        entry: Some(call.entry()),
        actor: Some(head.actor.head()),
        spec: head.task.vtable().definition(),
        caller: Cell::new(0),
        is_async: head.task.vtable().is_async,
        crashed: Cell::new(false),
    };
    // SAFETY: claimed by the runner that admitted it; the caller's hold is lent.
    unsafe { execute(state, call.entry(), false, frame) };
}

impl FreeWork for Admitted {
    fn into_raw(self) -> NonNull<()> {
        self.0.into_entry().cast()
    }

    unsafe fn from_raw(data: NonNull<()>) -> Self {
        // SAFETY: the caller's promise; it was made of a hold.
        Self(unsafe { Hold::adopt(data.cast()) })
    }

    fn run(self, runner: Runner<'_>) {
        let state = ThreadState::of(runner);
        let Self(call) = self;
        if call.phase().is_settled() {
            // Killed or cancelled since it was admitted: its body does not begin.
            drop_args(&call);
        } else {
            execute_call(state, &call);
        }
        leave(&call);
    }

    fn abandon(self, _: &mut Leftovers) {
        let Self(call) = self;
        drop_args(&call);
        call.state.set_seen();
        call.fail(|_| true, crate::base::epoch::gone("the call had not started"));
        leave(&call);
    }
}

fn drop_args(call: &Hold) {
    if let Some(head) = call.task() {
        // SAFETY: claimed by the runner that admitted it, and no body took them.
        unsafe { (head.vtable().drop_args)(call.entry()) };
    }
}

/// What the end of an async call's future does.
pub(crate) fn over(entry: std::ptr::NonNull<crate::object::entry::Header>) -> Over {
    // SAFETY: the call runs, so it is alive.
    let call = unsafe { Hold::new(entry) };
    Box::new(move || leave(&call))
}

/// The body of a call is over: frees its slot, and has the next admitted.
fn leave(call: &Hold) {
    // SAFETY: a call's entry.
    let actor = unsafe { &CallHead::of(call.entry()).actor };
    let Some(admission) = actor.known_rare().and_then(|rare| rare.admission.get()) else { return };
    match admission.leave(actor, call) {
        Left::Nothing => {}
        Left::Enqueue => run::enqueue(actor.clone()),
        Left::Finalize => life::finalize(actor),
    }
}
