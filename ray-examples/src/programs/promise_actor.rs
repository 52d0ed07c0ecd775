//! The article's first program, with an actor instead of the C++ thread: the worker stays and keeps state.
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

#[remote]
struct Worker {
    promises_kept: u32,
}

#[remote]
impl Worker {
    pub fn new() -> Self {
        Worker { promises_kept: 0 }
    }

    // Sums up the data; the return value keeps the promise.
    pub fn sum_of_data(&mut self, data: &[i64]) -> i64 {
        let sum = data.iter().sum();
        thread::sleep(Duration::from_millis(500)); // sleeps for 500 ms
        self.promises_kept += 1;
        sum
    }

    pub fn promises_kept(&self) -> u32 {
        self.promises_kept
    }
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let start = Instant::now();
    let test_data = vec![1, 2, 3, 4, 5, 6];
    let worker = Worker::remote();
    // The actor runs the method asynchronously; the call returns the future.
    let future = worker.sum_of_data.remote(test_data);
    // Waits for the value of the future.
    let result = ray::get(future)?;
    let duration = start.elapsed();
    println!("async result is {result}");

    assert_eq!(result, 21);
    assert_eq!(ray::get(worker.promises_kept.remote())?, 1);
    report.took("", duration).ideal(Duration::from_millis(500));
    ray::shutdown()
}
