//! The contenders of [`nest10k`](crate::workload::nest10k).

use std::time::Instant;

use crate::{
    child,
    measure::{Case, Contender},
    ours,
    peers::{threads, tokio_tasks},
    workload::nest10k::{DEFINITION, DEPTH},
};

pub(crate) const CASE: Case = Case { contenders, child: Some(child), ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    ours::ALONE.iter().copied().chain(["tokio", "threads"]).map(|who| child::contender(DEFINITION.name, who)).collect()
}

fn child(who: &str) -> Vec<f64> {
    let recursion: fn(u64) -> u64 = match who {
        "ray" => ours::recursion(),
        "tokio" => tokio_tasks::recursion(),
        "threads" => threads::recursion,
        _ => panic!("no contender has the name {who}"),
    };
    let start = Instant::now();
    let depth = recursion(DEPTH);
    let elapsed = start.elapsed();
    assert_eq!(depth, DEPTH);
    vec![elapsed.as_secs_f64() * 1e3]
}
