//! How a waiting thread runs the unstarted work that it waits for. [`blocking`](crate::engine::blocking) has the policy.

use crate::task::runner::Bodies;
use std::ptr::NonNull;

use crate::base::resources::UNITS;
use crate::call::spec::Spec;
use crate::engine::execute::execute;
use crate::engine::thread_state::{Outside, ThreadState};
use crate::engine::worker::{frame_of, frame_with};
use crate::object::entry::{Header, Hold};
use crate::object::state::Phase;
use crate::task::head::{Class, TaskHead};

/// From this depth of nested gets on, a waiting thread also runs bodies of definitions that were never seen long. Otherwise the
/// first run of a recursion would take a thread for each of its levels.
const DEEP: u32 = 16;
/// Getters in bodies do the same when so many workers wait in gets, because a recursion may also be wide.
const CROWD: usize = 64;

/// Whether `bodies` includes those of this definition.
#[inline]
pub(crate) fn include(bodies: Bodies, state: &ThreadState, spec: &Spec) -> bool {
    match bodies {
        Bodies::Short => spec.is_short() || (spec.was_never_long() && is_nested(state)),
        Bodies::Brief => spec.is_short() && !spec.waits(),
        Bodies::Any => !spec.makes_stream(),
    }
}

/// Whether to avoid another thread: gets nest deeply, or many workers wait.
#[cold]
fn is_nested(state: &ThreadState) -> bool {
    crate::engine::blocking::depth_of(state) >= DEEP
        || (state.frame().is_some() && state.engine.workers.blocked.load(std::sync::atomic::Ordering::Relaxed) >= CROWD)
}

/// Whether this thread has as much stack left as a body may use. Otherwise another thread must run the work.
#[inline]
fn has_stack(state: &ThreadState) -> bool {
    stacker::remaining_stack().is_some_and(|left| left >= state.engine.settings.inline_stack)
}

/// Whether this thread may run work at all.
#[inline]
pub(crate) fn thread_may(state: &ThreadState, bodies: Bodies) -> bool {
    if !has_stack(state) {
        return false;
    }
    // A getter in the body would block the async runtime of this thread, if it has one. The engine's own threads belong to no
    // runtime, and a runtime that a body has entered (`world`) does not count; a user's thread may belong to one.
    state.is_worker || bodies == Bodies::Brief || state.entered.get() || tokio::runtime::Handle::try_current().is_err()
}

/// Runs the task that makes `entry`, if it has not started and this thread may run it. `true`: something was run.
#[inline]
pub(crate) fn run(state: &ThreadState, entry: NonNull<Header>, bodies: Bodies) -> bool {
    run_while(state, entry, bodies, &|| true)
}

/// Like [`run`]; an actor's calls before the awaited one are run only while `goes_on` returns true.
#[inline]
pub(crate) fn run_while(state: &ThreadState, entry: NonNull<Header>, bodies: Bodies, goes_on: &dyn Fn() -> bool) -> bool {
    // SAFETY: the getter has a ref to the entry, so it is alive.
    let header = unsafe { entry.as_ref() };
    let (entry, head) = match header.task() {
        Some(head) => (entry, head),
        None => match crate::object::part::producer(header).and_then(|whole| Some((whole.entry(), whole.task()?))) {
            Some(task) => task,
            None => return false,
        },
    };
    (head.vtable().kind.run_inline)(state.runner(), entry, bodies, goes_on)
}

/// Like [`run`], for a task.
#[inline]
pub(crate) fn run_task(state: &ThreadState, entry: NonNull<Header>, bodies: Bodies) -> bool {
    // SAFETY: the getter has a ref to the task, or to a part that has a hold on the task, so it is alive.
    let head = unsafe { TaskHead::of(entry) };
    let table = head.vtable();
    if head.header.phase() != Phase::Queued {
        return false;
    }
    let spec = table.definition();
    if !include(bodies, state, spec) {
        return false;
    }
    if table.is_async {
        return run_first_poll(state, entry, head) || (bodies == Bodies::Any && start_future(state, entry, head));
    }
    let asks = head.extra().map_or(UNITS, |extra| extra.settings.resources.cpu());
    if let Some(extra) = head.extra()
        && (!(extra.settings.resources.is_only_one_cpu() || extra.settings.resources.is_none())
            || extra.settings.in_group().is_some())
    {
        return false;
    }
    if !thread_may(state, bodies) {
        return false;
    }
    let Some(lease) = Lease::take(state, asks, bodies) else { return false };
    let mine = state.deque.pop();
    let hold = match mine {
        Some(job) => {
            let job = job.into_hold();
            if job.entry() == entry {
                Some(job)
            } else {
                if job.phase().is_settled() {
                    drop(job);
                } else {
                    state.deque.push(crate::engine::threads::Job::new(job));
                    // In between the monitor thread may have seen an empty deque.
                    crate::engine::queue::notify(&state.engine);
                }
                None
            }
        }
        None => None,
    };
    let claimed = head.header.state.claim();
    if claimed {
        crate::engine::blocking::deepen(state, &head.header);
        let hold = hold.map(Hold::into_entry).is_some();
        // SAFETY: this thread claimed the task above. `hold` says whether the hold of the queue is given away; otherwise the
        // getter's ref outlives this call.
        let run = || unsafe { execute(state, entry, hold, frame_with(state, entry, spec)) };
        if state.timed.get() || crate::engine::blocking::world::is_wanted(state) { enclosed(state, run) } else { run() }
    }
    drop(lease);
    claimed
}

