//! The work of each case: its definition, its sizes, and the checks of its results.
//!
//! Each submodule has the name of its case, and its documentation describes the measurement. Nothing here runs an engine or
//! a peer: [`ours`](crate::ours) and [`peers`](crate::peers) import this module, and [`cases`](crate::cases) passes the
//! sizes to their contenders.

pub(crate) mod allreduce;
pub(crate) mod arithmetic;
pub(crate) mod ask;
pub(crate) mod ask_async;
pub(crate) mod async_fn;
pub(crate) mod async_fn_get;
pub(crate) mod axum;
pub(crate) mod chain1000;
pub(crate) mod fib25;
pub(crate) mod idle;
pub(crate) mod many;
pub(crate) mod map;
pub(crate) mod mem;
pub(crate) mod nest10k;
pub(crate) mod par20;
pub(crate) mod pipe;
pub(crate) mod pool;
pub(crate) mod putget;
pub(crate) mod queue;
pub(crate) mod rt;
pub(crate) mod rt_async;
pub(crate) mod spawnstop;
pub(crate) mod start;
pub(crate) mod stream;
pub(crate) mod tasks;
pub(crate) mod tell;
pub(crate) mod ticker;
#[cfg(feature = "train")]
pub(crate) mod train;
pub(crate) mod wait1000;
pub(crate) mod window;

/// The name of the case that only some builds contain.
pub(crate) const TRAIN: &str = "train";

/// The sum of the results of `n` increments of a new counter.
pub(crate) fn sum_of_counts(n: usize) -> u64 {
    (1..=n as u64).sum()
}
