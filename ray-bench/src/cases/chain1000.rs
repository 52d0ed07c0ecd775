//! `chain1000`: a thousand tasks in a chain, each of which takes the result of the one before.
//!
//! The clock covers the submission of all links and the last result.

use crate::{
    measure::{Case, Contender, USUAL, ns_per},
    ours,
    peers::tokio_tasks,
};

const LINKS: usize = 1_000;
/// Chains a round, one after another.
const CHAINS: usize = 20;

pub(crate) const CASE: Case =
    Case { name: "chain1000", what: "a chain of 1,000 dependent tasks; ns per link", unit: "ns", contenders, ..USUAL };

fn contenders() -> Vec<Contender> {
    let mut all: Vec<Contender> = Vec::new();
    all.extend(ours::chain());
    all.push(tokio_tasks::chain());
    all
}

/// What `chain` takes for each link; it gets the number of links and returns the last one's result, which is that number.
pub(crate) fn ns_per_link(mut chain: impl FnMut(u64) -> u64) -> f64 {
    ns_per(CHAINS * LINKS, || {
        for _ in 0..CHAINS {
            assert_eq!(chain(LINKS as u64), LINKS as u64);
        }
    })
}
