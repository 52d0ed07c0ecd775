//! Actors: a state with a mailbox.
//!
//! A call goes from the handle to the mailbox, and from there to the instance. The thread that holds the actor's *execution
//! lock*, its *runner*, takes calls from the mailbox and runs them. It is a worker thread, or a thread that waits for a
//! call of its own; while an async constructor runs, the runner is the constructor's future. An actor has one execution lock, so
//! the methods of a serial actor never overlap. The runner of a concurrent actor (with async methods, concurrency groups, or
//! `max_concurrency` above 1) only admits calls, which then run side by side.

pub(crate) mod admission;
pub(crate) mod any;
pub(crate) mod async_constructor;
pub(crate) mod backlog;
pub(crate) mod call;
pub(crate) mod call_cell;
pub(crate) mod cell;
pub(crate) mod checkpoint;
pub(crate) mod class;
pub(crate) mod cold_state;
pub(crate) mod concurrent;
pub(crate) mod construct;
pub(crate) mod create;
pub(crate) mod creation;
pub(crate) mod current;
pub(crate) mod errors;
pub(crate) mod execution;
pub(crate) mod groups;
pub(crate) mod handle;
pub(crate) mod head;
pub(crate) mod host;
pub(crate) mod instance;
pub(crate) mod interrupt;
pub(crate) mod kill;
pub(crate) mod kinds;
pub(crate) mod lifecycle;
pub(crate) mod living;
pub(crate) mod mailbox;
pub(crate) mod named;
pub(crate) mod names;
pub(crate) mod outcome;
pub(crate) mod remote;
pub(crate) mod run;
pub(crate) mod run_state;
pub(crate) mod schedule;
pub(crate) mod send;
pub(crate) mod steal;
pub(crate) mod weak_handle;
