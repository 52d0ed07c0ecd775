//! The embedded engine: its threads, its queues, and its waits.

pub(crate) mod async_runtime;
pub(crate) mod awaited;
pub(crate) mod blocking;
pub(crate) mod callbacks;
pub(crate) mod calls;
pub(crate) mod chunk_body;
pub(crate) mod claim;
pub(crate) mod deadlock;
#[expect(clippy::module_inception, reason = "the file defines the type `Engine`, and nothing else")]
pub(crate) mod engine;
pub(crate) mod execute;
pub(crate) mod extra_cpu;
pub(crate) mod free_job;
pub(crate) mod free_queue;
pub(crate) mod future;
pub(crate) mod futures;
pub(crate) mod help;
pub(crate) mod monitor;
pub(crate) mod monitor_handle;
pub(crate) mod overrun;
pub(crate) mod queue;
pub(crate) mod remote;
pub(crate) mod remote_body;
pub(crate) mod returning;
pub(crate) mod shutdown;
pub(crate) mod submit;
pub(crate) mod task_cell;
pub(crate) mod task_kind;
pub(crate) mod thread;
pub(crate) mod thread_state;
pub(crate) mod threads;
pub(crate) mod tips;
pub(crate) mod trace;
pub(crate) mod wait_graph;
pub(crate) mod wake;
pub(crate) mod worker;
