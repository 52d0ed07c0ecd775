//! `mem`: what an idle actor costs, 100,000 of them, after one call of each.
//!
//! Every contender is a process of its own, in which a counting allocator tells the live bytes before the actors and after
//! (everything: the actors, their mailboxes, the caller's handles and the `Vec` that holds them), and `/proc` what is
//! resident: the lines with "(resident)". The actor has two methods and a `u64` of state.

use std::any::Any;

use crate::{
    child,
    measure::{Case, Contender, USUAL},
    memory, ours,
    peers::{
        actix,
        by_hand::population,
        channels::{Flume, Kanal, Tokio},
        kameo, ractor, runtime,
    },
};

const ACTORS: usize = 100_000;

pub(crate) const CASE: Case = Case {
    name: "mem",
    what: "an idle actor of two methods after one call, of 100k; bytes each",
    unit: "bytes",
    contenders,
    child: Some(child),
    ..USUAL
};

fn contenders() -> Vec<Contender> {
    ours::ALONE
        .iter()
        .copied()
        .chain(["kameo", "ractor", "actix", "tokio", "kanal", "flume"])
        .map(|who| {
            let whos = [who.to_owned(), format!("{who} (resident)")];
            Contender::many(whos, move || child::samples(CASE.name, who))
        })
        .collect()
}

fn child(who: &str) -> Vec<f64> {
    let population: fn() -> Box<dyn Any> = match who {
        "ray" => || Box::new(ours::population(ACTORS)),
        "kameo" => || Box::new(kameo::population(ACTORS)),
        "ractor" => || Box::new(ractor::population(ACTORS)),
        "actix" => || Box::new(actix::population(ACTORS)),
        "tokio" => || Box::new(population::<Tokio>(ACTORS)),
        "kanal" => || Box::new(population::<Kanal>(ACTORS)),
        "flume" => || Box::new(population::<Flume>(ACTORS)),
        _ => panic!("nobody is called {who}"),
    };
    memory::count();
    if who == "ray" {
        ours::first_result();
    } else {
        runtime();
    }
    let (live, resident) = (memory::live(), memory::resident());
    let actors = population();
    let samples = vec![(memory::live() - live) as f64 / ACTORS as f64, (memory::resident() - resident) * 1024.0 / ACTORS as f64];
    std::mem::forget(actors);
    samples
}
