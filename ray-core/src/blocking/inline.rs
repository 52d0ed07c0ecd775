//! A getter runs the unstarted work that it waits for.

use std::ptr::NonNull;

use crate::resources::UNITS;
use crate::store::entry::{Header, Kind};
use crate::store::state::Phase;
use crate::task::{TaskHead, execute};
use crate::thread::ThreadState;
use crate::worker::frame_of;

/// With less stack than this left, work goes to another thread, in bytes.
const ENOUGH_STACK: usize = 256 * 1024;

/// Whether this thread may run work at all.
pub(crate) fn thread_may(state: &ThreadState) -> bool {
    if stacker::remaining_stack().is_none_or(|left| left < ENOUGH_STACK) {
        return false;
    }
    // The engine's own threads are no part of a runtime; a user's thread may be.
    state.is_worker || tokio::runtime::Handle::try_current().is_err()
}

/// Runs the task that makes `entry`, if it is unstarted and this thread may; `short`: only if its bodies are known to
/// be short. `true`: something was run, look again.
#[inline]
pub(crate) fn run(state: &ThreadState, entry: NonNull<Header>, short: bool) -> bool {
    // SAFETY: the getter has a ref.
    let header = unsafe { entry.as_ref() };
    match header.vtable.kind {
        Kind::Task => run_task(state, entry, short),
        Kind::Call => crate::actor::steal::run(state, entry, short),
        Kind::Part => match crate::task::parts::producer(header) {
            Some(whole) if whole.vtable.kind == Kind::Call => crate::actor::steal::run(state, whole.entry(), short),
            Some(whole) => run_task(state, whole.entry(), short),
            None => false,
        },
        Kind::Put => false,
    }
}

#[inline]
fn run_task(state: &ThreadState, entry: NonNull<Header>, short: bool) -> bool {
    // SAFETY: the getter has a ref (or a hold, of a part's producer).
    let head = unsafe { TaskHead::of(entry) };
    let table = head.vtable();
    if head.header.phase() != Phase::Queued || table.is_async || (short && !table.spec.is_short()) {
        return false;
    }
    let asks = head.extra().map_or(UNITS, |extra| extra.settings.resources.cpu());
    if let Some(extra) = head.extra()
        && !(extra.settings.resources.is_only_one_cpu() || extra.settings.resources.is_none())
    {
        return false;
    }
    if !thread_may(state) {
        return false;
    }
    let Some(lease) = Lease::take(state, asks) else { return false };
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
                    state.deque.push(crate::thread::Job::new(job));
                    // The pulse may have looked just now and seen nothing.
                    state.engine.notify();
                }
                None
            }
        }
        None => None,
    };
    let claimed = head.header.state.claim();
    if claimed {
        super::deepen(state, &head.header);
        let frame = frame_of(state, entry);
        // SAFETY: claimed just now; the queue's hold if we have it, else the getter's ref outlives this.
        unsafe {
            match hold {
                Some(hold) => execute(state, hold.into_entry(), true, frame),
                None => execute(state, entry, false, frame),
            };
        }
    }
    drop(lease);
    claimed
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
    #[inline]
    pub(crate) fn take(state: &'a ThreadState, asks: u64) -> Option<Self> {
        let held = state.cpu.get();
        if held == asks {
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
            state.engine.give_cpu(held);
            return Some(Self { state, taken: 0, given: held });
        }
        None
    }
}

impl Drop for Lease<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.taken > 0 {
            // What the inner body held it may have lent and taken again; it has it now.
            self.state.cpu.set(0);
            self.state.engine.give_cpu(self.taken);
        }
        if self.given > 0 {
            super::park::take_again(self.state, self.given);
        }
    }
}
