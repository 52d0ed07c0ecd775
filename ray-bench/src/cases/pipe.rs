//! `pipe`: 100,000 calls submitted to one actor, then all results got.

use crate::{
    measure::{Case, Contender, USUAL},
    ours,
    peers::{
        actix,
        by_hand::{Host, pipe, pipe_async},
        channels::{Flume, Kanal, Tokio},
        kameo, ractor,
    },
};

const CALLS: usize = 100_000;

pub(crate) const CASE: Case =
    Case { name: "pipe", what: "100k calls of one actor, submit all, get all; ns per call", unit: "ns", contenders, ..USUAL };

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
