//! The tokio runtimes of this process, and the async callers that are tasks of them.

use std::{future::Future, sync::OnceLock};

use tokio::runtime::{Builder, Runtime};

use crate::measure::{Contender, cores};

/// A tokio runtime like that of `#[tokio::main]`, with a worker for each core.
pub(crate) fn new_runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(cores()).enable_all().build().expect("start a tokio runtime")
}

/// A tokio runtime on the thread that drives it.
pub(crate) fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("start a tokio runtime")
}

/// The runtime that the contenders of tokio, and of libraries that build on tokio, share in this process.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(new_runtime)
}

/// Runs `future` as a task on a worker of the shared runtime, and waits for its result on this thread.
pub(crate) fn on_worker<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    runtime().block_on(runtime().spawn(future)).expect("the task ends without a panic")
}

/// The kind of tokio runtime whose task the async caller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A multi-thread runtime: the caller is on one of its workers.
    Worker,
    /// A current_thread runtime: the tasks that the caller spawns run on the caller's thread.
    CurrentThread,
}

impl Caller {
    pub(crate) const BOTH: [Caller; 2] = [Caller::Worker, Caller::CurrentThread];

    fn name(self) -> &'static str {
        match self {
            Caller::Worker => "worker",
            Caller::CurrentThread => "current_thread",
        }
    }

    /// The group of the rows with this caller.
    fn group(self) -> &'static str {
        match self {
            Caller::Worker => "awaited on a worker of a multi-thread runtime",
            Caller::CurrentThread => "awaited on a current_thread runtime",
        }
    }

    /// The contender of this name whose `round` runs with this caller.
    pub(crate) fn contender(self, who: &str, round: impl FnMut() -> f64 + 'static) -> Contender {
        Contender::new(format!("{who} ({})", self.name()), round).among(self.group())
    }

    /// Runs `future` as a task of the runtime, and waits for its result on this thread.
    pub(crate) fn run<T: Send + 'static>(self, future: impl Future<Output = T> + Send + 'static) -> T {
        match self {
            Caller::Worker => on_worker(future),
            // Each round has a runtime of its own: the end of the runtime drops the actors that are its tasks, and nothing else
            // drops them.
            Caller::CurrentThread => {
                let runtime = current_thread();
                runtime.block_on(runtime.spawn(future)).expect("the task ends without a panic")
            }
        }
    }
}

/// A contender for each kind of async caller; `sample` does the whole work of a task and returns its sample.
pub(crate) fn async_callers<F>(who: &str, sample: impl Fn() -> F + Copy + 'static) -> [Contender; 2]
where
    F: Future<Output = f64> + Send + 'static,
{
    Caller::BOTH.map(|caller| caller.contender(who, move || caller.run(sample())))
}
