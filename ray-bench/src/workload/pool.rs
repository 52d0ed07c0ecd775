//! `pool`: the work of [`map`](super::map) by a pool of workers, one for each core.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "pool", what: "100,000 calls of 1 us by a pool of workers, collected in order; ns per call", unit: "ns" };
