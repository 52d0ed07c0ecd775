//! The end of an engine.
//!
//! The steps of a shutdown, in this order:
//!
//! 1. The epoch changes (`engine::retire`): from now on every entry and handle of the engine is stale, and no body can submit.
//! 2. An executor is shut down. The queues are closed: a thread that still queues work drains it itself (see
//!    [`monitor_state`](crate::sched::monitor_state)).
//! 3. All waiting threads and futures are woken, and find that the engine has ended.
//! 4. Queued work fails, the async runtime is closed, and the remaining callbacks are started.
//! 5. The shutdown waits, for the grace period at most, until the running bodies and the engine's threads have ended. The threads
//!    of the bodies that remain end when those do, and drop what they hold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_deque::Steal;

use crate::base::epoch::gone;
use crate::engine::engine::{Engine, Start};
use crate::engine::free_job::Leftovers;
use crate::engine::{callbacks, group_claim, thread};

/// Ends an engine that `retire` has taken out. Returns the names of the bodies that still run after the grace period.
pub(crate) fn end(engine: Arc<Engine>) -> Vec<String> {
    if let Some(executor) = &engine.executor {
        executor.shutdown();
    }
    engine.monitor.close();
    wake_everybody(&engine);
    drain(&engine);
    engine.async_runtime.close();
    callbacks::end(&engine);
    let end = Instant::now() + engine.settings.shutdown_grace;
    let mut pause = Duration::from_micros(50);
    while !(has_ended(&engine) && callbacks::are_over(engine.epoch)) && Instant::now() < end {
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
    drain(&engine);
    crate::base::unread::log_unread();
    let left = engine.running_bodies();
    drop(engine);
    thread::free_former();
    left
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A submitting thread may have queued work after the shutdown drained the queues.
        drain(self);
    }
}

fn wake_everybody(engine: &Engine) {
    engine.monitor.wake();
    engine.threads.walk(0, |shared, _| {
        shared.thread.unpark();
        false
    });
    crate::object::future_waiter::wake_all(engine.epoch);
}

/// Takes all queued work out, and fails it.
pub(crate) fn drain(engine: &Engine) {
    let mut jobs = Vec::new();
    loop {
        match engine.injector.steal() {
            Steal::Success(job) => jobs.push(job),
            Steal::Empty => break,
            Steal::Retry => {}
        }
    }
    engine.threads.walk(0, |_, stealer| {
        loop {
            match stealer.steal() {
                Steal::Success(job) => jobs.push(job),
                Steal::Empty => break,
                Steal::Retry => {}
            }
        }
        false
    });
    let mut tasks: Vec<_> = jobs.into_iter().map(crate::engine::threads::Job::into_hold).collect();
    tasks.extend(engine.calls.take_task_back(Instant::now()));
    let mut free = Vec::new();
    while let Some(job) = engine.free.take_any() {
        free.push(job);
    }
    engine.awaited.close();
    let starts = engine.claims.lock().claims.drain();
    tasks.extend(starts.into_iter().filter_map(|start| match start {
        Start::Work(task) => Some(task),
        Start::Group(_) => None,
    }));
    tasks.extend(group_claim::drain(engine));
    let mut left = Leftovers::default();
    free.into_iter().for_each(|job| job.abandon(&mut left));
    tasks.append(&mut left.tasks);
    for task in tasks {
        task.state.set_seen();
        task.abort(gone("the task had not started"));
        if let Some(head) = task.task() {
            (head.vtable().kind.dependency_failed)(head);
        }
    }
    if let Some(attached) = engine.attached.get() {
        attached.end();
    }
    callbacks::run_late(engine.me.upgrade().as_ref(), left.callbacks);
}

