//! The body that calls `fit`: it lends its CPU while the group trains, its cancel stops the run, and admission takes into account the
//! resources that it retains.
//!
//! A task that waits in a get lends its CPU, and takes the CPU back before the get returns. The workers of a group hold their CPUs
//! until the group ends, so a task that calls `fit` must make one wait that spans the whole group. If it waited for each report, it
//! would need its CPU back between two reports, while the worker that has this CPU waits for the answer to its report. So the
//! driver thread of the group is a separate thread, and the task gets an object that is settled when this thread has finished.

use std::cell::Cell;
use std::future::poll_fn;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::thread;

use ray::{RuntimeContext, remote};

use super::lock::lock;

thread_local! {
    /// The number of the group whose loop or callback this thread runs.
    static CURRENT_GROUP: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Marks this thread as one that runs a group's loop or callback, until it is dropped. It holds the former mark.
pub(crate) struct GroupScope(Option<u64>);

impl GroupScope {
    pub(crate) fn enter(group: u64) -> GroupScope {
        GroupScope(CURRENT_GROUP.replace(Some(group)))
    }
}

impl Drop for GroupScope {
    fn drop(&mut self) {
        CURRENT_GROUP.set(self.0);
    }
}

/// The caller of `fit`: its thread, and the task or the actor's method that this thread runs.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The group that waits for this call, because its loop or callback makes the call.
    pub(crate) group: Option<u64>,
    /// The body that makes the call; none for a thread outside of the engine.
    body: Option<RuntimeContext>,
    /// Whether the body lends its CPU.
    lends: bool,
}

impl Caller {
    /// The caller on this thread.
    pub(crate) fn current() -> Caller {
        let body = ray::is_initialized().then(ray::context);
        let body = body.filter(|body| body.task_id().is_some() || body.actor_id().is_some());
        Caller { group: CURRENT_GROUP.get(), body, lends: false }
    }

    /// Whether the task was cancelled, the actor was killed, or the engine was shut down.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.body.as_ref().is_some_and(RuntimeContext::is_cancelled)
    }

    /// The kind and the name of the body, for error messages.
    pub(crate) fn describe(&self) -> Option<String> {
        let body = self.body.as_ref()?;
        let name = body.task_name().or(body.function_name()).unwrap_or("without a name");
        let kind = if body.actor_id().is_some() { "an actor's method" } else { "the task" };
        Some(format!("{kind} `{name}`"))
    }

    /// The resources that the body retains while it waits: all of an actor's, and those of a task except for the CPU that it lends.
    pub(crate) fn retained_resources(&self) -> Vec<(String, f64)> {
        let Some(body) = &self.body else { return Vec::new() };
        let lends = self.lends && body.actor_id().is_none();
        let held = body.assigned_resources().iter().filter(|(name, amount)| *amount > 0.0 && !(lends && *name == "CPU"));
        held.map(|(name, amount)| (name.to_owned(), amount)).collect()
    }

    /// Runs `fit` on a separate thread while the body lends its CPU. Outside of bodies, and if the system refuses the thread, it runs
    /// `fit` on this thread, without lending.
    ///
    /// # Errors
    /// The error of `fit`, or that of the wait if it ended early.
    pub(crate) fn run_lending_cpu<R: Send>(mut self, fit: impl FnOnce(Caller) -> ray::Result<R> + Send) -> ray::Result<R> {
        if self.body.is_none() {
            return fit(self);
        }
        let completion = Arc::new(Completion::default());
        let completed = wait_for_fit.remote(Arc::clone(&completion));
        self.lends = true;
        // In a mutex, so that caller and closure are still available if the system refuses the thread.
        let fit = Mutex::new(Some((self, fit)));
        let take = || lock(&fit).take().expect("either the new thread or this thread takes it");
        thread::scope(|scope| {
            let spawned = thread::Builder::new().name("ray-train-fit".to_owned()).spawn_scoped(scope, || {
                let _guard = CompletionGuard(&completion);
                let (caller, fit) = take();
                fit(caller)
            });
            let Ok(thread) = spawned else {
                drop(CompletionGuard(&completion));
                let (mut caller, fit) = take();
                caller.lends = false;
                return fit(caller);
            };
            let waited = ray::get(&completed);
            // The wait of a cancelled body ends early. The thread notices the cancel too, and ends the group.
            let fitted = thread.join().unwrap_or_else(|panic| resume_unwind(panic));
            match (fitted, waited) {
                (Err(_), Err(early)) if early.is_cancelled() || early.is_actor_died() || early.is_runtime_gone() => Err(early),
                (fitted, _) => fitted,
            }
        })
    }
}

/// Whether `fit` has finished, and the waker of the task that waits for it.
#[derive(Debug, Default)]
struct Completion(Mutex<(bool, Option<Waker>)>);

/// Completes when it is dropped, also during a panic.
struct CompletionGuard<'a>(&'a Completion);

impl Drop for CompletionGuard<'_> {
    fn drop(&mut self) {
        let waker = {
            let mut completion = lock(&self.0.0);
            completion.0 = true;
            completion.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A task without a CPU that ends when `fit` has finished. The body that called `fit` gets its result, and lends its own CPU meanwhile.
#[remote(local)]
async fn wait_for_fit(completion: Arc<Completion>) {
    poll_fn(|context| {
        let mut completion = lock(&completion.0);
        if completion.0 {
            return Poll::Ready(());
        }
        completion.1 = Some(context.waker().clone());
        Poll::Pending
    })
    .await;
}
