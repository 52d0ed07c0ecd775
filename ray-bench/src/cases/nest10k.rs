//! `nest10k`: the first recursion of a process, 10,000 deep, in which every call gets the result of the next.
//!
//! A fresh process each time: nothing is known of the function yet, and no stack was used. The engine's start is not in the
//! sample. tokio's tasks await each other; a plain thread for each call stands for what blocks.

use std::time::Instant;

use crate::{
    child,
    measure::{Case, Contender, USUAL},
    ours,
    peers::{threads, tokio_tasks},
};

const DEPTH: u64 = 10_000;

pub(crate) const CASE: Case = Case {
    name: "nest10k",
    what: "a first recursion 10,000 deep, each call got by its caller; ms in all",
    unit: "ms",
    contenders,
    child: Some(child),
    ..USUAL
};

fn contenders() -> Vec<Contender> {
    ours::ALONE.iter().copied().chain(["tokio", "threads"]).map(|who| child::contender(CASE.name, who)).collect()
}

fn child(who: &str) -> Vec<f64> {
    let recursion: fn(u64) -> u64 = match who {
        "ray" => ours::recursion(),
        "tokio" => tokio_tasks::recursion(),
        "threads" => threads::recursion,
        _ => panic!("nobody is called {who}"),
    };
    let start = Instant::now();
    let depth = recursion(DEPTH);
    let elapsed = start.elapsed();
    assert_eq!(depth, DEPTH);
    vec![elapsed.as_secs_f64() * 1e3]
}
