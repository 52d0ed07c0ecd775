//! The article's "Ray task example": two tasks, two futures, one get.
//!
//! ```python
//! import ray
//! ray.init()
//!
//! @ray.remote
//! def func(x):
//!     return x ** 2
//!
//! # driver process
//! if __name__ == "__main__":
//!
//!     # create 2 workers, execute func remotely, return 2 futures which each points to a remote op
//!     futures = [func.remote(i) for i in range(2)]
//!
//!     # blocking
//!     results = ray.get(futures))
//!     print(f"The final result is: {results}") # [0, 1]
//! ```

use std::time::{Duration, Instant};

use ray::remote;

use crate::report::Report;

#[remote]
fn func(x: i64) -> i64 {
    x.pow(2)
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let start = Instant::now();
    ray::init()?;

    // Execute func remotely, twice: each of the two futures points to a remote op.
    let futures: Vec<_> = (0..2).map(|i| func.remote(i)).collect();

    // Blocking.
    let results = ray::get(futures)?;
    println!("The final result is: {results:?}"); // [0, 1]

    let duration = start.elapsed();
    assert_eq!(results, [0, 1]);
    report.took("init, 2 tasks", duration).ideal(Duration::ZERO);
    ray::shutdown()
}
