//! A remote function is a unit struct, so while it is in scope its name in a pattern is that struct, not a new binding.

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
    // The function is not in scope here, so the name is free.
    pub fn variable() -> f64 {
        let total = 1.0;
        total
    }
}

fn main() {
    println!("{}", variable() + parameter(1.0) + binding(None) + elsewhere::variable());
}
