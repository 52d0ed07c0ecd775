//! A parameter `T` takes a `T` or a reference to one, so what could become either needs its type named.

use ray::remote;

#[remote]
fn count(xs: Vec<u8>) -> usize {
    xs.len()
}

#[remote]
fn sum(xs: &[f64]) -> f64 {
    xs.iter().sum()
}

fn main() {
    let _ = count.remote(vec![]);
    let _ = count.remote((0..3).collect());
    let _ = count.remote("abc".into());
    let _ = count.remote(Default::default());
    let _ = sum.remote(vec![]);

    // What to write instead.
    let _ = count.remote(Vec::<u8>::new());
    let _ = count.remote((0..3).collect::<Vec<_>>());
}
