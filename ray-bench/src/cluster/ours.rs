//! This project's driver, with the functions and the actor that its workers run.

#![allow(unreachable_pub, reason = "`pub` exports the methods of an actor")]

use std::cell::OnceCell;
use std::time::Instant;

use ray::{ActorHandle, remote};

use crate::measure::Outcome;

#[remote]
fn noop(x: u64) -> u64 {
    x
}

#[remote]
struct Echo;

#[remote]
impl Echo {
    pub fn new() -> Self {
        Echo
    }

    pub fn noop(&self, x: u64) -> u64 {
        x
    }
}

#[remote]
fn make(n: usize) -> Vec<f64> {
    vec![1.0; n]
}

#[remote]
fn length(values: &[f64]) -> usize {
    values.len()
}

thread_local! {
    static ACTOR: OnceCell<ActorHandle<Echo>> = const { OnceCell::new() };
}

/// The actor, from its first call on.
fn actor() -> ActorHandle<Echo> {
    ACTOR.with(|actor| actor.get_or_init(Echo::remote).clone())
}

/// Joins the cluster. A worker of Ray that has started this program serves its calls here, and does not return.
pub(crate) fn join() -> Outcome {
    ray::init()?;
    Ok(())
}

/// The main function of a new driver: prints the seconds that it needs to join, and those of its first task.
pub(crate) fn connect() -> Outcome {
    let begin = Instant::now();
    ray::init()?;
    let joined = begin.elapsed();
    assert_eq!(ray::get(noop.remote(1))?, 1);
    println!("{} {}", joined.as_secs_f64(), (begin.elapsed() - joined).as_secs_f64());
    ray::shutdown()?;
    Ok(())
}

fn got<T>(result: ray::Result<T>) -> T {
    result.unwrap_or_else(|error| panic!("{error:?}"))
}

/// The calls per second of `n` calls that are submitted together.
pub(crate) fn rate(name: &str, n: usize) -> Vec<f64> {
    let numbers = 0..n as u64;
    let begin = Instant::now();
    let results = if name == "tasks" {
        ray::get(numbers.clone().map(|i| noop.remote(i)).collect::<Vec<_>>())
    } else {
        let actor = actor();
        ray::get(numbers.clone().map(|i| actor.noop.remote(i)).collect::<Vec<_>>())
    };
    let seconds = begin.elapsed().as_secs_f64();
    assert!(got(results).into_iter().eq(numbers));
    vec![n as f64 / seconds]
}

/// The median and the 99th percentile of `n` round trips, in µs.
pub(crate) fn trips(name: &str, n: usize) -> Vec<f64> {
    let actor = (name == "call").then(actor);
    let mut times: Vec<f64> = (0..n as u64)
        .map(|i| {
            let begin = Instant::now();
            let call = match &actor {
                Some(actor) => actor.noop.remote(i),
                None => noop.remote(i),
            };
            assert_eq!(got(ray::get(call)), i);
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    vec![times[n / 2], times[n * 99 / 100]]
}

/// The median time of `rounds` operations with a value of `n` floats, in µs.
pub(crate) fn value(name: &str, n: usize, rounds: usize) -> f64 {
    let mut times: Vec<f64> = (0..rounds).map(|_| once(name, n) * 1e6).collect();
    times.sort_by(f64::total_cmp);
    times[rounds / 2]
}

/// The seconds of one operation.
fn once(name: &str, n: usize) -> f64 {
    match name {
        "put" => {
            let value = vec![1.0; n];
            let begin = Instant::now();
            let object = ray::put(value);
            let seconds = begin.elapsed().as_secs_f64();
            drop(object);
            seconds
        }
        "get" => {
            let object = make.remote(n);
            assert_eq!(got(ray::get(length.remote(&object))), n);
            let begin = Instant::now();
            let value = got(ray::get(object));
            let seconds = begin.elapsed().as_secs_f64();
            assert_eq!(value.len(), n);
            seconds
        }
        "argument" => {
            let value = vec![1.0; n];
            let begin = Instant::now();
            assert_eq!(got(ray::get(length.remote(ray::put(value)))), n);
            begin.elapsed().as_secs_f64()
        }
        "result" => {
            let begin = Instant::now();
            let value = got(ray::get(make.remote(n)));
            let seconds = begin.elapsed().as_secs_f64();
            assert_eq!(value.len(), n);
            seconds
        }
        other => unreachable!("{other} is no case of values"),
    }
}
