//! The contenders of [`allreduce`](crate::workload::allreduce), and for comparison the copy of one buffer.

use std::{hint::black_box, time::Instant};

use crate::{
    measure::{Case, Contender},
    ours::allreduce::contender,
    workload::allreduce::{DEFINITION, NUMBERS, TIMES, before},
};

const MEMCPY: &str = "memcpy";

pub(crate) const CASE: Case = Case { contenders, yardsticks: &[MEMCPY], ..Case::of(DEFINITION) };

fn contenders() -> Vec<Contender> {
    vec![contender(2), contender(4), memcpy()]
}

fn memcpy() -> Contender {
    let from: Vec<f32> = (0..NUMBERS).map(|i| before(i, 0)).collect();
    let mut into = vec![0.0; NUMBERS];
    Contender::new(MEMCPY, move || {
        into.fill(0.0);
        let start = Instant::now();
        for _ in 0..TIMES {
            black_box(&mut into).copy_from_slice(black_box(&from));
        }
        let elapsed = start.elapsed();
        assert_eq!(into, from);
        elapsed.as_secs_f64() * 1e6 / TIMES as f64
    })
}
