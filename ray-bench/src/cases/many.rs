//! `many`: a thousand actors, a thousand calls of each, whose results nobody wants.
//!
//! The calls go round: one of every actor, then the next of every actor. The clock stops when all of them are done, which a
//! last call of each actor with a result tells: it must see every one of that actor's.

use crate::{
    measure::{Case, Contender, USUAL},
    ours,
    peers::{
        actix,
        by_hand::many,
        channels::{Flume, Kanal, Tokio},
        kameo, ractor,
    },
};

const ACTORS: usize = 1_000;
const CALLS: usize = 1_000;

pub(crate) const CASE: Case =
    Case { name: "many", what: "1k actors x 1k calls, results dropped; ns per call", unit: "ns", contenders, ..USUAL };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::many(ACTORS, CALLS));
    all.extend(kameo::many(ACTORS, CALLS));
    all.extend(ractor::many(ACTORS, CALLS));
    all.extend(actix::many(ACTORS, CALLS));
    all.push(many::<Tokio>("tokio", ACTORS, CALLS));
    all.push(many::<Kanal>("kanal", ACTORS, CALLS));
    all.push(many::<Flume>("flume", ACTORS, CALLS));
    all
}
