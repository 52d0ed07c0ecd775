//! `rt_async`: one no-op task, submitted and awaited, again and again, by a task of a tokio runtime.
//!
//! The function is sync, so tokio's own way for it is `spawn_blocking`; `tokio::spawn` is what one writes where the work is
//! known to be short.

use crate::{
    measure::{Case, Contender, USUAL},
    ours,
    peers::tokio_tasks,
};

/// Round trips a round, where nobody sleeps.
const FAST: usize = 50_000;
/// Round trips a round, where both sides park.
const PARKED: usize = 5_000;

pub(crate) const CASE: Case =
    Case { name: "rt_async", what: "one no-op task, submit, await, repeat; ns per round trip", unit: "ns", contenders, ..USUAL };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::rt_async(FAST));
    all.extend(tokio_tasks::spawn_async(FAST));
    all.extend(tokio_tasks::spawn_blocking_async(PARKED));
    all
}
