//! `idle`: the memory of an idle engine, over an empty program.
//!
//! Each round starts two fresh processes, one of which starts the engine, has a first result, and waits a little until
//! nothing is left to do; the sample is what it has resident more than the other, which only waits.

use std::{thread, time::Duration};

use crate::{
    child,
    measure::{Case, Contender, USUAL},
    memory, ours,
    peers::{actix, kameo, ractor, rayon, tokio_tasks},
};

/// How long an engine has to become idle.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) const CASE: Case = Case {
    name: "idle",
    what: "resident memory of the idle engine, over an empty program; KiB",
    unit: "KiB",
    contenders,
    child: Some(child),
    ..USUAL
};

fn contenders() -> Vec<Contender> {
    ours::ALONE
        .iter()
        .copied()
        .chain(["tokio", "rayon", "kameo", "ractor", "actix"])
        .map(|who| {
            Contender::new(who, move || {
                let with = child::samples(CASE.name, who)[0];
                let without = child::samples(CASE.name, "empty")[0];
                with - without
            })
        })
        .collect()
}

fn child(who: &str) -> Vec<f64> {
    match who {
        "empty" => (),
        "ray" => ours::first_result(),
        "tokio" => tokio_tasks::first_result(),
        "rayon" => rayon::first_result(),
        "kameo" => kameo::first_result(),
        "ractor" => ractor::first_result(),
        "actix" => actix::first_result(),
        _ => panic!("nobody is called {who}"),
    }
    thread::sleep(PAUSE);
    vec![memory::resident()]
}
