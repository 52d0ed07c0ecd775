//! The types that all other modules use: errors, options, resources, ids, locks, logging, and queries to the operating system.
//! This folder starts no thread.

pub(crate) mod amount;
pub(crate) mod arity;
pub(crate) mod call_options;
pub(crate) mod clock;
pub(crate) mod concurrency_group;
pub(crate) mod config;
pub(crate) mod epoch;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod id;
pub(crate) mod inherited;
pub(crate) mod labels;
pub mod lint;
pub(crate) mod log;
pub(crate) mod options;
pub(crate) mod os;
pub(crate) mod placement;
pub(crate) mod placement_group;
pub(crate) mod resources;
pub(crate) mod retry_on;
pub(crate) mod runtime_env;
pub(crate) mod sync;
pub(crate) mod trace;
pub(crate) mod unread;
pub(crate) mod unwind;
pub(crate) mod users_code;
pub(crate) mod value;
