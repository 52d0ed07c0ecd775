//! The handlers of the case `axum`, for each way to run the work of a request.

use axum::Router;
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use crate::{
    callers::runtime,
    workload::{arithmetic::Work, axum::routes},
};

/// The handler itself does the work.
pub(crate) fn plain(work: Work) -> Router {
    routes(|| async { 1 }, move || async move { work.run(1) })
}

/// Each request spawns a task.
pub(crate) fn spawn(work: Work) -> Router {
    routes(
        || async { tokio::spawn(async { 1 }).await.expect("result") },
        move || async move { tokio::spawn(async move { work.run(1) }).await.expect("result") },
    )
}

/// Each request runs a closure on the threads for blocking work.
pub(crate) fn blocking(work: Work) -> Router {
    routes(
        || async { spawn_blocking(|| 1).await.expect("result") },
        move || async move { spawn_blocking(move || work.run(1)).await.expect("result") },
    )
}

/// One task behind a channel does all work and replies through a oneshot.
pub(crate) fn actor(work: Work) -> Router {
    enum Message {
        Noop(oneshot::Sender<u64>),
        Work(oneshot::Sender<u64>),
    }
    let (calls, mut mailbox) = mpsc::unbounded_channel();
    runtime().spawn(async move {
        let mut value = 0;
        while let Some(message) = mailbox.recv().await {
            // The receiver of the reply is dropped if the client has closed its connection.
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
