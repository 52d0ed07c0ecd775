//! Awaits on several runtimes. Some complete, and others are dropped early.

use std::sync::OnceLock;
use std::time::Duration;

use futures::future::{FutureExt, join_all};
use ray::ObjectRef;
use tokio::runtime::Runtime;

use super::{Driver, Errors};
use crate::program::Thing;

/// A multi-thread runtime that lives longer than the engines.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME
        .get_or_init(|| tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime"))
}

async fn value_of(object: ObjectRef<Thing>) -> ray::Result<i64> {
    object.await.map(|thing| thing.value())
}

impl Driver {
    pub(super) fn await_one(&mut self) {
        let (node, object) = self.pick();
        let how = self.chance.below(5);
        self.note("await", [node as i64, how as i64]);
        let outcome = match how {
            0 => futures::executor::block_on(value_of(object)),
            1 => self.runtime.block_on(value_of(object)),
            2 => runtime().block_on(value_of(object)),
            3 => runtime().block_on(runtime().spawn(value_of(object))).expect("an await does not panic"),
            _ => {
                let (nodes, objects) = self.some(6);
                let all = join_all(objects.into_iter().map(value_of));
                let outcomes = if self.chance.one_in(2) { self.runtime.block_on(all) } else { runtime().block_on(all) };
                for (node, outcome) in nodes.into_iter().zip(outcomes) {
                    self.observe(node, outcome);
                }
                return;
            }
        };
        self.observe(node, outcome);
    }

    pub(super) fn give_up_awaits(&mut self) {
        let ((a, first), (b, second)) = (self.pick(), self.pick());
        let how = self.chance.below(6);
        self.note("await given up", [a as i64, b as i64, how as i64]);
        let short = Duration::from_micros(self.chance.below(100) as u64);
        match how {
            0 => {
                if let Some(outcome) = value_of(first).now_or_never() {
                    self.observe(a, outcome);
                }
            }
            1 => {
                for _ in 0..20 {
                    drop(value_of(first.clone()).now_or_never());
                }
            }
            2 => {
                let outcome = self.runtime.block_on(async { tokio::time::timeout(short, value_of(first)).await });
                if let Ok(outcome) = outcome {
                    self.observe(a, outcome);
                }
            }
            3 => {
                let (node, outcome) = futures::executor::block_on(async {
                    futures::future::select(
                        std::pin::pin!(value_of(first).map(|outcome| (a, outcome))),
                        std::pin::pin!(value_of(second).map(|outcome| (b, outcome))),
                    )
                    .await
                    .factor_first()
                    .0
                });
                self.observe(node, outcome);
            }
            4 => {
                let task = runtime().spawn(value_of(first));
                if self.chance.one_in(2) {
                    std::thread::yield_now();
                }
                task.abort();
                if let Ok(outcome) = runtime().block_on(task) {
                    self.observe(a, outcome);
                }
            }
            _ => {
                // The future is polled on this thread, then moved to another thread and awaited there.
                let mut first = first;
                let polled = futures::executor::block_on(async { futures::poll!(&mut first) });
                let outcome = match polled {
                    std::task::Poll::Ready(outcome) => outcome.map(|thing| thing.value()),
                    std::task::Poll::Pending => {
                        runtime().block_on(runtime().spawn(value_of(first))).expect("an await does not panic")
                    }
                };
                let together = self.model.add(&[a], Errors::NONE, None, |values| Some(values[0]));
                self.observe(together, outcome);
            }
        }
    }
}
