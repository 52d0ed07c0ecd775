//! `axum`: the processor time of a web server for each request; the handler awaits the contender.
//!
//! Every contender is a server in a process of its own, which stays for all rounds. Child processes of the server send the
//! requests over the loopback interface. The sample is the processor time of the server: of all its threads, with the
//! system's work for them, without its children. A handler does nothing, or 20 microseconds of arithmetic. One client sends
//! requests, or 32 do.

use ::axum::{Router, routing::get};

use crate::measure::Definition;

pub(crate) const DEFINITION: Definition =
    Definition { name: "axum", what: "an axum handler that awaits; us of the server's CPU per request", unit: "us" };

/// The loads of every server: the path, the connections, the requests in a round, the name of the row, and the name of its group.
pub(crate) const LOADS: [(&str, usize, usize, &str, &str); 4] = [
    ("/noop", 1, 3_000, "no-op, 1", "no-op, 1 connection"),
    ("/noop", 32, 12_000, "no-op, 32", "no-op, 32 connections"),
    ("/work", 1, 3_000, "20 us, 1", "20 us of work, 1 connection"),
    ("/work", 32, 12_000, "20 us, 32", "20 us of work, 32 connections"),
];

/// A service with two handlers: the one at `/noop` does nothing, the one at `/work` computes.
pub(crate) fn routes<N, W>(
    noop: impl Fn() -> N + Clone + Send + Sync + 'static,
    work: impl Fn() -> W + Clone + Send + Sync + 'static,
) -> Router
where
    N: Future<Output = u64> + Send + 'static,
    W: Future<Output = u64> + Send + 'static,
{
    Router::new().route("/noop", get(move || text(noop()))).route("/work", get(move || text(work())))
}

async fn text(number: impl Future<Output = u64>) -> String {
    number.await.to_string()
}
