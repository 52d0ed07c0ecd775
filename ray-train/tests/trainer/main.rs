//! The trainer through its public API. What needs an engine or a process of its own runs in a child: this binary again, with
//! the one test (see `support`).

mod fit;
mod support;
