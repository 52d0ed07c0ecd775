//! `fib25`: the recursive Fibonacci of 25, in which every call is a remote task, without a cut-off: 242,785 tasks.
//!
//! The scoped joins and the plain recursion stand beside it as what the machine can do; none of them could hold a reference
//! to a result.

use std::time::Instant;

use crate::{
    measure::{Case, Contender, USUAL},
    ours,
    peers::{rayon, tokio_tasks},
};

pub(crate) const N: u64 = 25;

pub(crate) const CASE: Case =
    Case { name: "fib25", what: "recursive fib(25), every call a task; microseconds in all", unit: "us", contenders, ..USUAL };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::fib_tasks());
    all.push(tokio_tasks::fib());
    all.extend(rayon::fib());
    all.push(Contender::new("sequential", || microseconds(|| fib(std::hint::black_box(N)))));
    all
}

fn fib(n: u64) -> u64 {
    if n < 2 { n } else { fib(n - 1) + fib(n - 2) }
}

/// The microseconds that `body` takes to compute the number.
pub(crate) fn microseconds(body: impl FnOnce() -> u64) -> f64 {
    let start = Instant::now();
    let result = body();
    let elapsed = start.elapsed();
    assert_eq!(result, 75_025);
    elapsed.as_secs_f64() * 1e6
}
