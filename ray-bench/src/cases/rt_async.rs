//! The contenders of [`rt_async`](crate::workload::rt_async).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::tokio_tasks,
    workload::rt_async::{DEFINITION, FAST, PARKED},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::rt_async(FAST));
    all.extend(tokio_tasks::spawn_async(FAST));
    all.extend(tokio_tasks::spawn_blocking_async(PARKED));
    all
}
