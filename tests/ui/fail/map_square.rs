//! A remote function is not a closure: `.map(*square)` dereferences it to the plain function.

use ray::remote;

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

fn main() {
    let squares: Vec<i64> = (0..4).map(square).collect();
    println!("{squares:?}");
}
