//! A thread that waits for a call takes the execution lock of the idle actor, and runs its own calls up to the awaited one.
//! If no other thread is left to run them, it runs earlier calls of other callers, too.

use std::ptr::NonNull;

use crate::actor::call::{CallHead, peek};
use crate::actor::execution::{begin, next};
use crate::actor::mailbox::Buffer;
use crate::actor::run;
use crate::actor::run_state::Step;
use crate::engine::blocking::inline::{Lease, enclosed, include, thread_may};
use crate::engine::blocking::world;
use crate::engine::thread_state::ThreadState;
use crate::object::entry::Header;
use crate::object::state::Phase;
use crate::task::runner::Bodies;

/// Runs the call `entry`, and before it the earlier calls of this thread, if the actor is idle and no call of another
/// caller comes first. Runs only such `bodies`, and only while `goes_on` returns `true`. `true`: it has run something.
#[inline]
pub(crate) fn run(state: &ThreadState, entry: NonNull<Header>, bodies: Bodies, goes_on: &dyn Fn() -> bool) -> bool {
    // SAFETY: the entry is a call, since its table has a kind of `kinds`. The thread that waits has a reference to it, or
    // to the whole of which it is a part.
    let call = unsafe { CallHead::of(entry) };
    if call.task.header.phase() != Phase::Queued
        || call.task.vtable().is_async
        || !include(bodies, state, call.task.vtable().definition())
    {
        return false;
    }
    let me = state.caller();
    let may_run = |caller: u64| caller == me || bodies == Bodies::Any;
    if !may_run(call.caller) {
        return false;
    }
    let actor = &call.actor;
    if let Some(cold) = actor.known_cold_state()
        && (cold.admission.get().is_some() || actor.life().stops_calls() || cold.has_cpus_elsewhere(state))
    {
        return false;
    }
    if !thread_may(state, bodies) || !begin(actor, false) {
        return false;
    }
    // If a call of another caller comes first, a worker thread runs the calls. Checked before this thread takes a CPU for
    // them.
    actor.current.enter_mailbox();
    let stopped = actor.runner_must_stop();
    let first = if stopped { None } else { next(actor, false).and_then(|front| peek(front)) };
    actor.current.leave_mailbox();
    let Some(first) = first.filter(|first| may_run(first.caller)) else {
        run::finish(actor);
        return false;
    };
    let Some(lease) = Lease::take(state, 0, bodies) else {
        run::finish(actor);
        return false;
    };
    let mut first = Some(first);
    let mut ran = false;
    loop {
        actor.current.enter_mailbox();
        // The first one was looked at before. It stays in its place, unless a killer takes it.
        let upcoming = match first.take() {
            _ if actor.runner_must_stop() => None,
            None => next(actor, false).and_then(|front| peek(front)),
            first => first,
        };
        let mine = upcoming.filter(|upcoming| may_run(upcoming.caller) && include(bodies, state, upcoming.definition));
        let record = mine.and_then(|_| next(actor, false)).and_then(Buffer::pop);
        let (Some(mine), Some(record)) = (mine, record) else {
            actor.current.leave_mailbox();
            break;
        };
        let last = mine.entry == Some(entry);
        if last {
            crate::engine::blocking::deepen(state, &call.task.header);
        }
        let run = || run::run_record(state, actor, record);
        let step = if state.timed.get() || world::is_wanted(state) { enclosed(state, run) } else { run() };
        ran = true;
        if step == Step::HandedOver {
            return ran;
        }
        if last || !goes_on() {
            break;
        }
    }
    run::finish(actor);
    drop(lease);
    ran
}
