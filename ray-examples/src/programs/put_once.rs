//! The article's "Avoid passing same object repeatedly", the fast variant: the program puts the array once.
//!
//! ```python
//! ray.init(num_cpus = 4)
//!
//! @ray.remote
//! def no_work(a):
//!     return
//!
//! start = time.time()
//! a_id = ray.put(np.zeros((10000, 2000)))
//! result_ids = [no_work.remote(a_id) for x in range(10)]
//! results = ray.get(result_ids)
//! print("duration =", time.time() - start)
//! ```
//!
//! A parameter `&Array2<f64>` borrows the stored array, without a copy.

use std::time::{Duration, Instant};

use ndarray::Array2;
use ray::{Config, remote};

use crate::report::Report;

#[remote]
fn no_work(_a: &Array2<f64>) {}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    ray::init_with(Config::new().num_cpus(4))?;

    let start = Instant::now();
    let a_id = ray::put(Array2::<f64>::zeros((10_000, 2_000)));
    let result_ids: Vec<_> = (0..10).map(|_| no_work.remote(&a_id)).collect();
    let results = ray::get(result_ids)?;
    let duration = start.elapsed();
    println!("duration = {}", duration.as_secs_f64());

    assert_eq!(results.len(), 10);
    report.took("a put, 10 tasks", duration).article(0.1243).ideal(Duration::ZERO);
    ray::shutdown()
}
