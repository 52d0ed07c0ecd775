//! The contenders of [`pool`](crate::workload::pool).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::rayon,
    workload::{arithmetic::Work, map::NANOSECONDS, pool::DEFINITION},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let work = Work::calibrated(NANOSECONDS);
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::pool(work));
    all.push(rayon::map(work));
    all
}
