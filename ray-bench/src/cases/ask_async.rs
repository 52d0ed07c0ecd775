//! `ask_async`: one call of one actor at a time, each result awaited before the next call, by a task of a tokio runtime.

use crate::{
    measure::{Case, Contender, USUAL},
    ours,
    peers::{
        actix,
        by_hand::asks_on_both,
        channels::{Flume, Kanal, Tokio},
        kameo, ractor,
    },
};

/// Calls a round.
const CALLS: usize = 50_000;

pub(crate) const CASE: Case =
    Case { name: "ask_async", what: "one actor call at a time, awaited; ns per call", unit: "ns", contenders, ..USUAL };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::ask_async(CALLS));
    all.extend(kameo::ask_async(CALLS));
    all.extend(ractor::ask_async(CALLS));
    all.extend(actix::ask_async(CALLS));
    all.extend(asks_on_both::<Tokio>("tokio", CALLS));
    all.extend(asks_on_both::<Kanal>("kanal + oneshot", CALLS));
    all.extend(asks_on_both::<Flume>("flume + oneshot", CALLS));
    all
}
