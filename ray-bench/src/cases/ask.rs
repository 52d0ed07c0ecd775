//! `ask`: one call of one actor at a time, each result got before the next call, from a plain thread.

use crate::{
    measure::{Case, Contender, USUAL},
    ours,
    peers::{
        actix,
        by_hand::{Host, asks, asks_async},
        channels::{Flume, Kanal, KanalReply, Tokio},
        kameo, ractor,
    },
};

/// Calls a round, where nobody sleeps.
const FAST: usize = 100_000;
/// Calls a round, where both sides park.
const PARKED: usize = 5_000;

pub(crate) const CASE: Case =
    Case { name: "ask", what: "one actor call at a time, result got; ns per call", unit: "ns", contenders, ..USUAL };

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
