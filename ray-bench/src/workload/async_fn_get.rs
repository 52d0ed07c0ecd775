//! `async_fn_get`: a plain thread submits one no-op `async fn`, gets its result, and repeats.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "async_fn_get", what: "one no-op async fn, submit, get, repeat; ns per round trip", unit: "ns" };

/// Round trips in a round.
pub(crate) const CALLS: usize = 5_000;
