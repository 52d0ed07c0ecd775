//! The contenders of [`start`](crate::workload::start).

use std::time::Instant;

use crate::{
    child,
    measure::{Case, Contender},
    ours,
    peers::{actix, kameo, ractor, rayon, tokio_tasks},
    workload::start::DEFINITION,
};

pub(crate) const CASE: Case = Case { contenders, child: Some(child), ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    ours::ALONE
        .iter()
        .copied()
        .chain(["tokio", "rayon", "kameo", "ractor", "actix"])
        .map(|who| child::contender(DEFINITION.name, who))
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
        _ => panic!("no contender has the name {who}"),
    };
    let start = Instant::now();
    first_result();
    vec![start.elapsed().as_secs_f64() * 1e6]
}
