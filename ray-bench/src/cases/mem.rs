//! The contenders of [`mem`](crate::workload::mem).

use std::any::Any;

use crate::{
    callers::runtime,
    child,
    measure::{Case, Contender},
    memory, ours,
    peers::{
        actix,
        by_hand::population,
        channels::{Flume, Kanal, Tokio},
        kameo, ractor,
    },
    workload::mem::{ACTORS, DEFINITION},
};

pub(crate) const CASE: Case = Case { contenders, child: Some(child), ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    ours::ALONE
        .iter()
        .copied()
        .chain(["kameo", "ractor", "actix", "tokio", "kanal", "flume"])
        .map(|who| {
            let whos = [who.to_owned(), format!("{who} (resident)")];
            Contender::many(whos, move || child::samples(DEFINITION.name, who))
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
        _ => panic!("no contender has the name {who}"),
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
