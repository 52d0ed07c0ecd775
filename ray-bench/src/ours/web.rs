//! The contenders of this project in the handlers of the case `axum`.

use axum::Router;

use super::{Worker, arithmetic, engine, noop};
use crate::workload::{arithmetic::Work, axum::routes};

/// Handlers that await a function.
pub(crate) fn function(work: Work) -> Router {
    engine();
    let steps = work.steps();
    routes(
        || async { noop.remote().await.expect("the call succeeds") },
        move || async move { arithmetic.remote(steps, 1).await.expect("the call succeeds") },
    )
}

/// Handlers that await a call of one actor.
pub(crate) fn actor(work: Work) -> Router {
    engine();
    let (steps, worker) = (work.steps(), Worker::remote());
    let same = worker.clone();
    routes(
        move || {
            let call = same.noop.remote();
            async { call.await.expect("the call succeeds") }
        },
        move || {
            let call = worker.work.remote(steps);
            async { call.await.expect("the call succeeds") }
        },
    )
}
