//! tokio, for tasks: `spawn` and its `JoinHandle`, or a oneshot for the result.

use std::time::Instant;

use futures::{
    future::select_all,
    stream::{FuturesUnordered, StreamExt},
};
use tokio::{
    sync::oneshot,
    task::{JoinHandle, JoinSet, spawn_blocking},
};

use crate::{
    callers::{async_callers, new_runtime, on_worker, runtime},
    measure::{Contender, ns_per, per},
    workload::{arithmetic::Work, chain1000, fib25, map, par20, wait1000, window},
};

/// The caller submits a no-op task, gets its result, and repeats.
pub(crate) fn rt(plain: usize, within: usize) -> [Contender; 3] {
    [
        Contender::new("tokio + oneshot", move || {
            ns_per(plain, || {
                for i in 0..plain {
                    let (sender, receiver) = oneshot::channel();
                    runtime().spawn(async move { sender.send(i) });
                    assert_eq!(receiver.blocking_recv(), Ok(i));
                }
            })
        }),
        Contender::new("tokio", move || {
            ns_per(plain, || {
                for i in 0..plain {
                    let task = runtime().spawn(async move { i });
                    assert_eq!(runtime().block_on(task).expect("result"), i);
                }
            })
        }),
        Contender::awaiting("tokio (async caller)", move || {
            on_worker(async move {
                let start = Instant::now();
                for i in 0..within {
                    assert_eq!(tokio::spawn(async move { i }).await.expect("result"), i);
                }
                per(within, start.elapsed())
            })
        }),
    ]
}

/// The no-op function as an `async fn`.
async fn noop(value: u64) -> u64 {
    value
}

/// The caller spawns a no-op `async fn`, awaits it, and repeats.
pub(crate) fn spawn_async(n: usize) -> [Contender; 2] {
    async_callers("tokio::spawn", move || async move {
        let start = Instant::now();
        for i in 0..n as u64 {
            assert_eq!(tokio::spawn(noop(i)).await.expect("result"), i);
        }
        per(n, start.elapsed())
    })
}

/// The caller runs a no-op function on the threads for blocking work, awaits it, and repeats.
pub(crate) fn spawn_blocking_async(n: usize) -> [Contender; 2] {
    async_callers("spawn_blocking", move || async move {
        let start = Instant::now();
        for i in 0..n as u64 {
            assert_eq!(spawn_blocking(move || i).await.expect("result"), i);
        }
        per(n, start.elapsed())
    })
}

/// A plain thread spawns a no-op `async fn`, gets its result, and repeats.
pub(crate) fn async_fn_get(n: usize) -> [Contender; 2] {
    [
        Contender::new("tokio + oneshot", move || {
            ns_per(n, || {
                for i in 0..n as u64 {
                    let (sender, receiver) = oneshot::channel();
                    runtime().spawn(async move { sender.send(noop(i).await) });
                    assert_eq!(receiver.blocking_recv(), Ok(i));
                }
            })
        }),
        Contender::new("tokio", move || {
            ns_per(n, || {
                for i in 0..n as u64 {
                    let task = runtime().spawn(noop(i));
                    assert_eq!(runtime().block_on(task).expect("result"), i);
                }
            })
        }),
    ]
}

/// The caller submits `n` no-op tasks and then takes all results.
pub(crate) fn tasks(n: usize) -> [Contender; 2] {
    async fn sum(tasks: Vec<JoinHandle<u64>>) -> u64 {
        let mut sum = 0;
        for task in tasks {
            sum += task.await.expect("result");
        }
        sum
    }
    let expected = (0..n as u64).sum::<u64>();
    [
        Contender::new("tokio", move || {
            ns_per(n, || {
                let tasks = (0..n as u64).map(|i| runtime().spawn(async move { i })).collect();
                assert_eq!(runtime().block_on(sum(tasks)), expected);
            })
        }),
        Contender::awaiting("tokio (async caller)", move || {
            on_worker(async move {
                let start = Instant::now();
                let tasks = (0..n as u64).map(|i| tokio::spawn(async move { i })).collect();
                assert_eq!(sum(tasks).await, expected);
                per(n, start.elapsed())
            })
        }),
    ]
}

/// The recursive Fibonacci number, with a task for each call.
pub(crate) fn fib() -> Contender {
    fn fib(n: u64) -> JoinHandle<u64> {
        tokio::spawn(async move {
            if n < 2 {
                return n;
            }
            let (left, right) = (fib(n - 1), fib(n - 2));
            left.await.expect("result") + right.await.expect("result")
        })
    }
    Contender::new("tokio", || fib25::microseconds(|| on_worker(async { fib(fib25::N).await.expect("result") })))
}

