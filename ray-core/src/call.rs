//! Remote functions and their arguments, and the registry that finds them by name.

pub(crate) mod arg;
pub(crate) mod bounds;
pub(crate) mod checkpoint;
pub(crate) mod chunk;
pub(crate) mod codec;
pub(crate) mod flatten;
pub(crate) mod function;
pub(crate) mod instance;
pub(crate) mod invoke;
pub(crate) mod params;
pub(crate) mod refs;
pub(crate) mod registry;
pub(crate) mod spec;
pub(crate) mod stream_spec;
