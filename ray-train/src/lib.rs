//! Data-parallel training on ray's actors.

#![forbid(unsafe_code)]
