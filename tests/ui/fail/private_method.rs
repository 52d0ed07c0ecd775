//! A handle shows the methods of the `#[remote]` impl that are `pub` (or `pub(crate)`), and no functions without `self`.

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

    fn increment(&mut self) -> i64 {
        self.value += 1;
        self.value
    }

    pub fn zero() -> i64 {
        0
    }
}

impl Counter {
    pub fn reset(&mut self) {
        self.value = 0;
    }
}

fn main() {
    let counter = Counter::remote();
    let _ = counter.increment.remote();
    let _ = counter.zero.remote();
    let _ = counter.reset.remote();
    let _ = Counter::new().get.remote();
}
