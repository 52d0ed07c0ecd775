//! `async_fn_get`: one no-op `async fn`, submitted and its result got, again and again, from a plain thread.

use crate::{
    measure::{Case, Contender, USUAL},
    ours,
    peers::tokio_tasks,
};

/// Round trips a round.
const CALLS: usize = 5_000;

pub(crate) const CASE: Case = Case {
    name: "async_fn_get",
    what: "one no-op async fn, submit, get, repeat; ns per round trip",
    unit: "ns",
    contenders,
    ..USUAL
};

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::async_fn_get(CALLS));
    all.extend(tokio_tasks::async_fn_get(CALLS));
    all
}
