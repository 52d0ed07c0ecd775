//! The contenders of [`putget`](crate::workload::putget).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::threads,
    workload::putget::{COPIED, DEFINITION, SHARED},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::putget(SHARED));
    all.extend(threads::objects(SHARED, COPIED));
    all
}
