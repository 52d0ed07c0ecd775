//! `putget`: the caller stores a `Vec` of 1 MiB, gets it back, drops the reference, and repeats.
//!
//! The caller stores the same `Vec` again that it got back. So only the contender that copies allocates a new megabyte.

use crate::measure::{Definition, ns_per};

pub(crate) const DEFINITION: Definition =
    Definition { name: "putget", what: "put a 1 MiB Vec, get it, drop; ns per object", unit: "ns" };

const SIZE: usize = 1 << 20;
/// Objects in a round of a contender that copies none.
pub(crate) const SHARED: usize = 100_000;
/// Objects in a round of a contender that copies each.
pub(crate) const COPIED: usize = 500;

/// Passes one object through `store_and_get` `n` times.
pub(crate) fn ns_per_object(n: usize, mut store_and_get: impl FnMut(Vec<u8>) -> Vec<u8>) -> f64 {
    let mut object = vec![7; SIZE];
    object[SIZE - 1] = 9;
    let sample = ns_per(n, || {
        for _ in 0..n {
            object = store_and_get(std::mem::take(&mut object));
        }
    });
    assert_eq!((object.len(), object[0], object[SIZE - 1]), (SIZE, 7, 9), "the object is unchanged");
    sample
}
