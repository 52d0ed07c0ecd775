//! `rt_async`: a task of a tokio runtime submits one no-op task, awaits its result, and repeats.
//!
//! The function is sync, so tokio's own call for it is `spawn_blocking`. A program uses `tokio::spawn` only where it knows
//! that the work is short.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "rt_async", what: "one no-op task, submit, await, repeat; ns per round trip", unit: "ns" };

/// Round trips in a round of a contender whose threads stay awake.
pub(crate) const FAST: usize = 50_000;
/// Round trips in a round of a contender whose threads park in every round trip.
pub(crate) const PARKED: usize = 5_000;
