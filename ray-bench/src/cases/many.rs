//! The contenders of [`many`](crate::workload::many).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::{
        actix,
        by_hand::many,
        channels::{Flume, Kanal, Tokio},
        kameo, ractor,
    },
    workload::many::{ACTORS, CALLS, DEFINITION},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

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
