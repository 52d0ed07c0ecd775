//! The queues: where a task goes when it is ready to run.

use crate::engine::awaited::Getter;
use crate::engine::claim::claim;
use crate::engine::engine::Engine;
use crate::engine::free_job::FreeJob;
use crate::engine::thread;
use crate::engine::thread_state::ThreadState;
use crate::engine::threads::Job;
use crate::engine::worker::Free;
use crate::object::entry::Hold;
use crate::object::state::Phase;
use crate::task::head::{Class, TaskHead};

/// All arguments of a task are ready.
pub(super) fn ready(task: Hold) {
    match thread::of(task.epoch) {
        Ok(state) => ready_on(state, task),
        Err(_) => {
            // No reference to its result is of use without the engine.
            task.abort(crate::base::epoch::gone("the task had not started"));
        }
    }
}

pub(super) fn ready_on(state: &ThreadState, task: Hold) {
    let Some(head) = task.task() else { return };
    let class = head.class();
    task.tell_ready();
    if task.state.step(Phase::Waiting, Phase::Queued) {
        if class == Class::OneCpu && crate::engine::blocking::interrupt::some_wait() && task.state.load().has_waiters() {
            // A body may wait for it, or for what waits for it: it goes before fresh work, as its arguments did.
            state.engine.awaited.enter(&task, Getter::InABody);
        }
        enqueue(state, task, class);
    }
}

/// Another attempt of a task.
pub(super) fn requeue(state: &ThreadState, task: Hold) {
    let Some(class) = task.task().map(TaskHead::class) else { return };
    enqueue(state, task, class);
}

/// Puts a task in the queue of its class.
#[inline]
pub(super) fn enqueue(state: &ThreadState, task: Hold, class: Class) {
    match class {
        Class::OneCpu => {
            state.deque.push(Job::new(task));
            notify(&state.engine);
        }
        Class::Free => {
            queue_free(&state.engine, FreeJob::of(Free(Job::new(task))));
        }
        Class::Shaped => claim(&state.engine, task),
    }
}

/// Queues CPU-free work.
#[inline]
pub(crate) fn queue_free(engine: &Engine, job: FreeJob) {
    engine.free.push(job);
    notify(engine);
}

/// There is new work: makes sure that the monitor thread goes.
#[inline]
pub(crate) fn notify(engine: &Engine) {
    if engine.monitor.is_roused_by_work() {
        crate::engine::monitor::rouse(engine);
    }
}

/// This worker is about to block or to idle: the CPU-free work that it has taken and not begun is for others.
#[inline]
pub(crate) fn give_batch_back(state: &ThreadState) {
    if let Some(batch) = &state.batch
        && state.engine.free.give_back(batch)
    {
        notify(&state.engine);
    }
}
