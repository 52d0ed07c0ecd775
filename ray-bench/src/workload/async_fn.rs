//! `async_fn`: a task of a tokio runtime submits one no-op `async fn`, awaits its result, and repeats.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "async_fn", what: "one no-op async fn, submit, await, repeat; ns per round trip", unit: "ns" };

/// Round trips in a round.
pub(crate) const CALLS: usize = 50_000;
