//! The article's "Delay ray.get()": a get blocks the caller, so with a get after each call no two tasks run in parallel.
//!
//! ```python
//! def do_some_work(x):
//!     time.sleep(1) # Replace this with work you need to do.
//!     return x
//!
//! start = time.time()
//! results = [do_some_work(x) for x in range(4)]
//! print("duration =", time.time() - start, "\nresults = ", results)
//!
//! start = time.time()
//! results = [do_some_work.remote(x) for x in range(4)]
//! print("duration =", time.time() - start, "\nresults = ", results)
//!
//! start = time.time()
//! results = [ray.get(do_some_work.remote(x)) for x in range(4)]
//! print("duration =", time.time() - start, "\nresults = ", results)
//!
//! results = ray.get([do_some_work.remote(x) for x in range(4)])
//! ```
//!
//! In a longer loop than this one, the engine itself warns of the third variant, with file and line.

use std::thread;
use std::time::{Duration, Instant};

use ray::{Config, remote};

use crate::report::Report;

#[remote]
fn do_some_work(x: i64) -> i64 {
    thread::sleep(Duration::from_secs(1)); // Replace this with work you need to do.
    x
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    ray::init_with(Config::new().num_cpus(4))?;

    // Plain calls, one after the other: a remote function is still a function.
    let start = Instant::now();
    let results: Vec<_> = (0..4).map(*do_some_work).collect();
    let duration = start.elapsed();
    println!("duration = {}\nresults = {results:?}", duration.as_secs_f64());
    assert_eq!(results, [0, 1, 2, 3]);
    report.took("plain calls", duration).article(4.0149).ideal(Duration::from_secs(4));

    // Remote calls: each returns without waiting, with a reference to a result that is not ready yet.
    let start = Instant::now();
    let results: Vec<_> = (0..4).map(|x| do_some_work.remote(x)).collect();
    let duration = start.elapsed();
    println!("duration = {}\nresults = {results:?}", duration.as_secs_f64());
    report.took("remote calls alone", duration).article(0.00036).ideal(Duration::ZERO);
    // In the article each variant is a program run of its own. So this get waits until all CPUs are free for the next
    // variant.
    assert_eq!(ray::get(results)?, [0, 1, 2, 3]);

    // A get after each call: one operation at a time.
    let start = Instant::now();
    let results: Vec<_> = (0..4).map(|x| ray::get(do_some_work.remote(x))).collect::<ray::Result<_>>()?;
    let duration = start.elapsed();
    println!("duration = {}\nresults = {results:?}", duration.as_secs_f64());
    assert_eq!(results, [0, 1, 2, 3]);
    report.took("a get after each", duration).article(4.0181).ideal(Duration::from_secs(4));

    // One get of all results, after all calls.
    let start = Instant::now();
    let results = ray::get((0..4).map(|x| do_some_work.remote(x)).collect::<Vec<_>>())?;
    let duration = start.elapsed();
    println!("duration = {}\nresults = {results:?}", duration.as_secs_f64());
    assert_eq!(results, [0, 1, 2, 3]);
    report.took("one get of all", duration).article(1.0065).ideal(Duration::from_secs(1));

    ray::shutdown()
}
