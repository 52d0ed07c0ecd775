//! `tasks`: a million no-op tasks with a result each, all submitted, then all results got.

use crate::{
    measure::{Case, Contender, USUAL},
    ours,
    peers::{rayon, threads, tokio_tasks},
};

const TASKS: usize = 1_000_000;

pub(crate) const CASE: Case =
    Case { name: "tasks", what: "1M no-op tasks, submit all, get all; ns per task", unit: "ns", contenders, ..USUAL };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::tasks(TASKS));
    all.extend(tokio_tasks::tasks(TASKS));
    all.extend([rayon::tasks(TASKS), threads::tasks(TASKS)]);
    all
}
