//! The article's first program, which is in C++: a thread has the promise, and the caller has the future.
//!
//! ```cpp
//! std::promise<int> _promise;
//! std::future<int> _future = _promise.get_future();
//! std::vector<int> test_data = {1, 2, 3, 4, 5, 6};
//! auto sum_of_data = [](const std::vector<int>& data, std::promise<int> prom) {
//!     int sum = std::accumulate(data.begin(), data.end(), 0);
//!     std::this_thread::sleep_for(std::chrono::milliseconds(500));
//!     prom.set_value(sum);
//! };
//! std::thread work_thread(sum_of_data, test_data, std::move(_promise));
//! std::cout << "async result is " << _future.get() << std::endl;
//! work_thread.join();
//! ```
//!
//! The two ends of a channel for one value are the promise and the future. `promise_task` and `promise_actor` are the same
//! program with Ray's tasks and actors instead of thread, promise and future.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::report::Report;

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let start = Instant::now();
    // A promise and its future.
    let (promise, future) = mpsc::channel();
    let test_data = vec![1, 2, 3, 4, 5, 6];
    // Sums up the data and keeps the promise with the sum.
    let sum_of_data = |data: &[i64], promise: mpsc::Sender<i64>| {
        let sum = data.iter().sum();
        thread::sleep(Duration::from_millis(500)); // sleeps for 500 ms
        promise.send(sum)
    };
    // A thread runs the closure asynchronously.
    let work_thread = thread::spawn(move || sum_of_data(&test_data, promise));
    // Waits for the value of the future.
    let result = future.recv().map_err(ray::Error::other)?;
    let duration = start.elapsed();
    println!("async result is {result}");
    // Waits for the end of the thread.
    let kept = work_thread.join().expect("the thread does not panic");

    assert_eq!(result, 21);
    assert_eq!(kept, Ok(()));
    report.took("", duration).ideal(Duration::from_millis(500));
    Ok(())
}
