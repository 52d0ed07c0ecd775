//! A reference argument may stand for its value or for itself, so a bare type parameter needs a turbofish.

use ray::remote;

#[remote(local)]
fn twice<T: Clone>(x: T) -> (T, T) {
    (x.clone(), x)
}

#[remote(local)]
fn longest<T: Clone>(xs: Vec<T>) -> usize {
    xs.len()
}

fn main() {
    let x = ray::put(1);
    let _ = twice.remote(&x);

    // These calls compile.
    let _ = twice.remote::<i32>(&x);
    let _ = twice.remote(1);
    let _ = longest.remote(&ray::put(vec![1, 2, 3]));
}
