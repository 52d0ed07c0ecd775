//! The contenders of [`stream`](crate::workload::stream).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::bounded::{self, Crossbeam, Tokio},
    workload::stream::DEFINITION,
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::stream::stream());
    all.push(bounded::sync::<Tokio>("tokio mpsc"));
    all.push(bounded::sync::<Crossbeam>("crossbeam"));
    all.extend(bounded::awaiting::<Tokio>("tokio mpsc"));
    all
}
