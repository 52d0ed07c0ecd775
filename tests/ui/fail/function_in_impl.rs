//! `#[remote]` on a function inside an impl: rustc reports it before the macro can.

use ray::remote;

struct Geometry;

impl Geometry {
    #[remote]
    pub fn square(x: i64) -> i64 {
        x * x
    }
}

fn main() {
    let _ = Geometry::square.remote(3);
}
