//! `allreduce`: the mean of the floats of all members, in the buffer of every member. A buffer is as long as the gradients
//! of the article's network.
//!
//! Each member is a thread. The members meet at a barrier before each reduction. The clock starts when the first member
//! calls and stops when the last member has its result. For comparison the case also measures the time in which one thread
//! copies one buffer.

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "allreduce", what: "mean all-reduce of 669,706 f32, first in to last out; microseconds", unit: "us" };

/// The number of parameters of 784-512-512-10.
pub(crate) const NUMBERS: usize = 669_706;
/// Reductions, or copies, in a round.
pub(crate) const TIMES: usize = 200;
/// Reductions before the clock starts: the system may keep new threads on one processor until it has moved one of them.
pub(crate) const FIRST: usize = 50;

/// Number `i` of a member before a reduction. It is small, so that sums are exact.
pub(crate) fn before(i: usize, rank: usize) -> f32 {
    (i % 1000 + rank) as f32
}

/// Number `i` of every member after the reduction.
pub(crate) fn after(i: usize, members: usize) -> f32 {
    (i % 1000) as f32 + (members - 1) as f32 / 2.0
}
