//! A method of a handle is called by `.remote(..)`.

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

    pub fn increment(&mut self, by: i64) -> i64 {
        self.value += by;
        self.value
    }

    pub fn get(&self) -> i64 {
        self.value
    }
}

fn main() {
    let counter = Counter::remote();
    counter.increment(1);
    println!("{}", counter.get());
}
