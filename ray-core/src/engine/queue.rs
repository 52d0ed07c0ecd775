//! The queues of tasks that are ready to run.

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

/// Called when all arguments of a task are ready.
pub(super) fn ready(task: Hold) {
    match thread::of(task.epoch) {
        Ok(state) => ready_on(state, task),
        Err(_) => {
            // The engine has ended, so a reference to the result could not be read either.
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
            // A body may wait for this task, directly or through another task. So it goes before new tasks, as its arguments did.
            state.engine.awaited.enter(&task, Getter::InABody);
        }
        enqueue(state, task, class);
    }
}

/// Queues another attempt of a task.
pub(super) fn requeue(state: &ThreadState, task: Hold) {
    let Some(class) = task.task().map(TaskHead::class) else { return };
    enqueue(state, task, class);
}

/// Puts a task into the queue of its class.
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

/// Wakes the monitor thread if it rests; called after work was queued.
#[inline]
pub(crate) fn notify(engine: &Engine) {
    if engine.monitor.must_be_woken() {
        crate::engine::monitor::wake(engine);
    }
}

/// Returns this worker's batch of CPU-free work to the queue; called before the worker blocks or idles.
#[inline]
pub(crate) fn give_batch_back(state: &ThreadState) {
    if let Some(batch) = &state.batch
        && state.engine.free.give_back(batch)
    {
        notify(&state.engine);
    }
}
