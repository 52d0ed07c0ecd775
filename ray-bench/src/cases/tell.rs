//! The contenders of [`tell`](crate::workload::tell).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::{
        actix,
        by_hand::{Host, tell},
        channels::{Flume, Kanal, Tokio},
        kameo, ractor,
    },
    workload::tell::{CALLS, DEFINITION},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::tell(CALLS));
    all.extend(kameo::tell(CALLS));
    all.extend(ractor::tell(CALLS));
    all.extend(actix::tell(CALLS));
    all.push(tell::<Tokio>("tokio", Host::Task, CALLS));
    all.push(tell::<Kanal>("kanal", Host::Thread, CALLS));
    all.push(tell::<Flume>("flume", Host::Thread, CALLS));
    all
}
