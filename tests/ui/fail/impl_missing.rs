//! A `#[remote]` struct whose impl has no `#[remote]`.

use ray::remote;

#[remote]
struct Counter {
    value: i64,
}

impl Counter {
    pub fn new() -> Self {
        Counter { value: 0 }
    }

    pub fn increment(&mut self) -> i64 {
        self.value += 1;
        self.value
    }
}

fn main() {
    let counter = Counter::remote();
    let _ = counter.increment.remote();
}
