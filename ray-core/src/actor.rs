//! Actors: state with a mailbox.
//!
//! A call goes handle -> mailbox -> run right -> instance. Whoever has the run right (a worker, or a getter that
//! waits for a call of its own) takes calls from the mailbox and runs them; there is one run right an actor, so a
//! serial actor's methods never overlap. A concurrent actor (async methods, or `max_concurrency` above 1) uses the run
//! right to admit calls, which then run side by side.

pub(crate) mod any;
pub(crate) mod call;
pub(crate) mod cell;
pub(crate) mod class;
pub(crate) mod concurrent;
pub(crate) mod create;
pub(crate) mod current;
pub(crate) mod handle;
pub(crate) mod instance;
pub(crate) mod interrupt;
pub(crate) mod kinds;
pub(crate) mod life;
pub(crate) mod living;
pub(crate) mod mailbox;
pub(crate) mod names;
pub(crate) mod outcome;
pub(crate) mod run;
pub(crate) mod run_state;
pub(crate) mod send;
pub(crate) mod steal;
