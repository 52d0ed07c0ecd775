//! What cannot be done with a stream.

use ray::{ObjectRefStream, RemoteFunction, remote};

struct Unserialisable;

#[remote]
fn numbers(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

#[remote]
fn single(n: u64) -> u64 {
    n
}

#[remote]
fn not_serde(n: usize) -> impl Iterator<Item = Unserialisable> {
    std::iter::repeat_with(|| Unserialisable).take(n)
}

#[remote]
fn takes(stream: ObjectRefStream<u64>) -> usize {
    stream.count()
}

fn call(function: impl RemoteFunction<(u64,)>) {
    let _ = function.remote((1,));
}

fn main() {
    let stream = numbers.remote(3);
    let _ = stream.clone();
    let _ = ray::get(stream);
    let _ = single.options().backpressure(2).remote(1);
    call(numbers);
}
