//! The contenders of [`map`](crate::workload::map).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::{rayon, tokio_tasks},
    workload::{
        arithmetic::Work,
        map::{DEFINITION, NANOSECONDS},
    },
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let work = Work::calibrated(NANOSECONDS);
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::map(work));
    all.push(rayon::map(work));
    all.push(tokio_tasks::map(work));
    all
}
