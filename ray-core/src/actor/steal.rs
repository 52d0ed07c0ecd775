//! A getter takes an idle actor's run right to run its own calls, up to the awaited one. Where no other thread is left it runs
//! other callers' calls before that one, too.

use crate::engine::blocking::inline::include;
use crate::task::runner::Bodies;
use std::ptr::NonNull;

use crate::actor::call::CallHead;
use crate::actor::mailbox::Buffer;
use crate::actor::run;
use crate::engine::blocking::inline::{Lease, enclosed};
use crate::engine::blocking::world;
use crate::engine::thread_state::ThreadState;
use crate::object::entry::Header;
use crate::object::state::Phase;

/// Runs the call, and the getter's own calls before it, if the actor is idle and no call of another caller comes first; only such
/// `bodies`, and for as long as `goes_on`. `true`: something was run.
#[inline]
pub(crate) fn run(state: &ThreadState, entry: NonNull<Header>, bodies: Bodies, goes_on: &dyn Fn() -> bool) -> bool {
    // SAFETY: the getter has a ref to a call (or holds the whole of a part).
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
    if let Some(rare) = actor.known_rare()
        && (rare.admission.get().is_some() || actor.life().stops_calls())
    {
        return false;
    }
    if !crate::engine::blocking::inline::thread_may(state, bodies) || !run::begin(actor, false) {
        return false;
    }
    // Others' calls first: that is for a worker. Looked at before a CPU is given up for it.
    actor.current.enter_mailbox();
    let stopped = actor.runner_must_stop();
    let first = if stopped { None } else { run::next(actor, false).and_then(|front| front.peek()) };
    actor.current.leave_mailbox();
    let Some(first) = first.filter(|(caller, _, _)| may_run(*caller)) else {
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
        // The first one was looked at before, and stays where it is unless a killer takes it.
        let upcoming = match first.take() {
            _ if actor.runner_must_stop() => None,
            None => run::next(actor, false).and_then(|front| front.peek()),
            first => first,
        };
        let mine = upcoming.filter(|(caller, spec, _)| may_run(*caller) && include(bodies, state, spec));
        let record = mine.and_then(|_| run::next(actor, false)).and_then(Buffer::pop);
        let (Some((_, _, next)), Some(record)) = (mine, record) else {
            actor.current.leave_mailbox();
            break;
        };
        let last = next == Some(entry);
        if last {
            crate::engine::blocking::deepen(state, &call.task.header);
        }
        let run = || run::run_record(state, actor, record);
        if state.timed.get() || world::is_wanted(state) {
            enclosed(state, run)
        } else {
            run()
        }
        ran = true;
        if last || !goes_on() {
            break;
        }
    }
    run::finish(actor);
    drop(lease);
    ran
}
