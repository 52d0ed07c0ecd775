//! The contenders of [`fib25`](crate::workload::fib25).

use crate::{
    measure::{Case, Contender},
    ours,
    peers::{rayon, tokio_tasks},
    workload::fib25::{DEFINITION, N, microseconds},
};

pub(crate) const CASE: Case = Case { contenders, ..Case::of(DEFINITION) };

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
