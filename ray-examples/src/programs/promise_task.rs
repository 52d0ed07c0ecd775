//! The article's first program, with a task instead of the C++ thread: the call makes both the promise and the future.
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

use std::thread;
use std::time::{Duration, Instant};

use ray::remote;

use crate::report::Report;

// Sums up the data; the return value keeps the promise.
#[remote]
fn sum_of_data(data: &[i64]) -> i64 {
    let sum = data.iter().sum();
    thread::sleep(Duration::from_millis(500)); // sleeps for 500 ms
    sum
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let start = Instant::now();
    let test_data = vec![1, 2, 3, 4, 5, 6];
    // A worker runs the task asynchronously; the call returns the future.
    let future = sum_of_data.remote(test_data);
    // Waits for the value of the future.
    let result = ray::get(future)?;
    let duration = start.elapsed();
    println!("async result is {result}");

    assert_eq!(result, 21);
    report.took("", duration).ideal(Duration::from_millis(500));
    ray::shutdown()
}
