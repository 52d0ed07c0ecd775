//! `start`: the time until the first result, in a fresh process for each round.
//!
//! The clock starts in `main`, so the start of the process itself does not count. It stops when the result of one no-op
//! task is ready, or the result of one actor call for a library without tasks.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "start", what: "start of the engine to the first result; microseconds", unit: "us" };
