//! The erased task: its head, its allocation, its arguments, its children, its attempts.

pub(crate) mod abort;
pub(crate) mod blockers;
pub(crate) mod children;
pub(crate) mod dependency;
pub(crate) mod edges;
pub(crate) mod executor;
pub(crate) mod head;
pub(crate) mod retry;
pub(crate) mod runner;
