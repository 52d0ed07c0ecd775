//! The end of an engine.
//!
//! In this order: the epoch changes, so that every entry and handle of the engine is stale and no body can submit;
//! everybody who waits is woken and finds that out; what is queued is dropped; running bodies get a grace; then the
//! shutdown returns and names those that are left. Their threads end when their bodies do.

use std::time::{Duration, Instant};

use crossbeam_deque::Steal;

use super::{Engine, FreeJob, retire};
use crate::error::Result;
use crate::event::Notice;
use crate::thread::{self, gone};

/// Shuts the engine down: settles every object at once (with `RuntimeGone`), waits a grace for the bodies that run (5
/// s, [`Config::shutdown_grace`](crate::Config::shutdown_grace)), and logs the names of those that are left. Nothing
/// happens if no engine runs. [`init`](crate::init) works again after it.
///
/// # Errors
/// `InvalidArgument` inside a body of the engine, which would wait for itself.
///
/// ```
/// # extern crate ray_core as ray;
/// let object = ray::put(7);
/// ray::shutdown()?;
/// assert!(ray::get(&object).unwrap_err().is_runtime_gone());
/// assert_eq!(ray::get(ray::put(8))?, 8);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn shutdown() -> Result<()> {
    if thread::existing().is_some_and(|state| state.frame().is_some()) {
        return Err(crate::Error::new(
            crate::ErrorKind::InvalidArgument,
            "a task or an actor cannot shut down the engine that runs it: return, and let the driver do it",
        ));
    }
    let Some(engine) = retire() else { return Ok(()) };
    engine.wake_everybody();
    engine.drain();
    engine.close_tokio();
    let end = Instant::now() + engine.settings.shutdown_grace;
    let mut pause = Duration::from_micros(50);
    while !(engine.running_bodies().is_empty() && engine.futures.lock().is_empty()) && Instant::now() < end {
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
    let left = engine.running_bodies();
    if !left.is_empty() {
        crate::event::warn(
            Notice::Shutdown,
            &format!(
                "shut down while {} bodies still run, which cannot be interrupted: {}; look at `ray::context().is_cancelled()` in long ones",
                left.len(),
                left.join(", ")
            ),
        );
    }
    engine.drain();
    crate::event::log_unread();
    Ok(())
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A submitter may have been half-way when the shutdown drained the queues.
        self.drain();
    }
}

impl Engine {
    fn wake_everybody(&self) {
        self.pulse.wake();
        self.threads.walk(0, |shared, _| {
            shared.thread.unpark();
            false
        });
        let wakers: Vec<_> = self.wakers.lock().drain().map(|(_, waker)| waker).collect();
        for waker in wakers {
            crate::unwind::quietly(|| waker.wake());
        }
    }

    /// Drops what is queued, failing it.
    pub(crate) fn drain(&self) {
        let mut jobs = Vec::new();
        loop {
            match self.injector.steal() {
                Steal::Success(job) => jobs.push(job),
                Steal::Empty => break,
                Steal::Retry => {}
            }
        }
        self.threads.walk(0, |_, stealer| {
            loop {
                match stealer.steal() {
                    Steal::Success(job) => jobs.push(job),
                    Steal::Empty => break,
                    Steal::Retry => {}
                }
            }
            false
        });
        let mut tasks: Vec<_> = jobs.into_iter().map(thread::Job::into_hold).collect();
        let mut actors = Vec::new();
        while let Some(job) = self.free.take_any() {
            match job {
                FreeJob::Task(job) | FreeJob::Granted(job) | FreeJob::Leased(job) => tasks.push(job.into_hold()),
                FreeJob::Actor(actor) => actors.push(actor),
                FreeJob::Call(call) => crate::actor::concurrent::abandon(call),
            }
        }
        self.awaited.clear();
        tasks.extend(self.claims.lock().drain());
        for task in tasks {
            task.state.set_seen();
            // SAFETY: alive by the hold.
            unsafe { crate::task::abort(task.entry(), gone("the task had not started")) };
            if let Some(head) = task.task() {
                // The creation of an actor, which ends with it.
                super::submit::forget(head);
            }
        }
        for actor in actors {
            crate::actor::run::abandon(actor);
        }
    }

    /// The names of the bodies that run now, on the engine's threads and on users' that help.
    pub(crate) fn running_bodies(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.threads.walk(0, |shared, _| {
            if let Some(spec) = shared.running() {
                names.push(format!("{} ({}:{})", spec.path(), spec.file(), spec.line()));
            }
            false
        });
        names
    }
}
