//! Waiting: which work a waiting thread runs, which work runs meanwhile on other threads, and how a wait ends.
//!
//! # Which work a waiting thread runs itself
//!
//! A waiting thread runs work itself under four conditions: it waits for the work, and the work has not begun; the work is known
//! to be short (`call::spec`); enough stack is left; and the CPU for the work is free. The table has the exceptions.
//!
//! | the wait | what it may run |
//! |---|---|
//! | `get`, `view`, `take` of one or several; `wait`, `as_completed` without a time-out | bodies known to be short; the first poll of an `async fn` that is known to be short and has never waited; of an actor, the getter's own calls up to the awaited one |
//! | the same, sixteen gets deep or more, or in a body while 64 workers wait | also bodies of definitions that were never seen long; otherwise a first recursion would take a thread for each level |
//! | the same, when no other thread can be had | all work that it waits for; a thread that runs no body also runs work that the monitor thread offers (`last_resort`) |
//! | the same, on a thread of another async runtime | nothing: a get inside the body would block that runtime |
//! | a wait with a time-out | nothing: the thread could not leave the body when the time is over |
//! | an await | the same as a `get`, without bodies that have ever waited themselves, and within a budget: see [`awaiting`] |
//!
//! A worker thread runs all other work. A definition that is known to be short stays so until one of its bodies is long.
//! That first long body may hold the thread of a getter, or of an async runtime, once.
//!
//! # Which work goes on meanwhile
//!
//! A body that waits lends its CPU. The engine uses that CPU in this order: for a body whose wait is over and that takes its CPU
//! back; for tasks that a thread waits for (`engine::awaited`); for other tasks. If bodies hold every CPU and block in the
//! operating system, an extra CPU is granted (`engine::extra_cpu`).
//!
//! # How settling wakes
//!
//! The settling thread first publishes the object, then tells its dependants and wakes the waiting threads and futures, in the
//! order in which they began to wait. Callbacks come last, on a thread of the engine. If a waiting body has lent its CPU, the
//! settling thread enters the claim for that CPU before it takes other work (`give_back`).
//!
//! # How a wait ends
//!
//! A wait ends when the object is settled. A cancellation of the object's task or a kill of its actor settles the object at once. A
//! wait also ends when the waiting body itself is cancelled or its actor is killed (`interrupt`), at its time-out, and at a
//! shutdown. A restart of an actor fails the running calls, unless they are retried; the calls in the mailbox wait for the new
//! instance. A wait in a body returns when the body has its CPU again.

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
use crate::engine::thread_state::{Frame, ThreadState};
use crate::object::entry::Header;

/// Returns an error if blocking here would stall other futures, or if gets nest too deeply.
#[inline]
pub(crate) fn may_block(state: &ThreadState, site: &'static Location<'static>) -> Result<()> {
    // A thread that runs no body may always block.
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
                "gets nest {DEEPEST} levels deep here, which is the limit: look for a recursion without an end; otherwise submit more tasks before you get their results, or use `async fn` and await"
            ),
        ));
    }
    Ok(())
}

/// The limit of nested gets: each level keeps a stack frame, and sometimes a thread.
const DEEPEST: u32 = 12_000;

/// The length of the chain of gets that wait for the running body.
#[inline]
pub(crate) fn depth_of(state: &ThreadState) -> u32 {
    state.frame().and_then(Frame::header).map_or(0, |header| header.get_depth().load(Ordering::Relaxed))
}

/// Records the depth of `target`, which the running body gets and which has begun or may begin now.
#[inline]
pub(crate) fn deepen(state: &ThreadState, target: &Header) {
    let depth = depth_of(state) + 1;
    if target.task().is_some() && target.get_depth().load(Ordering::Relaxed) < depth {
        target.get_depth().store(depth, Ordering::Relaxed);
    }
}
