//! `ask`: a plain thread calls one actor and gets the result before the next call.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "ask", what: "one actor call at a time, result got; ns per call", unit: "ns" };

/// Calls in a round of a contender whose threads stay awake.
pub(crate) const FAST: usize = 100_000;
/// Calls in a round of a contender whose threads park in every call.
pub(crate) const PARKED: usize = 5_000;
