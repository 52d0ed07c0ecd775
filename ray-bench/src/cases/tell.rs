//! `tell`: a million calls of one actor whose results nobody wants.
//!
//! The clock stops when all of them are done, which a last call with a result tells: it must see every one of them.

use crate::{
    measure::{Case, Contender, USUAL},
    ours,
    peers::{
        actix,
        by_hand::{Host, tell},
        channels::{Flume, Kanal, Tokio},
        kameo, ractor,
    },
};

const CALLS: usize = 1_000_000;

pub(crate) const CASE: Case =
    Case { name: "tell", what: "1M calls of one actor, results dropped; ns per call", unit: "ns", contenders, ..USUAL };

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
