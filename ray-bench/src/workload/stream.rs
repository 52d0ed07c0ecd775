//! `stream`: a producer yields 100,000 numbers to one consumer, which takes each of them. At most 64 numbers are under way.

use std::time::Instant;

use crate::measure::{Definition, per};

pub(crate) const DEFINITION: Definition = Definition {
    name: "stream",
    what: "100,000 items from a producer to a consumer, at most 64 under way; ns per item",
    unit: "ns",
};

/// The items of a round.
pub(crate) const ITEMS: u64 = 100_000;

/// The bound. It is the default of `ray`.
pub(crate) const BOUND: usize = 64;

/// The time of an item, where `all` takes all items and returns their sum.
pub(crate) fn time(all: impl FnOnce() -> u64) -> f64 {
    let start = Instant::now();
    checked(start, all())
}

/// As [`time`], for an async consumer.
pub(crate) async fn time_async(all: impl Future<Output = u64>) -> f64 {
    let start = Instant::now();
    checked(start, all.await)
}

fn checked(start: Instant, sum: u64) -> f64 {
    let elapsed = start.elapsed();
    assert_eq!(sum, (0..ITEMS).sum::<u64>());
    per(ITEMS as usize, elapsed)
}
