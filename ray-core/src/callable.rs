//! What can be called: functions, their arguments, and where they are registered.

pub(crate) mod arg;
pub(crate) mod bounds;
pub(crate) mod closure;
pub(crate) mod configured;
pub(crate) mod flatten;
pub(crate) mod function;
pub(crate) mod params;
pub(crate) mod refs;
pub(crate) mod registry;
pub(crate) mod spec;
