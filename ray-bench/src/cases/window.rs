//! The contenders of [`window`](crate::workload::window).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::tokio_tasks,
    workload::window::DEFINITION,
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::window());
    all.extend(tokio_tasks::window());
    all
}
