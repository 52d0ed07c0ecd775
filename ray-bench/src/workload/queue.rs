//! `queue`: the work of [`stream`](super::stream) with a queue, which both sides have: a thread (or a task) puts the numbers, another
//! one gets them.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "queue", what: "100,000 items through a queue of capacity 64; ns per item", unit: "ns" };
