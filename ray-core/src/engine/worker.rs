//! The threads that run work: finding it, idling, being woken.
//!
//! A worker that holds a CPU lease runs tasks from its own deque, the injector and other threads' deques; any worker
//! runs CPU-free work. It goes idle when it finds nothing: it gives its lease back, enters the idle list, looks once
//! more, and parks. A submitting thread wakes the monitor thread ([`monitor`](crate::engine::monitor)) if that rests, and no worker; a thread that is about to
//! wait for the work wakes a worker at once ([`Engine::kick`]).

use crate::task::runner::Runner;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_deque::Steal;

use crate::base::resources::UNITS;
use crate::call::spec::Spec;
use crate::engine::engine::Engine;
use crate::engine::execute::execute;
use crate::engine::free_job::{FreeJob, FreeWork, Leftovers};
use crate::engine::thread::attach_worker;
use crate::engine::thread_state::{Frame, ThreadState};
use crate::engine::threads::{Job, Shared};
use crate::object::entry::{Header, Hold};
use crate::task::head::TaskHead;

/// Idle workers beyond one a CPU end after this time.
const LINGER: Duration = Duration::from_secs(1);
/// Every so many turns a worker looks elsewhere before it looks in its own deque, so that nothing there can starve others.
const ELSEWHERE_EVERY: u32 = 61;
/// Every so many turns tasks come before CPU-free work.
const TASKS_FIRST_EVERY: u32 = 8;

pub(super) fn run(engine: Arc<Engine>) {
    let Ok(state) = attach_worker(Arc::clone(&engine)) else {
        engine.workers.waking.fetch_sub(1, Ordering::SeqCst);
        engine.workers.count.fetch_sub(1, Ordering::SeqCst);
        return;
    };
    engine.workers.waking.fetch_sub(1, Ordering::SeqCst);
    let mut turn: u32 = 0;
    let mut fresh = true;
    let mut world = None;
    while engine.is_live() {
        turn = turn.wrapping_add(1);
        if world.is_none()
            && let Some(runtime) = engine.started_tokio()
        {
            // See `blocking::world`.
            world = Some(runtime.enter());
            state.entered.set(true);
        }
        if engine.workers.surplus.load(Ordering::Relaxed) > 0 && engine.workers.surplus.swap(0, Ordering::Relaxed) > 0 {
            // Others see to the work, and the monitor thread to them.
            if !idle(state, true) {
                break;
            }
        }
        // A fresh one was perhaps woken for a task.
        if let Some((work, is_awaited)) = find(state, turn, fresh) {
            if std::mem::take(&mut fresh) {
                // One wakes the next, so that a burst does not have to wait for the monitor thread.
                let taken = usize::from(is_awaited);
                if !engine.free.is_empty() || (engine.cpu.has_one() && engine.has_cpu_work_beyond(taken)) {
                    crate::engine::wake::kick(&engine);
                }
            }
            run_work(state, work);
            state.shared.count_turn();
            continue;
        }
        if !idle(state, false) {
            break;
        }
        fresh = true;
    }
    drop(world);
    release_lease(state);
    // The state leaves with the thread: until then the worker counts, so that a shutdown waits for what it still drains.
}

enum Work {
    Task(Hold),
    Free(FreeJob),
}

fn release_lease(state: &ThreadState) {
    let held = state.cpu.replace(0);
    crate::engine::claim::give_cpu(&state.engine, held);
}

/// Work, and whether it was taken as awaited work, whose place in an ordinary queue is still there.
fn find(state: &ThreadState, turn: u32, fresh: bool) -> Option<(Work, bool)> {
    // To see that no CPU-free work waits is cheap, to look for tasks is not; where both abound the monitor thread adds workers.
    if !state.engine.awaited.is_empty()
        && let Some(work) = find_awaited(state)
    {
        return Some((work, true));
    }
    let work = if fresh || turn.is_multiple_of(TASKS_FIRST_EVERY) {
        find_task(state, turn).or_else(|| find_free(state))
    } else {
        find_free(state).or_else(|| find_task(state, turn))
    };
    work.map(|work| (work, false))
}

fn find_free(state: &ThreadState) -> Option<Work> {
    let (job, more) = state.engine.free.take(state.batch.as_ref()?)?;
    if more {
        crate::engine::queue::notify(&state.engine);
    }
    // CPU-free work holds no CPU, so that others may have it.
    release_lease(state);
    Some(Work::Free(job))
}

fn find_awaited(state: &ThreadState) -> Option<Work> {
    if !take_lease(state) {
        return None;
    }
    state.engine.awaited.take().map(Work::Task)
}

