//! Awaits: the polling thread runs the awaited work if that is known to be short.
//!
//! A thread of an async runtime must not be held for long. So an await runs only bodies that are known to be short and never wait
//! ([`Bodies::Brief`]), and polls an `async fn` once under the same condition. All other work goes to a worker thread, at the price
//! of two wakes.
//!
//! # The budget
//!
//! 1. The work that the awaits of one thread run without a pause is a *burst*.
//! 2. If [`BURST`] has passed since the burst began, an await wakes its own task and returns `Pending`, so that other futures of
//!    the thread have their turn. It does so also between two queued calls of an actor.
//! 3. A burst also ends when the thread did something else for [`PAUSE`]: most likely it has returned to its executor. The end of
//!    the last work is estimated from the mean of its definition, which costs less than reading the clock.
//! 4. On a thread of tokio each await that runs work also takes a unit of the task's cooperative budget.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::engine::awaited::Getter;
use crate::engine::blocking::inline;
use crate::engine::thread_state::ThreadState;
use crate::object::entry::Header;
use crate::object::state::Phase;
use crate::task::runner::Bodies;

/// The awaits of one thread run work for this long before other futures have their turn.
const BURST: Duration = Duration::from_micros(100);
/// A thread whose awaits ran nothing for this long begins a new burst.
const PAUSE: Duration = Duration::from_micros(20);
/// The clock is read after so many calls of an actor, or after each call if they take a microsecond or more.
const CALLS: u32 = 8;

/// The result of [`help`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Helped {
    /// Work was run; the caller looks at the object again.
    Ran,
    /// The budget is spent and the task has been woken; the caller returns `Pending`.
    Yield,
    /// There is nothing for this thread to run.
    Nothing,
}

/// Runs the awaited work if this thread may run it.
#[inline]
pub(crate) fn help(state: &ThreadState, entry: NonNull<Header>, context: &mut Context<'_>) -> Helped {
    // SAFETY: the await has a ref to the entry, so it is alive.
    let header = unsafe { entry.as_ref() };
    if header.phase() != Phase::Queued && header.vtable.kind != crate::object::kind::Kind::Part {
        return Helped::Nothing;
    }
    let now = Instant::now();
    let began = match state.burst.get() {
        Some((began, ended)) if now.saturating_duration_since(ended) < PAUSE => began,
        _ => now,
    };
    if now.duration_since(began) >= BURST {
        return give_way(state, context);
    }
    let Poll::Ready(budget) = tokio::task::coop::poll_proceed(context) else {
        state.burst.set(None);
        return Helped::Yield;
    };
    let mean = header.task().map_or(Duration::ZERO, |head| head.vtable().definition().mean());
    let every = if mean < BURST / 100 { CALLS } else { 1 };
    let calls = Cell::new(0u32);
    let goes_on = || {
        calls.set(calls.get() + 1);
        !calls.get().is_multiple_of(every) || began.elapsed() < BURST
    };
    if !inline::run_while(state, entry, Bodies::Brief, &goes_on) {
        return Helped::Nothing;
    }
    budget.made_progress();
    state.burst.set(Some((began, now + mean * calls.get().max(1))));
    if calls.get() > 0 && !header.phase().is_settled() && began.elapsed() >= BURST {
        return give_way(state, context);
    }
    Helped::Ran
}

/// Ends the burst, and lets other tasks be polled before this one. `yield_now` of tokio also lets the runtime look at timers and
/// I/O first; a task that wakes itself would be polled many times before that.
#[cold]
fn give_way(state: &ThreadState, context: &mut Context<'_>) -> Helped {
    state.burst.set(None);
    if pin!(tokio::task::yield_now()).poll(context).is_ready() {
        context.waker().wake_by_ref();
    }
    Helped::Yield
}

/// Makes a worker begin the awaited work soon; for an await that is about to return `Pending`.
#[cold]
pub(crate) fn hand_over(state: &ThreadState, entry: NonNull<Header>) {
    let getter = if state.frame().is_some() { Getter::InABody } else { Getter::Outside };
    // SAFETY: the await has a ref to the entry, so it is alive.
    state.engine.awaited.enter_once(unsafe { entry.as_ref() }, getter);
    crate::engine::wake::kick(&state.engine);
    if state.engine.has_no_worker() {
        crate::engine::blocking::last_resort::help_an_await(state, entry);
    }
}