/// Whether no body runs any more, and no thread of the engine is left.
fn has_ended(engine: &Engine) -> bool {
    use std::sync::atomic::Ordering::SeqCst;
    engine.workers.count.load(SeqCst) == 0
        && engine.workers.leaving.load(SeqCst) == 0
        && !engine.monitor.is_there()
        && engine.async_runtime.threads() == 0
        && engine.futures.is_empty()
        && engine.running_bodies().is_empty()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::base::config::Config;
    use crate::base::resources::Resources;
    use crate::call::arg::Closure;
    use crate::call::flatten::Whole;
    use crate::engine::claim::claim;
    use crate::engine::free_job::FreeJob;
    use crate::engine::task_cell::{ClosureBody, TaskCell};
    use crate::engine::threads::Job;
    use crate::engine::worker::{Free, Granted};
    use crate::object::entry::Hold;
    use crate::object::object_ref::ObjectRef;
    use crate::object::state::Phase;
    use crate::sched::claims::{Key, Shape, Term};
    use crate::task::head::Extra;

    /// An epoch that no engine of this process has.
    const EPOCH: u32 = u32::MAX;

    /// An engine after all steps of its shutdown: work that is queued now comes too late.
    fn ended() -> Arc<Engine> {
        let engine = Engine::new(EPOCH, Config::new().num_cpus(2).resolve().unwrap(), None);
        engine.monitor.close();
        drain(&engine);
        engine
    }

    fn body<C: FnOnce() + Send + 'static>(closure: C, extra: Option<Box<Extra>>) -> (ObjectRef<()>, Hold) {
        let entry = TaskCell::<ClosureBody<C, (), (), Whole>>::allocate((Closure(closure),), EPOCH, Phase::Queued, false, extra);
        // SAFETY: `allocate` counted one ref and one hold for these two, and they are adopted once.
        unsafe { (ObjectRef::adopt(entry), Hold::adopt(entry)) }
    }

    /// A task that asks for so many CPU units and holds the token.
    fn task(token: &Arc<()>, units: u64) -> (ObjectRef<()>, Hold) {
        let token = Arc::clone(token);
        let mut settings = crate::base::call_options::CallSettings::none();
        settings.resources = Resources::new(units, 0, 0, []);
        body(move || drop(token), Some(Extra::new(settings)))
    }

    /// Each thread that may queue work late notices the end by itself, so nothing stays in a queue without a thread that drains it.
    #[test]
    fn what_is_queued_late_is_dropped_by_its_submitter() {
        use crate::base::resources::UNITS;
        type Late = fn(&Arc<Engine>, Hold);
        let ways: [(&str, u64, Late); 10] = [
            ("CPU-free work", 0, |engine, task| crate::engine::queue::queue_free(engine, FreeJob::of(Free(Job::new(task))))),
            ("a grant that was taken out of the claims before", 2 * UNITS, |engine, task| {
                crate::engine::queue::queue_free(engine, FreeJob::of(Granted(Job::new(task))));
            }),
            ("a claim that is granted at once", 2 * UNITS, |engine, task| claim(engine, task)),
            ("a claim that is not", 3 * UNITS, |engine, task| claim(engine, task)),
            ("resources that an async body gives back", 2 * UNITS, |engine, task| {
                assert!(engine.cpu.take(UNITS));
                let shape = Shape::of(Resources::of_cpu(2 * UNITS), Term::Body);
                engine.claims.lock().claims.claim_start(Key(1), shape, None, Start::Work(task), Instant::now());
                crate::engine::claim::give_back(engine, (Key(2), Term::Body), &Resources::of_cpu(UNITS), None);
            }),
            ("a task of a thread that was half-way", UNITS, |engine, task| {
                let state = thread::attach_worker(Arc::clone(engine)).unwrap();
                state.deque.push(Job::new(task));
                crate::engine::queue::notify(engine);
            }),
            ("a task that a getter awaits", UNITS, |engine, task| {
                engine.awaited.enter(&task, crate::engine::awaited::Getter::Outside);
                assert!(engine.awaited.is_empty());
                engine.injector.push(Job::new(task));
                crate::engine::queue::notify(engine);
            }),
            ("a task that is offered to the threads that wait", UNITS, |engine, task| {
                crate::engine::help::call_for_help(engine, Some(crate::engine::calls::Offer::Task(task, Instant::now())));
                crate::engine::queue::notify(engine);
            }),
            // The state as if the thread was moving the tasks when the shutdown drained the queues. It takes half of them.
            ("a task that a thread of the user's takes along with another", UNITS, |engine, task| {
                let state = thread::attach_late(Arc::clone(engine)).unwrap();
                let other = || body(|| (), None).1;
                [other(), task, other()].into_iter().for_each(|task| engine.injector.push(Job::new(task)));
                assert!(crate::engine::worker::run_one_here(state));
            }),
            ("what a thread has queued when it ends", UNITS, |engine, task| {
                let engine = Arc::clone(engine);
                let late = move || thread::attach_worker(engine).unwrap().deque.push(Job::new(task));
                std::thread::spawn(late).join().unwrap();
            }),
        ];
        for (what, units, late) in ways {
            let (engine, token) = (ended(), Arc::new(()));
            let (object, hold) = task(&token, units);
            late(&engine, hold);
            assert_eq!(Arc::strong_count(&token), 1, "{what}");
            assert!(object.is_ready(), "{what}");
        }
    }
}