/// Starts the runtime. The returned function counts down from a number; each call is a task that its caller awaits.
pub(crate) fn recursion() -> fn(u64) -> u64 {
    fn down(n: u64) -> JoinHandle<u64> {
        tokio::spawn(async move { if n == 0 { 0 } else { down(n - 1).await.expect("result") + 1 } })
    }
    runtime();
    |depth| on_worker(async move { down(depth).await.expect("result") })
}

/// A chain of tasks; each awaits the previous one.
pub(crate) fn chain() -> Contender {
    Contender::new("tokio", || {
        chain1000::ns_per_link(|links| {
            let mut last = runtime().spawn(async { 1 });
            for _ in 1..links {
                let before = last;
                last = runtime().spawn(async move { before.await.expect("result") + 1 });
            }
            runtime().block_on(last).expect("result")
        })
    })
}

/// A stream of spawned tasks, of which at most 100 run at a time.
pub(crate) fn map(work: Work) -> Contender {
    let expected: Vec<_> = (0..map::CALLS).map(|seed| work.run(seed)).collect();
    Contender::new("tokio, buffered(100)", move || {
        map::time(&expected, || {
            let calls = futures::stream::iter(0..map::CALLS).map(|seed| runtime().spawn(async move { work.run(seed) }));
            runtime().block_on(calls.buffered(100).map(|result| result.expect("result")).collect())
        })
    })
}

/// A window of tasks in a `JoinSet`.
pub(crate) fn window() -> Vec<Contender> {
    let of = |size: usize| {
        Contender::new(format!("tokio JoinSet, {size} in flight"), move || {
            window::time(|tasks| {
                let mut next = 0..tasks;
                let mut set = JoinSet::new();
                let spawn = |set: &mut JoinSet<u64>, i: u64| {
                    set.spawn_on(async move { i }, runtime().handle());
                };
                next.by_ref().take(size).for_each(|i| spawn(&mut set, i));
                runtime().block_on(async {
                    let mut sum = 0;
                    while let Some(result) = set.join_next().await {
                        sum += result.expect("result");
                        next.next().into_iter().for_each(|i| spawn(&mut set, i));
                    }
                    sum
                })
            })
        })
    };
    window::SIZES.map(of).into()
}

/// The caller takes results one at a time, in the order in which the tasks finish.
pub(crate) fn wait() -> [Contender; 3] {
    fn spawn(n: u64) -> Vec<JoinHandle<u64>> {
        (0..n).map(|i| runtime().spawn(async move { i })).collect()
    }
    [
        wait1000::contender("tokio FuturesUnordered", spawn, |tasks| {
            runtime().block_on(async {
                let mut pending: FuturesUnordered<_> = tasks.into_iter().collect();
                let mut sum = 0;
                while let Some(result) = pending.next().await {
                    sum += result.expect("result");
                }
                sum
            })
        }),
        wait1000::contender(
            "tokio JoinSet",
            |n| {
                let mut tasks = JoinSet::new();
                for i in 0..n {
                    tasks.spawn_on(async move { i }, runtime().handle());
                }
                tasks
            },
            |mut tasks| {
                runtime().block_on(async {
                    let mut sum = 0;
                    while let Some(result) = tasks.join_next().await {
                        sum += result.expect("result");
                    }
                    sum
                })
            },
        ),
        wait1000::contender("tokio select_all", spawn, |mut tasks| {
            runtime().block_on(async {
                let mut sum = 0;
                while !tasks.is_empty() {
                    let (result, _, rest) = select_all(tasks).await;
                    sum += result.expect("result");
                    tasks = rest;
                }
                sum
            })
        }),
    ]
}

/// Equal tasks of arithmetic.
pub(crate) fn par(work: Work) -> Contender {
    Contender::new("tokio", move || {
        par20::ratio(work, move |tasks| {
            let pending: Vec<_> = (0..tasks).map(|seed| runtime().spawn(async move { work.run(seed) })).collect();
            runtime().block_on(async {
                let mut sum = 0u64;
                for task in pending {
                    sum = sum.wrapping_add(task.await.expect("result"));
                }
                sum
            })
        })
    })
}

/// Starts the runtime, which keeps running, and gets a first result.
pub(crate) fn first_result() {
    let runtime = new_runtime();
    let result = runtime.block_on(async { tokio::spawn(async { 1 }).await });
    assert_eq!(result.expect("result"), 1);
    std::mem::forget(runtime);
}
