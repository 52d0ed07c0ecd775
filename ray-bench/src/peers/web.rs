//! The handlers of the case `axum`, one that has nothing to do and one that computes, for each way to have it done.

use axum::{Router, routing::get};
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use super::runtime;
use crate::cases::par20::Work;

/// A service with the handler that has nothing to do at `/noop` and the one that computes at `/work`.
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

/// In the handler itself.
pub(crate) fn plain(work: Work) -> Router {
    routes(|| async { 1 }, move || async move { work.run(1) })
}

/// A task for each request.
pub(crate) fn spawn(work: Work) -> Router {
    routes(
        || async { tokio::spawn(async { 1 }).await.expect("result") },
        move || async move { tokio::spawn(async move { work.run(1) }).await.expect("result") },
    )
}

/// A closure for each request on the threads for blocking work.
pub(crate) fn blocking(work: Work) -> Router {
    routes(
        || async { spawn_blocking(|| 1).await.expect("result") },
        move || async move { spawn_blocking(move || work.run(1)).await.expect("result") },
    )
}

/// One task behind a channel, which replies through a oneshot.
pub(crate) fn actor(work: Work) -> Router {
    enum Message {
        Noop(oneshot::Sender<u64>),
        Work(oneshot::Sender<u64>),
    }
    let (calls, mut mailbox) = mpsc::unbounded_channel();
    runtime().spawn(async move {
        let mut value = 0;
        while let Some(message) = mailbox.recv().await {
            // A request whose client has gone needs no reply.
            let _ = match message {
                Message::Noop(reply) => reply.send(1),
                Message::Work(reply) => {
                    value = work.run(value);
                    reply.send(value)
                }
            };
        }
    });
    let call = move |message: fn(oneshot::Sender<u64>) -> Message| {
        let (reply, result) = oneshot::channel();
        assert!(calls.send(message(reply)).is_ok(), "the actor lives");
        async { result.await.expect("the actor replies") }
    };
    let same = call.clone();
    routes(move || same(Message::Noop), move || call(Message::Work))
}
