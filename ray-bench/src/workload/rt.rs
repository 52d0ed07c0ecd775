//! `rt`: a plain thread submits one no-op task, gets its result, and repeats.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "rt", what: "one no-op task, submit, get, repeat; ns per round trip", unit: "ns" };

/// Round trips in a round of a contender whose threads stay awake.
pub(crate) const FAST: usize = 100_000;
/// Round trips in a round of a contender whose threads park in every round trip.
pub(crate) const PARKED: usize = 5_000;
