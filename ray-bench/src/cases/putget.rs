//! `putget`: a `Vec` of 1 MiB is stored, got back and let go, again and again.
//!
//! What is got is what is stored next: nobody allocates the megabyte anew but the copy. A copy is a copy of the megabyte.

use crate::{
    measure::{Case, Contender, USUAL, ns_per},
    ours,
    peers::threads,
};

const SIZE: usize = 1 << 20;
/// Objects a round, where none is copied.
const SHARED: usize = 100_000;
/// Objects a round, where each is copied.
const COPIED: usize = 500;

pub(crate) const CASE: Case =
    Case { name: "putget", what: "put a 1 MiB Vec, get it, drop; ns per object", unit: "ns", contenders, ..USUAL };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::putget(SHARED));
    all.extend(threads::objects(SHARED, COPIED));
    all
}

/// Passes one object through `store_and_get` `n` times.
pub(crate) fn ns_per_object(n: usize, mut store_and_get: impl FnMut(Vec<u8>) -> Vec<u8>) -> f64 {
    let mut object = vec![7; SIZE];
    object[SIZE - 1] = 9;
    let sample = ns_per(n, || {
        for _ in 0..n {
            object = store_and_get(std::mem::take(&mut object));
        }
    });
    assert_eq!((object.len(), object[0], object[SIZE - 1]), (SIZE, 7, 9), "the object came back as it was");
    sample
}
