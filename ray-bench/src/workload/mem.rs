//! `mem`: the memory of an idle actor: 100,000 of them, after one call of each.
//!
//! Every contender has a process of its own. A counting allocator gives the live bytes before and after the actors, so the
//! sample holds the actors, their mailboxes, the caller's handles and the `Vec` of the handles. The rows with "(resident)"
//! are the resident memory according to `/proc`. The actor has two methods and a `u64` of state.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "mem", what: "an idle actor of two methods after one call, of 100k; bytes each", unit: "bytes" };

pub(crate) const ACTORS: usize = 100_000;
