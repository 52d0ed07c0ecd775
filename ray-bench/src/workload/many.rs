//! `many`: the caller makes a thousand calls of each of a thousand actors and drops their results.
//!
//! The caller makes one call of every actor, then the next call of every actor. The clock stops when the actors have run all
//! calls. A last call of each actor with a result proves it: the result must count every call of that actor.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "many", what: "1k actors x 1k calls, results dropped; ns per call", unit: "ns" };

pub(crate) const ACTORS: usize = 1_000;
/// Calls of each actor.
pub(crate) const CALLS: usize = 1_000;
