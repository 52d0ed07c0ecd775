//! The contenders of [`ask_async`](crate::workload::ask_async).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::{
        actix,
        by_hand::asks_on_both,
        channels::{Flume, Kanal, Tokio},
        kameo, ractor,
    },
    workload::ask_async::{CALLS, DEFINITION},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

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
