//! The contenders of [`rt`](crate::workload::rt).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::{rayon, tokio_tasks},
    workload::rt::{DEFINITION, FAST, PARKED},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::rt(FAST));
    all.extend(tokio_tasks::rt(PARKED, FAST));
    all.extend(rayon::rt(PARKED));
    all
}
