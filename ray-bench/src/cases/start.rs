//! `start`: from nothing to the first result, in a fresh process each time.
//!
//! The clock starts in `main` and stops when the result of one no-op task, or of one call of one actor where the library has
//! no tasks, is there. Starting the process itself is not in it.

use std::time::Instant;

use crate::{
    child,
    measure::{Case, Contender, USUAL},
    ours,
    peers::{actix, kameo, ractor, rayon, tokio_tasks},
};

pub(crate) const CASE: Case = Case {
    name: "start",
    what: "start of the engine to the first result; microseconds",
    unit: "us",
    contenders,
    child: Some(child),
    ..USUAL
};

fn contenders() -> Vec<Contender> {
    ours::ALONE
        .iter()
        .copied()
        .chain(["tokio", "rayon", "kameo", "ractor", "actix"])
        .map(|who| child::contender(CASE.name, who))
        .collect()
}

fn child(who: &str) -> Vec<f64> {
    let first_result = match who {
        "ray" => ours::first_result,
        "tokio" => tokio_tasks::first_result,
        "rayon" => rayon::first_result,
        "kameo" => kameo::first_result,
        "ractor" => ractor::first_result,
        "actix" => actix::first_result,
        _ => panic!("nobody is called {who}"),
    };
    let start = Instant::now();
    first_result();
    vec![start.elapsed().as_secs_f64() * 1e6]
}
