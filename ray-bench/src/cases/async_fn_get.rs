//! The contenders of [`async_fn_get`](crate::workload::async_fn_get).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::tokio_tasks,
    workload::async_fn_get::{CALLS, DEFINITION},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::async_fn_get(CALLS));
    all.extend(tokio_tasks::async_fn_get(CALLS));
    all
}
