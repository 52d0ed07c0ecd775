//! `par20`: 20,000 tasks of 20 microseconds of arithmetic each, all submitted, then all results got.
//!
//! The sample is the time over the ideal: what the same tasks take one after another on one thread, measured right before,
//! divided by the number of cores.

use std::{hint::black_box, time::Instant};

use crate::{
    measure::{Case, Contender, USUAL, cores},
    ours,
    peers::{rayon, tokio_tasks},
};

const TASKS: u64 = 20_000;
/// How long one task is to take.
const NANOSECONDS: f64 = 20_000.0;

pub(crate) const CASE: Case =
    Case { name: "par20", what: "20,000 tasks of 20 us of arithmetic; time over the ideal", unit: "ratio", contenders, ..USUAL };

fn contenders() -> Vec<Contender> {
    let work = Work::calibrated();
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::par(work));
    all.extend(rayon::par(work));
    all.push(tokio_tasks::par(work));
    all
}

/// A task's arithmetic.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    steps: u64,
}

impl Work {
    /// Work of the wanted length on this machine, now.
    pub(crate) fn calibrated() -> Self {
        // The fastest of many that are short enough to run without being interrupted.
        let probe = Work { steps: 200_000 };
        let fastest = (0..100)
            .map(|seed| {
                let start = Instant::now();
                black_box(probe.run(black_box(seed)));
                start.elapsed().as_nanos() as f64
            })
            .fold(f64::INFINITY, f64::min);
        Work { steps: (probe.steps as f64 * NANOSECONDS / fastest) as u64 }
    }

    pub(crate) fn of_steps(steps: u64) -> Self {
        Work { steps }
    }

    pub(crate) fn steps(self) -> u64 {
        self.steps
    }

    /// One task: a chain of multiplications, which no compiler shortens and no other core disturbs.
    pub(crate) fn run(self, seed: u64) -> u64 {
        (0..self.steps).fold(seed, |x, i| (x ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23))
    }

    /// The time of `all`, which is told the number of tasks and returns the sum of their results, over the ideal.
    pub(crate) fn ratio(self, all: impl FnOnce(u64) -> u64) -> f64 {
        let start = Instant::now();
        let expected = (0..TASKS).fold(0u64, |sum, seed| sum.wrapping_add(self.run(seed)));
        let sequential = start.elapsed();
        let start = Instant::now();
        let sum = all(TASKS);
        let parallel = start.elapsed();
        assert_eq!(sum, expected);
        parallel.as_secs_f64() / (sequential.as_secs_f64() / cores() as f64)
    }
}
