//! `map`: the caller calls a function of one microsecond of arithmetic for each of 100,000 numbers, and collects the results in order.

use crate::measure::{Definition, ns_per};

pub(crate) const DEFINITION: Definition =
    Definition { name: "map", what: "100,000 calls of 1 us over an iterator, collected in order; ns per call", unit: "ns" };

/// The calls of a round.
pub(crate) const CALLS: u64 = 100_000;

/// The time of a body, in nanoseconds.
pub(crate) const NANOSECONDS: f64 = 1_000.0;

/// The time of a call, where `all` returns the results of all calls.
pub(crate) fn time(expected: &[u64], all: impl FnOnce() -> Vec<u64>) -> f64 {
    ns_per(expected.len(), || assert_eq!(all(), expected))
}
