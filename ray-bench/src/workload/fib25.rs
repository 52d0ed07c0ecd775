//! `fib25`: the recursive Fibonacci number of 25; every call is a remote task, without a cut-off: 242,785 tasks.
//!
//! The scoped joins and the plain recursion show the limit of the machine. Neither of them gives a reference to a result.

use std::time::Instant;

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "fib25", what: "recursive fib(25), every call a task; microseconds in total", unit: "us" };

pub(crate) const N: u64 = 25;

/// The microseconds that `body` takes to compute the number.
pub(crate) fn microseconds(body: impl FnOnce() -> u64) -> f64 {
    let start = Instant::now();
    let result = body();
    let elapsed = start.elapsed();
    assert_eq!(result, 75_025);
    elapsed.as_secs_f64() * 1e6
}
