//! The blockers of a task that has not begun, for the detection of deadlocks.

use crate::object::entry::Hold;

/// A task or a body that must end before another task can begin.
pub(crate) enum Blocker {
    Entry(Hold),
    /// The running body of an actor, by the address of the actor, if the body has no entry because its call has no reference.
    Actor(usize),
}

/// The blockers of a task. All of them must end before it can begin; if `one`, one of them is enough.
pub(crate) struct Blockers {
    pub(crate) of: Vec<Blocker>,
    pub(crate) one: bool,
}

impl Blockers {
    pub(crate) fn none() -> Self {
        Self::each(Vec::new())
    }

    pub(crate) fn each(of: Vec<Blocker>) -> Self {
        Self { of, one: false }
    }

    pub(crate) fn one(of: Vec<Blocker>) -> Self {
        Self { of, one: true }
    }
}
