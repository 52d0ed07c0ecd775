//! `idle`: the memory that an idle engine adds to an empty program.
//!
//! Each round starts two fresh processes. One starts the engine, gets a first result, and waits until the engine has nothing
//! left to do. The other one only waits. The sample is the difference of their resident memory.

use std::time::Duration;

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "idle", what: "resident memory that the idle engine adds to an empty program; KiB", unit: "KiB" };

/// The time that an engine has to become idle.
pub(crate) const PAUSE: Duration = Duration::from_millis(50);
