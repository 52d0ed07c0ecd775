//! The article's "Avoid passing same object repeatedly", the slow variant: each call passes the array by value.
//!
//! ```python
//! ray.init(num_cpus = 4)
//!
//! @ray.remote
//! def no_work(a):
//!     return
//!
//! start = time.time()
//! a = np.zeros((10000, 2000))
//! result_ids = [no_work.remote(a) for x in range(10)]
//! results = ray.get(result_ids)
//! print("duration =", time.time() - start)
//! ```
//!
//! Python copies the array, and its code does not show the copies. This code shows them: ten calls by value take ten clones. The
//! program also measures ten clones alone. `put_once` is the fast variant.

use std::hint::black_box;
use std::time::{Duration, Instant};

use ndarray::Array2;
use ray::{Config, remote};

use crate::report::Report;

#[remote]
fn no_work(_a: &Array2<f64>) {}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    ray::init_with(Config::new().num_cpus(4))?;

    let before = ten_clones();

    let start = Instant::now();
    let a = Array2::<f64>::zeros((10_000, 2_000));
    let result_ids: Vec<_> = (0..10).map(|_| no_work.remote(a.clone())).collect();
    let results = ray::get(result_ids)?;
    let duration = start.elapsed();
    println!("duration = {}", duration.as_secs_f64());
    assert_eq!(results.len(), 10);

    // The cost of memory changes from second to second, so the program measures the clones before and after the calls.
    let clones = (before + ten_clones()) / 2;
    println!("ten clones alone = {}", clones.as_secs_f64());

    report.took("ideal: ten clones", duration).article(1.0699).ideal(clones).near(clones / 20);
    ray::shutdown()
}

/// The time of the same array and ten clones of it, without calls.
fn ten_clones() -> Duration {
    let start = Instant::now();
    // `black_box` hides the zeros from the compiler, which could otherwise clone them without a write to memory.
    let a = black_box(Array2::<f64>::zeros((10_000, 2_000)));
    for _ in 0..10 {
        drop(black_box(a.clone()));
    }
    start.elapsed()
}
