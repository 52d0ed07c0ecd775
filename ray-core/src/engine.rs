//! The embedded engine: its threads, its queues, and its waits.

pub(crate) mod async_runtime;
pub(crate) mod blocking;
pub(crate) mod callbacks;
pub(crate) mod claim;
pub(crate) mod deadlock;
pub(crate) mod engine;
pub(crate) mod execute;
pub(crate) mod free_job;
pub(crate) mod future;
pub(crate) mod shutdown;
pub(crate) mod submit;
pub(crate) mod task_cell;
pub(crate) mod task_kind;
pub(crate) mod thread;
pub(crate) mod tips;
pub(crate) mod worker;
