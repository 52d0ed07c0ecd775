//! The worker threads: how they find work, idle, and are woken.
//!
//! A worker that holds a CPU lease runs tasks from its own deque, the injector and the deques of other threads; a worker without a
//! lease runs CPU-free work only. A worker that finds nothing gives its lease back, enters the idle list, looks once more, and
//! parks. A submitting thread does not wake a worker; it wakes the [`monitor`](crate::engine::monitor) thread if that rests. A
//! thread that is about to wait for the work wakes a worker at once (`engine::wake::kick`).
//!
//! # Rules of idling
//!
//! 1. A worker first enters the idle list, then looks at the queues again. A thread that queues work does so before it or the
//!    monitor thread looks for an idle worker. So one of the two sees the other. A surplus worker does not look again: running
//!    workers and the monitor thread find the work.
//! 2. Either the worker removes itself from the list or the waking thread does, under the lock of the list. A waking thread also
//!    sets `woken` and counts the worker in `Workers::waking`; the worker subtracts itself when it is awake.
//! 3. A parked worker continues only if `woken` is set, if the engine has ended, or if it is spare and has removed itself.

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
use crate::engine::{claim, group_claim};
use crate::object::entry::{Header, Hold};
use crate::task::head::TaskHead;

/// An idle worker ends after this time if there are more workers than `Resolved::workers`.
const LINGER: Duration = Duration::from_secs(1);
/// In one of so many turns a worker looks into other queues before its own deque, so that tasks of the deque cannot starve the
/// others.
const ELSEWHERE_EVERY: u32 = 61;
/// In one of so many turns tasks come before CPU-free work.
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
            // Every body sees the async runtime once it has been started; see `blocking::world`.
            world = Some(runtime.enter());
            state.entered.set(true);
        }
        if engine.workers.surplus.load(Ordering::Relaxed) > 0 && engine.workers.surplus.swap(0, Ordering::Relaxed) > 0 {
            // There are more running workers than CPUs. This one idles although there may be work: the others run it, or the
            // monitor thread wakes a worker for it.
            if !idle(state, true) {
                break;
            }
        }
        // A worker that has just been woken looks for tasks first, since a task may be the reason.
        if let Some((work, is_awaited)) = find(state, turn, fresh) {
            if std::mem::take(&mut fresh) {
                // Each woken worker wakes the next one, so that a burst of work does not have to wait for the monitor thread.
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
    // The thread's state is dropped when the thread ends. Only then is the worker subtracted from the count, so a shutdown waits
    // until the last jobs of the thread are drained.
}

enum Work {
    Task(Hold),
    Free(FreeJob),
}

fn release_lease(state: &ThreadState) {
    let held = state.cpu.replace(0);
    crate::engine::claim::give_cpu(&state.engine, held);
}

/// Finds work. `true` with it: it was taken from the awaited queue, and its place in an ordinary queue still exists.
fn find(state: &ThreadState, turn: u32, fresh: bool) -> Option<(Work, bool)> {
    // CPU-free work comes first because it is cheap to see that there is none; a search for tasks looks at all deques. If there is
    // much of both, the monitor thread adds workers.
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
    // CPU-free work needs no CPU, so the worker gives its CPU to other threads.
    release_lease(state);
    Some(Work::Free(job))
}

fn find_awaited(state: &ThreadState) -> Option<Work> {
    if !take_lease(state) {
        return None;
    }
    state.engine.awaited.take().map(Work::Task)
}

/// Makes this thread hold one CPU. `false`: no CPU is free, or claims come first.
fn take_lease(state: &ThreadState) -> bool {
    let engine = &*state.engine;
    if state.cpu.get() > 0 && engine.cpu.is_claimed() {
        // Claims are served in order. This worker gives its CPU to them, and then asks for one like any other.
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

/// Steals a task from another queue, and possibly further tasks of that queue into this thread's deque. Between the two queues the
/// further tasks are invisible, so the monitor thread could miss them in its last look before it rests, and a shutdown when it
/// drains the queues. The notification afterwards makes up for that.
#[inline(never)]
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
            // `is_empty` first: a steal is expensive when gets nest deeply and there are thousands of threads with empty deques.
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

/// The jobs of the free queue that are tasks.
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
                // SAFETY: `into_raw` made the pointer of a hold, and the caller uses the pointer once.
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
    /// A task without a resource demand.
    Free false run_task;
    /// A task whose resources have been granted.
    Granted true run_granted;
    /// A task for one CPU that has been taken for it.
    Leased false run_leased;
}

#[inline]
fn run_task(state: &ThreadState, task: Hold) {
    if task.state.claim() {
        let frame = frame_of(state, task.entry());
        // SAFETY: this thread claimed the task above, and gives the hold of the queue away.
        unsafe { execute(state, task.into_entry(), true, frame) };
    } else {
        state.engine.workers.in_vain.fetch_add(1, Ordering::Relaxed);
    }
}

fn run_granted(state: &ThreadState, task: Hold) {
    let Some(head) = task.task() else { return };
    if !task.state.claim() {
        // The task was cancelled while it waited: its resources go back.
        crate::engine::execute::give_back(&state.engine, head);
        return;
    }
    let cpu = head.extra().map_or(0, |extra| extra.settings.resources.cpu());
    let seat = group_claim::id_of(head).and_then(|group| group_claim::seat(&state.engine, group, claim::key_of(head).0));
    let frame = frame_of(state, task.entry());
    // The thread holds the granted CPU, so that a get in the body can lend it. `execute` gives all granted resources back at the
    // end.
    let outer = state.hold(cpu, seat);
    // SAFETY: this thread claimed the task above, and gives the hold of the queue away.
    unsafe { execute(state, task.into_entry(), true, frame) };
    state.hold_again(outer);
}

/// Runs a task whose CPU has been taken before.
fn run_leased(state: &ThreadState, task: Hold) {
    state.cpu.set(UNITS);
    run_task(state, task);
    release_lease(state);
}

/// Runs one unit of queued work on a thread that is not a worker, when no worker can be started. `true`: something was run.
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

/// Runs a task with an extra CPU (`engine::extra_cpu`) on a thread that is not a worker and runs no body.
pub(crate) fn run_overdrawn(state: &ThreadState, task: Hold) {
    state.engine.cpu.overdraw(UNITS);
    state.engine.extra_cpus.fetch_add(1, Ordering::Relaxed);
    state.cpu.set(UNITS);
    run_task(state, task);
    release_lease(state);
}

/// The frame of a task that is about to run on this thread.
pub(crate) fn frame_of(state: &ThreadState, entry: NonNull<Header>) -> Frame {
    // SAFETY: the caller has claimed the entry, so the entry is a task or a call, and alive.
    let head = unsafe { TaskHead::of(entry) };
    frame_with(state, entry, head.vtable().definition())
}

/// Like [`frame_of`], for a definition that the caller knows.
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

/// Waits until the worker is woken, also (`anyway`) if there is work now. `false`: the worker ends.
fn idle(state: &ThreadState, anyway: bool) -> bool {
    state.shared.away.store(true, Ordering::Relaxed);
    let goes_on = park(state, anyway);
    state.shared.away.store(false, Ordering::Relaxed);
    goes_on
}

/// The part of [`idle`] during which the thread is marked as away.
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
            // Enough other workers have ended first.
            return true;
        }
    }
}

/// Removes this worker from the idle list. `false`: another thread has removed it, to wake it.
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
