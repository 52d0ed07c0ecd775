//! `tasks`: the caller submits a million no-op tasks, each with a result, and then gets all results.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "tasks", what: "1M no-op tasks, submit all, get all; ns per task", unit: "ns" };

pub(crate) const TASKS: usize = 1_000_000;
