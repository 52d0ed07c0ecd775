//! `ask_async`: a task of a tokio runtime calls one actor and awaits the result before the next call.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "ask_async", what: "one actor call at a time, awaited; ns per call", unit: "ns" };

/// Calls in a round.
pub(crate) const CALLS: usize = 50_000;
