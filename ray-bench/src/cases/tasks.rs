//! The contenders of [`tasks`](crate::workload::tasks).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::{rayon, threads, tokio_tasks},
    workload::tasks::{DEFINITION, TASKS},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::tasks(TASKS));
    all.extend(tokio_tasks::tasks(TASKS));
    all.extend([rayon::tasks(TASKS), threads::tasks(TASKS)]);
    all
}
