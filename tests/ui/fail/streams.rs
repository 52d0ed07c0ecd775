//! Functions that make a stream in a way that cannot work.

use ray::{Yielder, remote};

#[remote]
fn borrows(xs: &[String]) -> impl Iterator<Item = &str> {
    xs.iter().map(String::as_str)
}

#[remote]
fn unnamed(n: u64) -> impl Iterator<Item = impl Send> {
    0..n
}

#[remote]
async fn blocks(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

#[remote]
fn too_late(n: u64, out: Yielder<u64>) {
    let _ = out.push(n);
}

#[remote]
fn borrowed(out: &Yielder<u64>, n: u64) {
    let _ = out.push(n);
}

#[remote]
fn returns(out: Yielder<u64>, n: u64) -> u64 {
    let _ = out.push(n);
    n
}

#[remote]
fn both(out: Yielder<u64>, n: u64) -> impl Iterator<Item = u64> {
    let _ = out.push(n);
    0..n
}

#[remote(num_returns = 2)]
fn counted(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

#[remote(backpressure = 0)]
fn closed(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

#[remote(backpressure = 2)]
fn single(n: u64) -> u64 {
    n
}

#[remote]
struct Actor;

#[remote]
impl Actor {
    pub fn new(out: Yielder<u64>) -> Self {
        let _ = out;
        Actor
    }
}

fn main() {
    let _ = borrows.remote(vec![String::new()]);
    let _ = too_late.remote(1);
}
