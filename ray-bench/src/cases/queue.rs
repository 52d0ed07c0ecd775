//! The contenders of [`queue`](crate::workload::queue).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::bounded::{self, Flume, Kanal},
    workload::queue::DEFINITION,
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::stream::queue());
    all.push(bounded::sync::<Flume>("flume"));
    all.push(bounded::sync::<Kanal>("kanal"));
    all.extend(bounded::awaiting::<Flume>("flume"));
    all.extend(bounded::awaiting::<Kanal>("kanal"));
    all
}
