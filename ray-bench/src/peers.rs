//! The peers, each as its own documentation recommends.
//!
//! A module has a function for each case that its library can do; it returns the contenders, whose names begin with the
//! library's. Where nothing else is said the caller is a plain thread outside any runtime, as a sync `main` is;
//! "(async caller)" is a task on a worker of the peer's own runtime. The cases that are about async callers have two rows for
//! each library: "(worker)" and "(current_thread)", a task on either kind of tokio runtime, on which the peers' actors run too.
//!
//! The actor is the same everywhere: a counter with two methods, increment, which returns the new value, and read.

use std::{future::Future, sync::OnceLock};

use tokio::runtime::{Builder, Runtime};

use crate::measure::{Contender, cores};

pub(crate) mod actix;
pub(crate) mod by_hand;
pub(crate) mod channels;
pub(crate) mod kameo;
#[cfg(feature = "train")]
pub(crate) mod mlp;
pub(crate) mod ractor;
pub(crate) mod rayon;
pub(crate) mod threads;
pub(crate) mod ticker;
pub(crate) mod tokio_tasks;
#[cfg(feature = "train")]
pub(crate) mod torch;
pub(crate) mod web;

/// A tokio runtime as `#[tokio::main]` makes it, a worker for each core.
pub(crate) fn new_runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(cores()).enable_all().build().expect("start a tokio runtime")
}

/// A tokio runtime on the thread that drives it.
pub(crate) fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("start a tokio runtime")
}

/// The runtime that tokio's contenders, and those built upon tokio, share in this process.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(new_runtime)
}

/// Runs `future` as a task on a worker of the shared runtime, and waits for its result here.
pub(crate) fn on_worker<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    runtime().block_on(runtime().spawn(future)).expect("the task ends well")
}

/// The tokio runtime that an async caller is a task of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A multi-thread runtime: the caller is on one of its workers.
    Worker,
    /// A current_thread runtime: what the caller spawns runs on the caller's thread.
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

    /// Runs `future` as a task of the runtime, and waits for its result here.
    pub(crate) fn run<T: Send + 'static>(self, future: impl Future<Output = T> + Send + 'static) -> T {
        match self {
            Caller::Worker => on_worker(future),
            // A runtime for each round: its end drops the actors that are tasks of it, which nothing else would.
            Caller::CurrentThread => {
                let runtime = current_thread();
                runtime.block_on(runtime.spawn(future)).expect("the task ends well")
            }
        }
    }
}

/// A contender for each kind of async caller; `sample` is a task's whole work, and returns its sample.
pub(crate) fn async_callers<F>(who: &str, sample: impl Fn() -> F + Copy + 'static) -> [Contender; 2]
where
    F: Future<Output = f64> + Send + 'static,
{
    Caller::BOTH.map(|caller| caller.contender(who, move || caller.run(sample())))
}

/// What `n` increments of a fresh counter return, summed.
pub(crate) fn sum_of_counts(n: usize) -> u64 {
    (1..=n as u64).sum()
}
