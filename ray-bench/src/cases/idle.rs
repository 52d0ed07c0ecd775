//! The contenders of [`idle`](crate::workload::idle).

use std::thread;

use crate::{
    child,
    measure::{Case, Contender},
    memory, ours,
    peers::{actix, kameo, ractor, rayon, tokio_tasks},
    workload::idle::{DEFINITION, PAUSE},
};

pub(crate) const CASE: Case = Case { contenders, child: Some(child), ..Case::of(DEFINITION) };

/// The process that starts no engine.
const EMPTY: &str = "empty";

fn contenders() -> Vec<Contender> {
    ours::ALONE
        .iter()
        .copied()
        .chain(["tokio", "rayon", "kameo", "ractor", "actix"])
        .map(|who| {
            Contender::new(who, move || {
                let with = child::samples(DEFINITION.name, who)[0];
                let without = child::samples(DEFINITION.name, EMPTY)[0];
                with - without
            })
        })
        .collect()
}

fn child(who: &str) -> Vec<f64> {
    match who {
        EMPTY => (),
        "ray" => ours::first_result(),
        "tokio" => tokio_tasks::first_result(),
        "rayon" => rayon::first_result(),
        "kameo" => kameo::first_result(),
        "ractor" => ractor::first_result(),
        "actix" => actix::first_result(),
        _ => panic!("no contender has the name {who}"),
    }
    thread::sleep(PAUSE);
    vec![memory::resident()]
}
