//! Two remote functions of one name: the first error is the cause of the others.

use ray::remote;

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn square(x: f64) -> f64 {
    x * x
}

fn main() {}
