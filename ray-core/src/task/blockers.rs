//! What a task that has not begun waits for, for the detection of deadlocks.

use crate::object::entry::Hold;

/// Something that must end before something else can begin.
pub(crate) enum Blocker {
    Entry(Hold),
    /// The body of an actor that has no entry (a call without a reference), by the address of the actor.
    Actor(usize),
}

/// What a task waits for: each of these must end; or, if `one`, it is enough that one of them does.
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
