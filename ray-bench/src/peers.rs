//! The peers, each as its own documentation recommends.
//!
//! A module has a function for each case that its library can do; it returns the contenders, whose names begin with the
//! library's. Where nothing else is said the caller is a plain thread outside any runtime, as a sync `main` is;
//! "(async caller)" is a task on a worker of the peer's own runtime.
//!
//! The actor is the same everywhere: a counter with two methods, increment, which returns the new value, and read.

use std::{future::Future, sync::OnceLock};

use tokio::runtime::{Builder, Runtime};

use crate::measure::cores;

pub(crate) mod actix;
pub(crate) mod by_hand;
pub(crate) mod channels;
pub(crate) mod kameo;
#[cfg(feature = "train")]
pub(crate) mod mlp;
pub(crate) mod ractor;
pub(crate) mod rayon;
pub(crate) mod threads;
pub(crate) mod tokio_tasks;
#[cfg(feature = "train")]
pub(crate) mod torch;

/// A tokio runtime as `#[tokio::main]` makes it, a worker for each core.
pub(crate) fn new_runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(cores()).enable_all().build().expect("start a tokio runtime")
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

/// What `n` increments of a fresh counter return, summed.
pub(crate) fn sum_of_counts(n: usize) -> u64 {
    (1..=n as u64).sum()
}
