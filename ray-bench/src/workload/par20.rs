//! `par20`: the caller submits 20,000 tasks of 20 microseconds of arithmetic each, and then gets all results.
//!
//! The sample is the time of all tasks divided by the ideal time. The ideal is the time of the same tasks one after another
//! on one thread, measured right before, divided by the number of cores.

use std::time::Instant;

use super::arithmetic::Work;
use crate::measure::{Definition, cores};

pub(crate) const DEFINITION: Definition =
    Definition { name: "par20", what: "20,000 tasks of 20 us of arithmetic; time over the ideal", unit: "ratio" };

const TASKS: u64 = 20_000;

/// The time of `all` over the ideal. `all` receives the number of tasks and returns the sum of their results.
pub(crate) fn ratio(work: Work, all: impl FnOnce(u64) -> u64) -> f64 {
    let start = Instant::now();
    let expected = (0..TASKS).fold(0u64, |sum, seed| sum.wrapping_add(work.run(seed)));
    let sequential = start.elapsed();
    let start = Instant::now();
    let sum = all(TASKS);
    let parallel = start.elapsed();
    assert_eq!(sum, expected);
    parallel.as_secs_f64() / (sequential.as_secs_f64() / cores() as f64)
}
