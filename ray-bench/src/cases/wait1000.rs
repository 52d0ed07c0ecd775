//! The contenders of [`wait1000`](crate::workload::wait1000).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::tokio_tasks,
    workload::wait1000::DEFINITION,
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::wait());
    all.extend(tokio_tasks::wait());
    all
}
