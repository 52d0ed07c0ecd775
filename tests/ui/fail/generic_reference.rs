//! From a reference, the type parameters of a generic function cannot be told: a turbofish names them.

use ray::remote;

#[remote(local)]
fn longest<T: Clone>(xs: Vec<T>) -> usize {
    xs.len()
}

fn main() {
    let xs = ray::put(vec![1, 2, 3]);
    let _ = longest.remote(&xs);

    let _ = longest.remote(vec![1, 2, 3]);
    let _ = longest.remote::<i32>(&xs);
}
