//! `spawnstop`: the caller creates and stops an actor, then the next one, and so on.
//!
//! A plain caller does not wait between two actors, which is faster for every library. An async caller on a worker waits for
//! the end of each actor, which is faster there. In both forms the clock stops when every constructor has run and every
//! actor is dropped; a field of each actor counts both.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "spawnstop", what: "create and stop an actor, until all are dropped; ns per actor", unit: "ns" };

/// Actors in a round.
pub(crate) const ACTORS: usize = 20_000;
/// Actors in a round of the libraries that take microseconds for each.
pub(crate) const SLOW: usize = 5_000;
