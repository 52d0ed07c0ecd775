//! The contenders of [`par20`](crate::workload::par20).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::{rayon, tokio_tasks},
    workload::{
        arithmetic::{TWENTY_MICROSECONDS, Work},
        par20::DEFINITION,
    },
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let work = Work::calibrated(TWENTY_MICROSECONDS);
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::par(work));
    all.extend(rayon::par(work));
    all.push(tokio_tasks::par(work));
    all
}
