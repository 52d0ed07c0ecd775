//! `rt`: one no-op task, submitted and its result got, again and again, from a plain thread.

use crate::{
    measure::{Case, Contender, USUAL},
    ours,
    peers::{rayon, tokio_tasks},
};

/// Round trips a round, where nobody sleeps.
const FAST: usize = 100_000;
/// Round trips a round, where both sides park.
const PARKED: usize = 5_000;

pub(crate) const CASE: Case =
    Case { name: "rt", what: "one no-op task, submit, get, repeat; ns per round trip", unit: "ns", contenders, ..USUAL };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::rt(FAST));
    all.extend(tokio_tasks::rt(PARKED, FAST));
    all.extend(rayon::rt(PARKED));
    all
}
