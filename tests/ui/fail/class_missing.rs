//! #[remote] must be on both the struct and its impl.

use ray::remote;

struct Counter;

#[remote]
impl Counter {
    pub fn new() -> Self {
        Counter
    }

    pub fn get(&self) -> u8 {
        1
    }
}

#[remote]
struct Alone;

fn main() {
    let counter = Counter::remote();
    let _ = counter.get.remote();
    let _ = Alone::remote();
}
