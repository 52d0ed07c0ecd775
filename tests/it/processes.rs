//! An executor that runs each call in a child process of this test binary, through a socket and bytes alone.
//!
//! With `RAY_TEST_EXECUTOR=processes` the shared engine (`support::engine`) uses it, so tests of the other modules run on it:
//! `passing.txt` lists those that must pass, and `cargo xtask test` runs them. A child is this binary, started with the single
//! test [`entry_of_children`] and a socket that it inherits. It runs one task at a time, or one actor, and serves the calls that its bodies
//! make through the same socket.
//!
//! The parent decides everything: it starts children, keeps names, counts handles, and tries failed attempts again. Its
//! children are equals that know the parent alone. A message is a length and a MessagePack document ([`message`]).

mod child;
mod driver;
mod executor;
mod link;
mod message;
mod tests;
mod worker;

use std::sync::Arc;

pub(crate) use executor::Processes;

const SOCKET: &str = "RAY_TEST_SOCKET";
/// The environment variable with the number of a child.
const NUMBER: &str = "RAY_TEST_PROCESS";

/// Whether the tests of this process run on the executor.
pub(crate) fn wanted() -> bool {
    std::env::var("RAY_TEST_EXECUTOR").is_ok_and(|value| value == "processes")
}

/// Starts the engine of this process with the executor.
pub(crate) fn start(config: ray::Config) -> ray::Result<ray::Context> {
    ray::__private::executor::init_with_executor(config, Arc::new(Processes::default()))
}

/// Has the parent do an operation of the tests' support, if this process is a child.
pub(crate) fn support(operation: &[u8]) -> Option<Vec<u8>> {
    worker::support(operation)
}

/// Whether this process is a child.
pub(crate) fn is_child() -> bool {
    worker::is_child()
}

/// The entry of the children; without the socket it does nothing.
#[test]
fn entry_of_children() {
    if let Some(socket) = std::env::var(SOCKET).ok().and_then(|number| number.parse().ok()) {
        worker::run(socket);
    }
}
