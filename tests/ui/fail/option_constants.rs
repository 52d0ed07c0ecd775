//! Options that are constants are checked at compile time.

use ray::remote;

const NEGATIVE: f64 = -1.0;
const NONE: u32 = 0;

#[remote(num_cpus = NEGATIVE)]
fn negative() {}

#[remote(max_concurrency = NONE)]
struct Idle;

#[remote]
impl Idle {
    pub fn new() -> Self {
        Idle
    }
}

fn main() {}
