//! Two `#[remote]` impls of one type, each with a constructor.

use ray::remote;

#[remote]
struct Counter {
    value: i64,
}

#[remote]
impl Counter {
    pub fn new() -> Self {
        Counter { value: 0 }
    }
}

#[remote]
impl Counter {
    pub fn new(value: i64) -> Self {
        Counter { value }
    }

    pub fn get(&self) -> i64 {
        self.value
    }
}

fn main() {}
