//! A parameter `T` accepts a `T` or a reference to one, so an argument that could be either needs a type annotation.

use ray::remote;

#[remote]
fn count(xs: Vec<u8>) -> usize {
    xs.len()
}

#[remote]
fn sum(xs: &[f64]) -> f64 {
    xs.iter().sum()
}

// One function for each, because rustc reports only the first of these errors in a body.
fn a_vec() {
    let _ = count.remote(vec![]);
}

fn a_vec_to_borrow() {
    let _ = sum.remote(vec![]);
}

fn a_collection() {
    let _ = count.remote((0..3).collect());
}

fn a_conversion() {
    let _ = count.remote("abc".into());
}

fn a_default() {
    let _ = count.remote(Default::default());
}

fn a_collection_with_options() {
    let _ = count.options().remote((0..3).collect());
}

fn main() {
    // These calls compile.
    let _ = count.remote(Vec::<u8>::new());
    let _ = count.remote((0..3).collect::<Vec<_>>());
    let _ = count.remote(Vec::from("abc"));
}
