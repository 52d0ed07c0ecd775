//! Items that cannot be remote.

use ray::remote;

#[remote]
trait Shape {
    fn area(&self) -> f64;
}

#[remote]
mod jobs {
    pub fn run() {}
}

#[remote]
const LIMIT: usize = 3;

#[remote]
static NAME: &str = "ray";

#[remote]
union Bits {
    int: u32,
    float: f32,
}

#[remote]
type Count = u32;

#[remote]
use std::collections::HashMap;

#[remote]
struct Borrowing<'a> {
    name: &'a str,
}

#[remote]
impl<'a> Borrowing<'a> {
    pub fn new() -> Self {
        Borrowing { name: "" }
    }
}

struct Plain;

impl Plain {
    #[remote]
    pub fn increment(&mut self) {}

    #[ray::method(num_returns = 2)]
    pub fn alone(&self) -> (u8, u8) {
        (1, 2)
    }
}

fn main() {
    jobs::run();
    let _ = (LIMIT, NAME, 0 as Count, HashMap::<u8, u8>::new(), Bits { int: 1 });
    Plain.increment();
    let _ = Plain.alone();
    let _ = Borrowing::new().name;
}
