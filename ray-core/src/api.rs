//! The functions and types that programs call. No module below this folder imports it.

pub(crate) mod cancel;
pub(crate) mod closure;
pub(crate) mod configured;
pub(crate) mod context;
pub(crate) mod dump;
pub(crate) mod future;
pub(crate) mod get;
pub(crate) mod init;
pub(crate) mod listen;
pub(crate) mod macro_streams;
pub(crate) mod macro_support;
pub(crate) mod macro_surface;
pub(crate) mod map;
pub(crate) mod merge;
pub(crate) mod method;
pub(crate) mod placed;
pub(crate) mod placement_group;
pub(crate) mod put;
pub(crate) mod remote_function;
pub(crate) mod several;
pub(crate) mod shutdown;
pub(crate) mod stream;
pub(crate) mod until;
pub(crate) mod wait;
pub(crate) mod yielder;
