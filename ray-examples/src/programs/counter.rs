//! The article's "Ray Actor": a type with state, whose methods the caller calls remotely.
//!
//! ```python
//! import ray
//!
//! @ray.remote
//! class Counter:
//!     def __init__(self):
//!         self.value = 0
//!
//!     def increment(self):
//!         self.value += 1
//!         return self.value
//!
//!     # define the accessor as we can't use direct access
//!     def get_counter(self):
//!         return self.value
//!
//! # Create an actor from this class.
//! counter = Counter.remote()
//!
//! # Call the actor.
//! obj_ref = counter.increment.remote()
//! print(ray.get(obj_ref))
//!
//! # Create ten Counter actors.
//! counters = [Counter.remote() for _ in range(10)]
//!
//! # Increment each Counter once and get the results. These tasks all happen in
//! # parallel.
//! results = ray.get([c.increment.remote() for c in counters])
//! print(results)
//!
//! # Increment the first Counter five times. These tasks are executed serially
//! # and share state.
//! results = ray.get([counters[0].increment.remote() for _ in range(5)])
//! print(results)
//! ```

use std::time::{Duration, Instant};

use ray::remote;

use crate::report::Report;

#[remote]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    pub fn new() -> Self {
        Counter { value: 0 }
    }

    pub fn increment(&mut self) -> i64 {
        self.value += 1;
        self.value
    }

    // Define the accessor as we can't use direct access.
    pub fn get_counter(&self) -> i64 {
        self.value
    }
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let start = Instant::now();

    // Create an actor from this type.
    let counter = Counter::remote();

    // Call the actor.
    let obj_ref = counter.increment.remote();
    let result = ray::get(obj_ref)?;
    println!("{result}");
    assert_eq!(result, 1);

    // Create ten Counter actors.
    let counters: Vec<_> = (0..10).map(|_| Counter::remote()).collect();

    // Increment each Counter once and get the results. These tasks all happen in
    // parallel.
    let results = ray::get(counters.iter().map(|c| c.increment.remote()).collect::<Vec<_>>())?;
    println!("{results:?}");
    assert_eq!(results, [1; 10]);

    // Increment the first Counter five times. These tasks are executed serially
    // and share state.
    let results = ray::get((0..5).map(|_| counters[0].increment.remote()).collect::<Vec<_>>())?;
    println!("{results:?}");
    assert_eq!(results, [2, 3, 4, 5, 6]);

    report.took("11 actors, 16 calls", start.elapsed()).ideal(Duration::ZERO);
    assert_eq!(ray::get(counters[0].get_counter.remote())?, 6);
    ray::shutdown()
}
