//! Decisions about who runs when, apart from the threads that carry them out.

pub(crate) mod claims;
pub(crate) mod lease;
