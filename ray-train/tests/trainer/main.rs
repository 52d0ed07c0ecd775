//! The trainer through its public API. What needs an engine or a process of its own runs in a child: this binary again, with
//! the one test (see `support`).

mod admission;
mod callers;
mod checkpoints;
mod faults;
mod fit;
mod generators;
mod killed;
mod mistakes;
mod process;
mod reports;
mod restarts;
mod resume;
#[cfg(unix)]
mod signal;
mod support;
