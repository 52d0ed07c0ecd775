//! Where objects live: an entry each, reached through counted references.

pub(crate) mod block;
pub(crate) mod depot;
pub(crate) mod entry;
pub(crate) mod region;
pub(crate) mod stamp;
pub(crate) mod state;
pub(crate) mod waiter;
