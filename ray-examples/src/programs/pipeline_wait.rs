//! The article's "Pipeline data processing" with `ray.wait`: the program processes each result as soon as it is ready.
//!
//! ```python
//! ray.init(num_cpus = 4)
//!
//! @ray.remote
//! def do_some_work(x):
//!     time.sleep(random.uniform(0, 4)) # Replace this with work you need to do.
//!     return x
//!
//! def process_incremental(sum, result):
//!     time.sleep(1) # Replace this with some processing code.
//!     return sum + result
//!
//! start = time.time()
//! result_ids = [do_some_work.remote(x) for x in range(4)]
//! sum = 0
//! while len(result_ids):
//!     done_id, result_ids = ray.wait(result_ids)
//!     sum = process_incremental(sum, ray.get(done_id[0]))
//! print("duration =", time.time() - start, "\nresult = ", sum)
//! ```

use std::thread;
use std::time::{Duration, Instant};

use ray::{Config, Pending, remote};

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

fn process_incremental(sum: u64, result: u64) -> u64 {
    thread::sleep(Duration::from_secs(1)); // Replace this with some processing code.
    sum + result
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    ray::init_with(Config::new().num_cpus(4))?;

    let start = Instant::now();
    let result_ids: Vec<_> = (0..4).map(|x| do_some_work.remote(x)).collect();
    let mut rest = Pending::from(result_ids);
    let mut sum = 0;
    while !rest.is_empty() {
        let (mut done, others) = ray::wait(rest, 1)?;
        sum = process_incremental(sum, ray::get(done.remove(0))?);
        rest = others;
    }
    let duration = start.elapsed();
    println!("duration = {}\nresult = {sum}", duration.as_secs_f64());

    assert_eq!(sum, 6);
    report.took("", duration).article(4.8525).ideal(overlapped());
    ray::shutdown()
}

/// The time of the ideal schedule: the program processes each result for one second, in the order in which the results
/// become ready.
fn overlapped() -> Duration {
    let mut ready: Vec<Duration> = (0..4).map(uniform).collect();
    ready.sort();
    ready.into_iter().fold(Duration::ZERO, |busy_until, ready| busy_until.max(ready) + Duration::from_secs(1))
}
