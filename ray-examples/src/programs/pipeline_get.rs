//! The article's "Pipeline data processing", first the slow variant: the program gets all results before it processes one.
//!
//! ```python
//! ray.init(num_cpus = 4)
//!
//! @ray.remote
//! def do_some_work(x):
//!     time.sleep(random.uniform(0, 4)) # Replace this with work you need to do.
//!     return x
//!
//! def process_results(results):
//!     sum = 0
//!     for x in results:
//!         time.sleep(1) # Replace this with some processing code.
//!         sum += x
//!     return sum
//!
//! start = time.time()
//! data_list = ray.get([do_some_work.remote(x) for x in range(4)])
//! sum = process_results(data_list)
//! print("duration =", time.time() - start, "\nresult = ", sum)
//! ```

use std::thread;
use std::time::{Duration, Instant};

use ray::{Config, remote};

use crate::report::Report;

/// The time of the work on `x`: uniform between 0 and 4 s, the same in each run.
fn uniform(x: u64) -> Duration {
    Duration::from_secs_f64(fastrand::Rng::with_seed(543 + x).f64() * 4.0)
}

#[remote]
fn do_some_work(x: u64) -> u64 {
    thread::sleep(uniform(x)); // Replace this with work you need to do.
    x
}

fn process_results(results: Vec<u64>) -> u64 {
    let mut sum = 0;
    for x in results {
        thread::sleep(Duration::from_secs(1)); // Replace this with some processing code.
        sum += x;
    }
    sum
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    ray::init_with(Config::new().num_cpus(4))?;

    let start = Instant::now();
    let data_list = ray::get((0..4).map(|x| do_some_work.remote(x)).collect::<Vec<_>>())?;
    let sum = process_results(data_list);
    let duration = start.elapsed();
    println!("duration = {}\nresult = {sum}", duration.as_secs_f64());

    assert_eq!(sum, 6);
    // The ideal schedule has the time of the slowest task, and then one second for each result.
    let slowest = (0..4).map(uniform).max().unwrap_or_default();
    report.took("", duration).article(7.8264).ideal(slowest + Duration::from_secs(4));
    ray::shutdown()
}
