//! A parameter without a type, as in Python.

use ray::remote;

#[remote]
fn square(x) {
    x * x
}

fn main() {}