/// Runs a body inside another one that is measured, or in the engine's async runtime.
#[cold]
pub(crate) fn enclosed<R>(state: &ThreadState, run: impl FnOnce() -> R) -> R {
    let _outside = Outside::begin(state);
    let _world = crate::engine::blocking::world::enter(state);
    run()
}

/// Makes the future of an `async fn` and polls it once. Only for a task without resources, so no CPU is taken.
fn run_first_poll(state: &ThreadState, entry: NonNull<Header>, head: &TaskHead) -> bool {
    let free = head.class() == Class::Free;
    if !free || head.vtable().definition().waits() || !has_stack(state) {
        return false;
    }
    let Ok(_world) = crate::engine::blocking::world::of_futures(state) else { return false };
    if !head.header.state.claim() {
        return false;
    }
    crate::engine::blocking::deepen(state, &head.header);
    let _outside = Outside::begin(state);
    state.first_poll.set(true);
    // SAFETY: this thread claimed the task above, and the getter's ref outlives this call.
    unsafe { execute(state, entry, false, frame_of(state, entry)) };
    state.first_poll.set(false);
    true
}

/// Makes the future of an `async fn` for the threads of the engine's async runtime, if it has been started.
#[cold]
fn start_future(state: &ThreadState, entry: NonNull<Header>, head: &TaskHead) -> bool {
    let free = head.class() == Class::Free;
    if !free || state.engine.started_tokio().is_none() || !head.header.state.claim() {
        return false;
    }
    // SAFETY: this thread claimed the task above, and the getter's ref outlives this call.
    enclosed(state, || unsafe { execute(state, entry, false, frame_of(state, entry)) });
    true
}

/// The CPU for a body that a getter runs. Meanwhile the getter's own body may have given its CPU up.
pub(crate) struct Lease<'a> {
    state: &'a ThreadState,
    /// The units that were taken for the inner body, and go back to the pool.
    taken: u64,
    /// The units that the outer body has given up, and takes again.
    given: u64,
}

impl<'a> Lease<'a> {
    /// The outer body is blocked while the inner one runs, so the inner body uses the same CPU. Other combinations are refused,
    /// except that an outer body without a CPU takes one and an inner body without a demand gives it up.
    #[inline(always)]
    pub(crate) fn take(state: &'a ThreadState, asks: u64, bodies: Bodies) -> Option<Self> {
        let held = state.cpu.get();
        // A short body without a demand may run on the CPU of the outer body, which costs less than giving it up.
        if held == asks || (asks == 0 && bodies != Bodies::Any) {
            return Some(Self { state, taken: 0, given: 0 });
        }
        if held == 0 {
            if !state.engine.cpu.take(asks) {
                return None;
            }
            state.cpu.set(asks);
            return Some(Self { state, taken: asks, given: 0 });
        }
        if asks == 0 && state.seat.get().is_some() {
            // The CPU of a bundle stays with the thread; waits of the inner body lend it.
            return Some(Self { state, taken: 0, given: 0 });
        }
        if asks == 0 {
            state.cpu.set(0);
            crate::engine::claim::give_cpu(&state.engine, held);
            return Some(Self { state, taken: 0, given: held });
        }
        None
    }
}

impl Drop for Lease<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.taken > 0 || self.given > 0 {
            self.swap_back();
        }
    }
}

impl Lease<'_> {
    #[inline(never)]
    fn swap_back(&self) {
        if self.taken > 0 {
            // The inner body may have lent this CPU and taken it again; it has it now.
            self.state.cpu.set(0);
            crate::engine::claim::give_cpu(&self.state.engine, self.taken);
        }
        if self.given > 0 {
            crate::engine::blocking::give_back::take_again(self.state, self.given);
        }
    }
}
