//! A getter takes an idle actor's run right to run its own calls, up to the awaited one.

use std::ptr::NonNull;

use super::call::CallHead;
use super::mailbox::{Buffer, Record};
use super::run;
use crate::blocking::inline::{Bodies, Lease, enclosed};
use crate::blocking::world;
use crate::store::entry::Header;
use crate::store::state::Phase;
use crate::thread::ThreadState;

/// Runs the call, and the getter's own calls before it, if the actor is idle and no other caller's come first; only such
/// `bodies`, and for as long as `goes_on`. `true`: something was run.
#[inline]
pub(crate) fn run(state: &ThreadState, entry: NonNull<Header>, bodies: Bodies, goes_on: &dyn Fn() -> bool) -> bool {
    // SAFETY: the getter has a ref to a call (or holds the whole of a part).
    let call = unsafe { CallHead::of(entry) };
    if call.task.header.phase() != Phase::Queued
        || call.task.vtable().is_async
        || !bodies.include(state, call.task.vtable().definition())
    {
        return false;
    }
    let me = state.caller();
    if call.caller != me {
        return false;
    }
    let actor = &call.actor;
    if let Some(rare) = actor.known_rare()
        && (rare.admission.get().is_some() || rare.replace.load(std::sync::atomic::Ordering::Relaxed))
    {
        return false;
    }
    if !crate::blocking::inline::thread_may(state, bodies) || !run::begin(actor, false) {
        return false;
    }
    // Others' calls first: that is for a worker. Looked at before a CPU is given up for it.
    let mut upcoming = run::next(actor, false).and_then(|front| front.peek());
    if !matches!(upcoming, Some((caller, _, _)) if caller == me) {
        run::finish(actor);
        return false;
    }
    let Some(lease) = Lease::take(state, 0, bodies) else {
        run::finish(actor);
        return false;
    };
    let mut ran = false;
    while let Some((caller, spec, next)) = upcoming {
        if caller != me || !bodies.include(state, spec) || actor.runner_sees_death() {
            break;
        }
        let Some(record) = run::next(actor, false).and_then(Buffer::pop) else { break };
        let last = next == Some(entry);
        if last {
            crate::blocking::deepen(state, &call.task.header);
        }
        let long = !spec.is_short();
        debug_assert!(last || !matches!(&record, Record::Call(call) if call.entry() == entry));
        let run = || run::run_record(state, actor, record, long);
        if state.timed.get() || world::is_wanted(state) {
            enclosed(state, run)
        } else {
            run()
        }
        ran = true;
        if last || !goes_on() {
            break;
        }
        upcoming = run::next(actor, false).and_then(|front| front.peek());
    }
    run::finish(actor);
    drop(lease);
    ran
}
