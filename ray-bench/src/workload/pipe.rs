//! `pipe`: the caller submits 100,000 calls of one actor and then gets all results.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "pipe", what: "100k calls of one actor, submit all, get all; ns per call", unit: "ns" };

pub(crate) const CALLS: usize = 100_000;
