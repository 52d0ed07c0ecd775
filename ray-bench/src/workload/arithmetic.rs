//! Arithmetic of a certain time on this machine: the body of a task in the cases that need a processor.

use std::{hint::black_box, time::Instant};

/// The time of a task in most cases, in nanoseconds.
pub(crate) const TWENTY_MICROSECONDS: f64 = 20_000.0;

/// The arithmetic of one task.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    steps: u64,
}

impl Work {
    /// Work of so many nanoseconds on this machine, now.
    pub(crate) fn calibrated(nanoseconds: f64) -> Self {
        // The fastest of many samples: each is so short that the system interrupts few of them.
        let probe = Work { steps: 200_000 };
        let fastest = (0..100)
            .map(|seed| {
                let start = Instant::now();
                black_box(probe.run(black_box(seed)));
                start.elapsed().as_nanos() as f64
            })
            .fold(f64::INFINITY, f64::min);
        Work { steps: (probe.steps as f64 * nanoseconds / fastest) as u64 }
    }

    pub(crate) fn of_steps(steps: u64) -> Self {
        Work { steps }
    }

    pub(crate) fn steps(self) -> u64 {
        self.steps
    }

    /// Runs one task: a chain of multiplications. No compiler shortens it, and no other core slows it down.
    pub(crate) fn run(self, seed: u64) -> u64 {
        (0..self.steps).fold(seed, |x, i| (x ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23))
    }
}