/// Has this thread hold one CPU, unless somebody else comes first.
fn take_lease(state: &ThreadState) -> bool {
    let engine = &*state.engine;
    if state.cpu.get() > 0 && engine.cpu.is_claimed() {
        // Those who came first take what we hold; we line up again.
        release_lease(state);
        crate::engine::claim::serve_claims(engine);
    }
    if state.cpu.get() == 0 {
        if !engine.cpu.take(UNITS) {
            return false;
        }
        state.cpu.set(UNITS);
    }
    true
}

fn find_task(state: &ThreadState, turn: u32) -> Option<Work> {
    if !take_lease(state) {
        return None;
    }
    let elsewhere = turn.is_multiple_of(ELSEWHERE_EVERY);
    let job = if elsewhere {
        steal(state, turn).or_else(|| state.deque.pop())
    } else {
        state.deque.pop().or_else(|| steal(state, turn))
    };
    match job {
        Some(job) => Some(Work::Task(job.into_hold())),
        None => {
            release_lease(state);
            None
        }
    }
}

/// A task of another queue. Further tasks of that queue may move into this thread's own, where every thread sees them. In between
/// they are in no queue: the monitor thread's last look before it rests, or the look of a shutdown, can miss them.
fn steal(state: &ThreadState, turn: u32) -> Option<Job> {
    let job = steal_some(state, turn);
    if job.is_some() && !state.deque.is_empty() {
        crate::engine::queue::notify(&state.engine);
    }
    job
}

fn steal_some(state: &ThreadState, turn: u32) -> Option<Job> {
    let engine = &*state.engine;
    loop {
        let mut again = false;
        match engine.injector.steal_batch_and_pop(&state.deque) {
            Steal::Success(job) => return Some(job),
            Steal::Retry => again = true,
            Steal::Empty => {}
        }
        let mut found = None;
        engine.threads.walk(turn as usize, |shared, stealer| {
            // Looked at before: a steal is dear where gets nest deep, with thousands of threads of which none has anything.
            if Arc::ptr_eq(shared, &state.shared) || stealer.is_empty() {
                return false;
            }
            match stealer.steal_batch_and_pop(&state.deque) {
                Steal::Success(job) => found = Some(job),
                Steal::Retry => again = true,
                Steal::Empty => {}
            }
            found.is_some()
        });
        if found.is_some() || !again {
            return found;
        }
    }
}

#[inline(always)]
fn run_work(state: &ThreadState, work: Work) {
    match work {
        Work::Task(task) => run_task(state, task),
        Work::Free(job) => job.run(state.runner()),
    }
}

