//! A type has at most one #[remote] impl; its other impl blocks stay plain.

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

    pub fn get(&self) -> i64 {
        self.value
    }
}

#[remote]
impl Counter {
    pub fn increment(&mut self) -> i64 {
        self.value += 1;
        self.value
    }
}

fn main() {
    let _ = Counter::remote().get.remote();
}
