//! The contenders of [`pipe`](crate::workload::pipe).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::{
        actix,
        by_hand::{Host, pipe, pipe_async},
        channels::{Flume, Kanal, Tokio},
        kameo, ractor,
    },
    workload::pipe::{CALLS, DEFINITION},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::pipe(CALLS));
    all.extend(kameo::pipe(CALLS));
    all.extend(ractor::pipe(CALLS));
    all.extend(actix::pipe(CALLS));
    all.push(pipe::<Tokio>("tokio", Host::Task, CALLS));
    all.push(pipe_async::<Tokio>("tokio", CALLS));
    all.push(pipe::<Kanal>("kanal + oneshot", Host::Thread, CALLS));
    all.push(pipe::<Flume>("flume + oneshot", Host::Thread, CALLS));
    all
}
