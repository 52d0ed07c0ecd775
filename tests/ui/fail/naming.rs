//! The price of `square.remote(..)`: a remote function is a unit struct, so where it is in scope, its name is a pattern.

use ray::remote;

#[remote]
fn total(xs: &[f64]) -> f64 {
    xs.iter().sum()
}

fn variable() -> f64 {
    let total = 1.0;
    total
}

fn parameter(total: f64) -> f64 {
    total
}

fn binding(sum: Option<f64>) -> f64 {
    match sum {
        Some(total) => total,
        None => 0.0,
    }
}

#[remote]
fn double(total: f64) -> f64 {
    total * 2.0
}

mod elsewhere {
    // Not in scope here, so the name is free.
    pub fn variable() -> f64 {
        let total = 1.0;
        total
    }
}

fn main() {
    println!("{}", variable() + parameter(1.0) + binding(None) + elsewhere::variable());
}
