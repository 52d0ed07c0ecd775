//! The contenders of [`spawnstop`](crate::workload::spawnstop).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::{
        actix,
        by_hand::spawnstop,
        channels::{Flume, Kanal, Tokio},
        kameo, ractor,
    },
    workload::spawnstop::{ACTORS, DEFINITION, SLOW},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

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
