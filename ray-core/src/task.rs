//! The erased task: its head, its dependencies on arguments, its children, and its retries.

pub(crate) mod abort;
pub(crate) mod blockers;
pub(crate) mod children;
pub(crate) mod cluster_info;
pub(crate) mod dependency;
pub(crate) mod edges;
pub(crate) mod executor;
pub(crate) mod head;
pub(crate) mod retry;
pub(crate) mod runner;
