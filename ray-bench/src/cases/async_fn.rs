//! The contenders of [`async_fn`](crate::workload::async_fn).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::tokio_tasks,
    workload::async_fn::{CALLS, DEFINITION},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::async_fn(CALLS));
    all.extend(tokio_tasks::spawn_async(CALLS));
    all
}