/// The three ways in which a task is queued here.
macro_rules! tasks {
    ($($(#[$doc:meta])* $name:ident $granted:literal $run:path;)*) => {$(
        $(#[$doc])*
        pub(crate) struct $name(pub(crate) Job);

        impl FreeWork for $name {
            const GRANTED: bool = $granted;

            #[inline]
            fn into_raw(self) -> NonNull<()> {
                self.0.into_hold().into_entry().cast()
            }

            #[inline]
            unsafe fn from_raw(data: NonNull<()>) -> Self {
                // SAFETY: the caller's promise; it was made of a hold.
                Self(Job::new(unsafe { Hold::adopt(data.cast::<Header>()) }))
            }

            #[inline]
            fn run(self, runner: Runner<'_>) {
                $run(ThreadState::of(runner), self.0.into_hold());
            }

            fn abandon(self, left: &mut Leftovers) {
                left.tasks.push(self.0.into_hold());
            }
        }
    )*};
}
tasks! {
    /// A task that asks for nothing.
    Free false run_task;
    /// A task that was granted what it asked for.
    Granted true run_granted;
    /// A task for one CPU, which is taken for it already.
    Leased false run_leased;
}

#[inline]
fn run_task(state: &ThreadState, task: Hold) {
    if task.state.claim() {
        let frame = frame_of(state, task.entry());
        // SAFETY: claimed just now; the queue's hold goes along.
        unsafe { execute(state, task.into_entry(), true, frame) };
    } else {
        state.engine.workers.in_vain.fetch_add(1, Ordering::Relaxed);
    }
}

fn run_granted(state: &ThreadState, task: Hold) {
    let Some(head) = task.task() else { return };
    if !task.state.claim() {
        // Cancelled while it waited: what it was granted goes back.
        crate::engine::execute::give_back(&state.engine, head);
        return;
    }
    let cpu = head.extra().map_or(0, |extra| extra.settings.resources.cpu());
    let frame = frame_of(state, task.entry());
    // What the task was granted is what a blocking get inside it gives back for a while; `execute` gives it back in the end.
    state.cpu.set(cpu);
    // SAFETY: claimed just now; the queue's hold goes along.
    unsafe { execute(state, task.into_entry(), true, frame) };
    state.cpu.set(0);
}

/// A task whose CPU was taken before.
fn run_leased(state: &ThreadState, task: Hold) {
    state.cpu.set(UNITS);
    run_task(state, task);
    release_lease(state);
}

/// Runs one unit of queued work on a thread that is no worker, where none can be had. `true`: something was run.
pub(crate) fn run_one_here(state: &ThreadState) -> bool {
    if state.engine.cpu.is_claimed() {
        crate::engine::claim::serve_claims(&state.engine);
    }
    let held = state.cpu.get();
    let work = state.engine.free.take_any().map(Work::Free).or_else(|| find_awaited(state)).or_else(|| find_task(state, 0));
    let found = work.is_some();
    if let Some(work) = work {
        if held == 0 && matches!(work, Work::Free(_)) {
            release_lease(state);
        }
        run_work(state, work);
    }
    if held == 0 {
        release_lease(state);
    }
    found
}

/// Runs a task on a thread that is no worker and runs no body, with a CPU beyond those that there are.
pub(crate) fn run_overdrawn(state: &ThreadState, task: Hold) {
    state.engine.cpu.overdraw(UNITS);
    state.engine.extra_cpus.fetch_add(1, Ordering::Relaxed);
    state.cpu.set(UNITS);
    run_task(state, task);
    release_lease(state);
}

/// The frame of a task that is about to run on this thread.
pub(crate) fn frame_of(state: &ThreadState, entry: NonNull<Header>) -> Frame {
    // SAFETY: the caller has claimed the entry, a task or a call.
    let head = unsafe { TaskHead::of(entry) };
    frame_with(state, entry, head.vtable().definition())
}

/// As [`frame_of`], of a definition that the caller knows.
#[inline]
pub(crate) fn frame_with(state: &ThreadState, entry: NonNull<Header>, spec: &'static Spec) -> Frame {
    Frame {
        below: state.frame.get(),
        entry: Some(entry),
        actor: None,
        spec,
        caller: std::cell::Cell::new(0),
        is_async: false,
        crashed: std::cell::Cell::new(false),
    }
}

/// Waits for work, or (`anyway`) to be wanted though there is some; `false`: the worker ends.
fn idle(state: &ThreadState, anyway: bool) -> bool {
    state.shared.away.store(true, Ordering::Relaxed);
    let goes_on = park(state, anyway);
    state.shared.away.store(false, Ordering::Relaxed);
    goes_on
}

/// As [`idle`], while the monitor thread knows that it is away.
fn park(state: &ThreadState, anyway: bool) -> bool {
    let engine = &*state.engine;
    release_lease(state);
    crate::engine::queue::give_batch_back(state);
    let me = &state.shared;
    me.woken.store(false, Ordering::Relaxed);
    engine.workers.idle.lock().push(Arc::clone(me));
    engine.workers.idle_count.fetch_add(1, Ordering::SeqCst);
    let something = || !engine.free.is_empty() || (engine.cpu.has_one() && engine.has_cpu_work());
    if (!anyway && something()) || !engine.is_live() {
        if leave_idle(engine, me) {
            return true;
        }
        engine.workers.waking.fetch_sub(1, Ordering::SeqCst);
        return true;
    }
    loop {
        let spare = engine.workers.count.load(Ordering::Relaxed) > engine.settings.workers;
        if spare {
            std::thread::park_timeout(LINGER);
        } else {
            std::thread::park();
        }
        if me.woken.load(Ordering::Acquire) {
            engine.workers.waking.fetch_sub(1, Ordering::SeqCst);
            return true;
        }
        if !engine.is_live() {
            leave_idle(engine, me);
            return false;
        }
        if spare && leave_idle(engine, me) {
            if engine.workers.count_out_a_spare(engine.settings.workers) {
                state.counted_out.set(true);
                return false;
            }
            // Others that were spare with it have left first.
            return true;
        }
    }
}

/// Takes this worker off the idle list; `false`: another thread has woken it.
fn leave_idle(engine: &Engine, me: &Arc<Shared>) -> bool {
    let mut idle = engine.workers.idle.lock();
    let before = idle.len();
    idle.retain(|other| !Arc::ptr_eq(other, me));
    let left = idle.len() < before;
    if left {
        engine.workers.idle_count.fetch_sub(1, Ordering::SeqCst);
    }
    left
}
