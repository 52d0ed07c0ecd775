//! The contenders of [`chain1000`](crate::workload::chain1000).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::tokio_tasks,
    workload::chain1000::DEFINITION,
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::chain());
    all.push(tokio_tasks::chain());
    all
}
