//! Tests of the trainer through its public API. A test that needs its own engine or process runs in a child process: this binary
//! again, with that test only (see `support`).

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
