//! The body that calls `fit`: its CPU is lent while the group trains, its cancel ends the run, and what it keeps is counted
//! when the group is admitted.
//!
//! A task that waits in a get lends its CPU, and takes it again before the get returns. A group's workers hold their CPUs until
//! the group ends, so a task that calls `fit` must wait once, from the beginning of the group to its end: between two reports it
//! would wait for a CPU that a worker holds, which waits for the answer to its report. So a thread of its own sees to the group,
//! and the task gets an object that is settled when that thread has finished.

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use ray::{RuntimeContext, remote};

use super::door::lock;

thread_local! {
    /// The group in whose loop, or in whose callback, this thread is.
    static GROUP: Cell<Option<u64>> = const { Cell::new(None) };
}

/// This thread is in a group's loop or callback until this is dropped.
pub(crate) struct Inside(Option<u64>);

impl Inside {
    pub(crate) fn of(group: u64) -> Inside {
        Inside(GROUP.replace(Some(group)))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        GROUP.set(self.0);
    }
}

/// The thread that calls `fit`, and the task or the actor's method that it runs.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The group that waits for this call, if there is one.
    pub(crate) group: Option<u64>,
    /// None outside of bodies.
    body: Option<RuntimeContext>,
    /// Whether the body's CPU is lent.
    lends: bool,
}

impl Caller {
    /// The one that runs on this thread.
    pub(crate) fn here() -> Caller {
        let body = ray::is_initialized().then(ray::context);
        let body = body.filter(|body| body.task_id().is_some() || body.actor_id().is_some());
        Caller { group: GROUP.get(), body, lends: false }
    }

    /// Whether the task was cancelled, the actor killed, or the engine shut down.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.body.as_ref().is_some_and(RuntimeContext::is_cancelled)
    }

    /// The body, for errors: its kind and name.
    pub(crate) fn title(&self) -> Option<String> {
        let body = self.body.as_ref()?;
        let name = body.task_name().or(body.function_name()).unwrap_or("without a name");
        let kind = if body.actor_id().is_some() { "an actor's method" } else { "the task" };
        Some(format!("{kind} `{name}`"))
    }

    /// The resources that the body keeps while it waits: an actor's all, a task's all but the CPU that it lends.
    pub(crate) fn keeps(&self) -> Vec<(String, f64)> {
        let Some(body) = &self.body else { return Vec::new() };
        let lent = self.lends && body.actor_id().is_none();
        let held = body.assigned_resources().iter().filter(|(name, amount)| *amount > 0.0 && !(lent && *name == "CPU"));
        held.map(|(name, amount)| (name.to_owned(), amount)).collect()
    }

    /// Runs `fit` while the body's CPU is lent. Outside of bodies, and where the system refuses the thread, it runs here.
    ///
    /// # Errors
    /// Those of `fit`; that of the wait, if it ended early.
    pub(crate) fn lending<R: Send>(mut self, fit: impl FnOnce(Caller) -> ray::Result<R> + Send) -> ray::Result<R> {
        if self.body.is_none() {
            return fit(self);
        }
        let end = Arc::new(End::default());
        let ended = finished.remote(Arc::clone(&end));
        self.lends = true;
        // Behind a lock, so that both are still here if the system refuses the thread.
        let fit = Mutex::new(Some((self, fit)));
        let take = || lock(&fit).take().expect("it is taken once");
        thread::scope(|scope| {
            let spawned = thread::Builder::new().name("ray-train-fit".to_owned()).spawn_scoped(scope, || {
                let _finish = Finish(&end);
                let (caller, fit) = take();
                fit(caller)
            });
            let Ok(thread) = spawned else {
                drop(Finish(&end));
                let (mut caller, fit) = take();
                caller.lends = false;
                return fit(caller);
            };
            let waited = ray::get(&ended);
            // A cancelled body does not wait on; the thread sees the cancel too, and ends the group.
            let fitted = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            match (fitted, waited) {
                (Err(_), Err(early)) if early.is_cancelled() || early.is_actor_died() || early.is_runtime_gone() => Err(early),
                (fitted, _) => fitted,
            }
        })
    }
}

/// Whether `fit` has finished, and the waker of the task that waits for that.
#[derive(Debug, Default)]
struct End(Mutex<(bool, Option<Waker>)>);

/// Finishes when it is dropped, after a panic too.
struct Finish<'a>(&'a End);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        let waker = {
            let mut end = lock(&self.0.0);
            end.0 = true;
            end.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A task without a CPU, which ends with `fit`: the body that called `fit` gets its result, and lends its own CPU meanwhile.
#[remote(local)]
async fn finished(end: Arc<End>) {
    poll_fn(|context| {
        let mut end = lock(&end.0);
        if end.0 {
            return Poll::Ready(());
        }
        end.1 = Some(context.waker().clone());
        Poll::Pending
    })
    .await;
}
