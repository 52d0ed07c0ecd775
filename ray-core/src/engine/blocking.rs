//! Waiting: which work a waiting thread runs, which work goes on meanwhile, and how a wait ends.
//!
//! # Which work a waiting thread runs itself
//!
//! Only the work that it waits for, unstarted, and only if it is known to be short (`callable::spec`), if enough stack is
//! left, and if the CPU that the work asks for can be had at once.
//!
//! | the wait | what it may run |
//! |---|---|
//! | `get`, `view`, `take` of one or several; `wait`, `as_completed` without a time-out | bodies known to be short; the first poll of an `async fn` that is known to be short and has never waited; of an actor, the getter's own calls up to the awaited one |
//! | the same, sixteen gets deep or more, or in a body while 64 workers wait | also bodies of definitions that were never seen long, or a first recursion would take a thread a level |
//! | the same, when no other thread can be had | whatever it waits for; outside of bodies, what the monitor thread offers, too (`last_resort`) |
//! | the same, on a thread of another async runtime | nothing: a body that gets would block that runtime |
//! | a wait with a time-out | nothing: a body cannot be left half-way |
//! | an await | as a `get`, but no body that has ever waited itself, and within a budget: see [`awaiting`] |
//!
//! All other work is handed to a worker thread. A definition counts as short until one body was long; that first long body
//! may hold the thread of its getter, or of a runtime, once.
//!
//! # Which work goes on meanwhile
//!
//! A body that waits lends its CPU. With it the engine runs, in this order: the return of a CPU to a body whose wait is over;
//! tasks that a thread waits for (`engine::awaited`); fresh tasks. If bodies hold every CPU and block in the operating
//! system, an extra CPU is granted (`engine::extra_cpu`).
//!
//! # How settling wakes
//!
//! The settling thread first publishes the object, then tells its dependants and wakes the waiting threads and futures, in
//! the order in which they began to wait; callbacks come last, on a thread of the engine. Where a waiting body has lent its CPU,
//! the settling thread enters the claim for it before it takes other work (`give_back`).
//!
//! # How a wait ends
//!
//! With the object; at once, too, when the object's task is cancelled or its actor killed (the object is settled with that
//! error), when the waiting body itself is cancelled or its actor killed (`interrupt`), at its time-out, and at a shutdown. A
//! restart settles the calls that it cuts off; those in the mailbox wait for the new instance. In a body the wait returns when
//! the body has its CPU again.

pub(crate) mod awaiting;
pub(crate) mod give_back;
pub(crate) mod inline;
pub(crate) mod interrupt;
pub(crate) mod last_resort;
pub(crate) mod park;
pub(crate) mod world;

use std::panic::Location;
use std::sync::atomic::Ordering;

use crate::base::error::{Error, ErrorKind, Result};
use crate::engine::thread_state::ThreadState;
use crate::object::entry::Header;

/// Refuses to block where that would stall others, and for entries of a former engine.
#[inline]
pub(crate) fn may_block(state: &ThreadState, site: &'static Location<'static>) -> Result<()> {
    // Outside of bodies there is nothing to refuse.
    if state.frame.get().is_null() { Ok(()) } else { may_block_in_a_body(state, site) }
}

fn may_block_in_a_body(state: &ThreadState, site: &'static Location<'static>) -> Result<()> {
    if let Some(frame) = state.frame()
        && frame.is_async
    {
        return Err(Error::new(
            ErrorKind::BlockingInAsync,
            format!(
                "a blocking call at {site} inside the async `{}` would stall every future of its thread: write `reference.await`, or have a task make the call and await that: `ray::task(..).remote().await`",
                frame.spec.name()
            ),
        ));
    }
    if depth_of(state) >= DEEPEST {
        return Err(Error::new(
            ErrorKind::Threads,
            format!(
                "gets nest {DEEPEST} deep here, as deep as they may: a recursion without an end? Otherwise submit more before getting, or use `async fn` and await"
            ),
        ));
    }
    Ok(())
}

/// As deep as gets may nest: each level keeps a stack frame, and at times a thread.
const DEEPEST: u32 = 12_000;

/// How many gets wait, one for the other, for the running body.
#[inline]
pub(crate) fn depth_of(state: &ThreadState) -> u32 {
    // SAFETY: a frame's entry is alive while it runs.
    state.frame().and_then(|frame| frame.entry).map_or(0, |entry| unsafe { entry.as_ref() }.get_depth().load(Ordering::Relaxed))
}

/// The running body gets `target`, which has begun or may begin now.
#[inline]
pub(crate) fn deepen(state: &ThreadState, target: &Header) {
    let depth = depth_of(state) + 1;
    if target.task().is_some() && target.get_depth().load(Ordering::Relaxed) < depth {
        target.get_depth().store(depth, Ordering::Relaxed);
    }
}
