//! `async_fn`: one no-op `async fn`, submitted and awaited, again and again, by a task of a tokio runtime.

use crate::{
    measure::{Case, Contender, USUAL},
    ours,
    peers::tokio_tasks,
};

/// Round trips a round.
const CALLS: usize = 50_000;

pub(crate) const CASE: Case = Case {
    name: "async_fn",
    what: "one no-op async fn, submit, await, repeat; ns per round trip",
    unit: "ns",
    contenders,
    ..USUAL
};

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::async_fn(CALLS));
    all.extend(tokio_tasks::spawn_async(CALLS));
    all
}
