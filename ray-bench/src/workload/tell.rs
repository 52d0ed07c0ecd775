//! `tell`: the caller makes a million calls of one actor and drops their results.
//!
//! The clock stops when the actor has run all of them. A last call with a result proves it: the result must count every call.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "tell", what: "1M calls of one actor, results dropped; ns per call", unit: "ns" };

pub(crate) const CALLS: usize = 1_000_000;
