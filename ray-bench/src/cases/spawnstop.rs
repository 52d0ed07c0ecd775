//! `spawnstop`: an actor is created and stopped, the next one is created and stopped, and so on.
//!
//! A plain caller creates and stops without waiting between, the faster way for everybody; an async caller on a worker
//! waits for each, which is faster there. Either way the clock stops when every constructor has run and every actor is
//! dropped, as counted by a field of theirs.

use crate::{
    measure::{Case, Contender, USUAL},
    ours,
    peers::{
        actix,
        by_hand::spawnstop,
        channels::{Flume, Kanal, Tokio},
        kameo, ractor,
    },
};

/// Actors a round.
const ACTORS: usize = 20_000;
/// Actors a round, of the libraries that take microseconds.
const SLOW: usize = 5_000;

pub(crate) const CASE: Case =
    Case { name: "spawnstop", what: "create and stop an actor, all of them gone; ns per actor", unit: "ns", contenders, ..USUAL };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::spawnstop(ACTORS));
    all.extend(kameo::spawnstop(SLOW));
    all.extend(ractor::spawnstop(SLOW));
    all.extend(actix::spawnstop(ACTORS));
    all.extend(spawnstop::<Tokio>("tokio", ACTORS));
    all.extend(spawnstop::<Kanal>("kanal", ACTORS));
    all.extend(spawnstop::<Flume>("flume", ACTORS));
    all
}
