//! A thread that waits runs the unstarted work that it waits for.

use crate::task::runner::Bodies;
use std::ptr::NonNull;

use crate::base::resources::UNITS;
use crate::call::spec::Spec;
use crate::engine::execute::execute;
use crate::engine::thread_state::{Outside, ThreadState};
use crate::engine::worker::{frame_of, frame_with};
use crate::object::entry::{Header, Hold};
use crate::object::state::Phase;
use crate::task::head::TaskHead;

/// So deep in nested gets, bodies of definitions that were never seen long are run here too: the first run of a recursion
/// would otherwise take a thread for each of its levels.
const DEEP: u32 = 16;
/// So do getters in bodies when so many workers wait in gets already: a recursion may be wide, too.
const CROWD: usize = 64;

/// Whether `bodies` include those of a definition.
#[inline]
pub(crate) fn include(bodies: Bodies, state: &ThreadState, spec: &Spec) -> bool {
    match bodies {
        Bodies::Short => spec.is_short() || (spec.was_never_long() && is_nested(state)),
        Bodies::Brief => spec.is_short() && !spec.waits(),
        Bodies::Any => true,
    }
}

/// Whether to spare a further thread: gets nest deep, or many wait.
#[cold]
fn is_nested(state: &ThreadState) -> bool {
    crate::engine::blocking::depth_of(state) >= DEEP
        || (state.frame().is_some() && state.engine.workers.blocked.load(std::sync::atomic::Ordering::Relaxed) >= CROWD)
}

/// Whether as much of this thread's stack is left as a body may use; otherwise work goes to another thread.
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
    // The engine's own threads are no part of a runtime, nor does one count that a body has entered (`world`); a user's thread
    // may be part of one, and a getter would block it.
    state.is_worker || bodies == Bodies::Brief || state.entered.get() || tokio::runtime::Handle::try_current().is_err()
}

/// Runs the task that makes `entry`, if it is unstarted and this thread may. `true`: something was run, look again.
#[inline]
pub(crate) fn run(state: &ThreadState, entry: NonNull<Header>, bodies: Bodies) -> bool {
    run_while(state, entry, bodies, &|| true)
}

/// As [`run`]; an actor's calls before the awaited one are run for as long as `goes_on`.
#[inline]
pub(crate) fn run_while(state: &ThreadState, entry: NonNull<Header>, bodies: Bodies, goes_on: &dyn Fn() -> bool) -> bool {
    // SAFETY: the getter has a ref.
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

/// As [`run`], of a task.
#[inline]
pub(crate) fn run_task(state: &ThreadState, entry: NonNull<Header>, bodies: Bodies) -> bool {
    // SAFETY: the getter has a ref (or a hold, of a part's producer).
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
        && !(extra.settings.resources.is_only_one_cpu() || extra.settings.resources.is_none())
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
                    // The monitor thread may have looked just now and seen nothing.
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
        let frame = frame_with(state, entry, spec);
        let hold = hold.map(Hold::into_entry).is_some();
        // SAFETY: claimed just now; the queue's hold if we have it, else the getter's ref outlives this.
        let run = || unsafe {
            execute(state, entry, hold, frame);
        };
        if state.timed.get() || crate::engine::blocking::world::is_wanted(state) { enclosed(state, run) } else { run() }
    }
    drop(lease);
    claimed
}

/// Runs a body inside another one whose time is taken, or where there is an async runtime to enter.
#[cold]
pub(crate) fn enclosed<R>(state: &ThreadState, run: impl FnOnce() -> R) -> R {
    let _outside = Outside::begin(state);
    let _world = crate::engine::blocking::world::enter(state);
    run()
}

/// Makes the future of an `async fn` and polls it once. It asks for no CPU unless told otherwise, so none is taken.
fn run_first_poll(state: &ThreadState, entry: NonNull<Header>, head: &TaskHead) -> bool {
    let free = head.extra().is_none_or(|extra| extra.settings.resources.is_none());
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
    // SAFETY: claimed just now; the getter's ref outlives this.
    unsafe { execute(state, entry, false, frame_of(state, entry)) };
    state.first_poll.set(false);
    true
}

/// Makes the future of an `async fn`, for the threads of the engine's async runtime, if there are any.
#[cold]
fn start_future(state: &ThreadState, entry: NonNull<Header>, head: &TaskHead) -> bool {
    let free = head.extra().is_none_or(|extra| extra.settings.resources.is_none());
    if !free || state.engine.started_tokio().is_none() || !head.header.state.claim() {
        return false;
    }
    // SAFETY: claimed just now; the getter's ref outlives this.
    enclosed(state, || unsafe { execute(state, entry, false, frame_of(state, entry)) });
    true
}

/// The CPU for a body that a getter runs, and what becomes of the CPU that the getter's own body holds meanwhile.
pub(crate) struct Lease<'a> {
    state: &'a ThreadState,
    /// Taken for the inner body, to be given back.
    taken: u64,
    /// Given up by the outer body, to be taken again.
    given: u64,
}

impl<'a> Lease<'a> {
    /// The outer body is blocked while the inner one runs, so one CPU passes from it to the other; more or less than
    /// that is not arranged here.
    #[inline(always)]
    pub(crate) fn take(state: &'a ThreadState, asks: u64, bodies: Bodies) -> Option<Self> {
        let held = state.cpu.get();
        // A short body that asks for none may as well run on the one that the outer body holds.
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
        if self.taken > 0 {
            // What the inner body held it may have lent and taken again; it has it now.
            self.state.cpu.set(0);
            crate::engine::claim::give_cpu(&self.state.engine, self.taken);
        }
        if self.given > 0 {
            crate::engine::blocking::give_back::take_again(self.state, self.given);
        }
    }
}
