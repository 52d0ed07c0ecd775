//! The contenders of [`ask`](crate::workload::ask).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::{
        actix,
        by_hand::{Host, asks, asks_async},
        channels::{Flume, Kanal, KanalReply, Tokio},
        kameo, ractor,
    },
    workload::ask::{DEFINITION, FAST, PARKED},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::ask(FAST));
    all.extend(kameo::ask(PARKED, FAST));
    all.extend(ractor::ask(PARKED, FAST));
    all.extend(actix::ask(PARKED, FAST));
    all.push(asks::<Tokio>("tokio", Host::Task, PARKED));
    all.push(asks_async::<Tokio>("tokio", FAST));
    all.push(asks::<Kanal>("kanal + oneshot", Host::Thread, PARKED));
    all.push(asks::<KanalReply>("kanal", Host::Thread, FAST));
    all.push(asks::<Flume>("flume + oneshot", Host::Thread, PARKED));
    all
}
