//! `chain1000`: a chain of a thousand tasks, each of which takes the result of the previous one.
//!
//! The clock covers the submission of all links and the wait for the last result.

use crate::measure::{Definition, ns_per};

pub(crate) const DEFINITION: Definition =
    Definition { name: "chain1000", what: "a chain of 1,000 dependent tasks; ns per link", unit: "ns" };

const LINKS: usize = 1_000;
/// Chains in a round, one after another.
const CHAINS: usize = 20;

/// The nanoseconds that `chain` takes for each link. `chain` receives the number of links and returns the result of the last
/// link, which is the same number.
pub(crate) fn ns_per_link(mut chain: impl FnMut(u64) -> u64) -> f64 {
    ns_per(CHAINS * LINKS, || {
        for _ in 0..CHAINS {
            assert_eq!(chain(LINKS as u64), LINKS as u64);
        }
    })
}
