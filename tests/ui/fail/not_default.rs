//! `#[remote(default)]` for a type that is not `Default`.

use ray::remote;

#[remote]
struct Counter {
    value: u64,
}

#[remote(default)]
impl Counter {
    pub fn value(&self) -> u64 {
        self.value
    }
}

fn main() {
    let _ = Counter::remote().value.remote();
}
