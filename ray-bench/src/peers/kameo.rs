//! kameo: one tokio task for each actor, one message type for each method.
//!
//! The contenders spawn actors as in its book. If the caller submits calls faster than the actor runs them (`pipe`,
//! `tell`, `many`), the mailbox is unbounded, which is the faster of kameo's two mailboxes there.

use std::time::Instant;

use kameo::{
    Actor,
    actor::{ActorRef, Spawn},
    mailbox,
    message::{Context, Message},
};

use crate::{
    alive::{Alive, Census},
    callers::{async_callers, new_runtime, on_worker, runtime},
    measure::{Contender, ns_per, per},
    workload::sum_of_counts,
};

#[derive(Actor)]
pub(crate) struct Counter {
    value: u64,
    _alive: Alive,
}

struct Increment;

struct Read;

impl Message<Increment> for Counter {
    type Reply = u64;

    async fn handle(&mut self, _: Increment, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        self.value += 1;
        self.value
    }
}

impl Message<Read> for Counter {
    type Reply = u64;

    async fn handle(&mut self, _: Read, _: &mut Context<Self, Self::Reply>) -> Self::Reply {
        self.value
    }
}

impl Counter {
    fn new() -> Self {
        Counter { value: 0, _alive: Alive::new() }
    }
}

/// Spawns a counter with the default mailbox, on the shared runtime.
fn bounded() -> ActorRef<Counter> {
    let _guard = runtime().enter();
    Counter::spawn(Counter::new())
}

/// Spawns a counter with an unbounded mailbox, on the shared runtime.
fn unbounded() -> ActorRef<Counter> {
    let _guard = runtime().enter();
    Counter::spawn_with_mailbox(Counter::new(), mailbox::unbounded())
}

pub(crate) fn ask(plain: usize, within: usize) -> [Contender; 2] {
    [
        Contender::new("kameo", move || {
            let counter = bounded();
            let mut sum = 0;
            let sample = ns_per(plain, || {
                for _ in 0..plain {
                    sum += counter.ask(Increment).blocking_send().expect("reply");
                }
            });
            assert_eq!(sum, sum_of_counts(plain));
            sample
        }),
        Contender::awaiting("kameo (async caller)", move || on_worker(asks(within))),
    ]
}

/// `n` calls, one at a time, of an actor on the caller's runtime.
async fn asks(n: usize) -> f64 {
    let counter = Counter::spawn(Counter::new());
    let start = Instant::now();
    let mut sum = 0;
    for _ in 0..n {
        sum += counter.ask(Increment).await.expect("reply");
    }
    let elapsed = start.elapsed();
    assert_eq!(sum, sum_of_counts(n));
    per(n, elapsed)
}

pub(crate) fn ask_async(n: usize) -> [Contender; 2] {
    async_callers("kameo", move || asks(n))
}

pub(crate) fn pipe(n: usize) -> [Contender; 2] {
    [
        Contender::new("kameo", move || {
            let counter = unbounded();
            let mut sum = 0;
            let sample = ns_per(n, || {
                let pending: Vec<_> = (0..n).map(|_| counter.ask(Increment).blocking_enqueue().expect("sent")).collect();
                for reply in pending {
                    sum += reply.recv().expect("reply");
                }
            });
            assert_eq!(sum, sum_of_counts(n));
            sample
        }),
        Contender::awaiting("kameo (async caller)", move || {
            on_worker(async move {
                let counter = unbounded();
                let start = Instant::now();
                let mut pending = Vec::with_capacity(n);
                for _ in 0..n {
                    pending.push(counter.ask(Increment).enqueue().await.expect("sent"));
                }
                let mut sum = 0;
                for reply in pending {
                    sum += reply.await.expect("reply");
                }
                let elapsed = start.elapsed();
                assert_eq!(sum, sum_of_counts(n));
                per(n, elapsed)
            })
        }),
    ]
}

pub(crate) fn tell(n: usize) -> [Contender; 2] {
    [
        Contender::new("kameo", move || {
            let counter = unbounded();
            ns_per(n, || {
                for _ in 0..n {
                    counter.tell(Increment).blocking_send().expect("sent");
                }
                let value = counter.ask(Read).blocking_send().expect("reply");
                assert_eq!(value, n as u64);
            })
        }),
        Contender::awaiting("kameo (async caller)", move || {
            on_worker(async move {
                let counter = unbounded();
                let start = Instant::now();
                for _ in 0..n {
                    counter.tell(Increment).await.expect("sent");
                }
                assert_eq!(counter.ask(Read).await.expect("reply"), n as u64);
                per(n, start.elapsed())
            })
        }),
    ]
}

pub(crate) fn many(actors: usize, rounds: usize) -> [Contender; 1] {
    [Contender::new("kameo", move || {
        let counters: Vec<_> = (0..actors).map(|_| unbounded()).collect();
        ns_per(actors * rounds, || {
            for _ in 0..rounds {
                for counter in &counters {
                    counter.tell(Increment).blocking_send().expect("sent");
                }
            }
            for counter in &counters {
                let value = counter.ask(Read).blocking_send().expect("reply");
                assert_eq!(value, rounds as u64);
            }
        })
    })]
}

pub(crate) fn spawnstop(n: usize) -> [Contender; 2] {
    [
        Contender::new("kameo", move || {
            let census = Census::begin();
            ns_per(n, || {
                runtime().block_on(async {
                    for _ in 0..n {
                        let counter = Counter::spawn(Counter::new());
                        counter.stop_gracefully().await.expect("sent");
                    }
                });
                census.wait(n);
            })
        }),
        Contender::awaiting("kameo (async caller)", move || {
            on_worker(async move {
                let census = Census::begin();
                let start = Instant::now();
                for _ in 0..n {
                    let counter = Counter::spawn(Counter::new());
                    counter.stop_gracefully().await.expect("sent");
                    counter.wait_for_shutdown().await;
                }
                census.wait_async(n).await;
                per(n, start.elapsed())
            })
        }),
    ]
}

/// Starts `n` actors and calls each of them once. They live as long as the returned references.
pub(crate) fn population(n: usize) -> Vec<ActorRef<Counter>> {
    let counters: Vec<_> = (0..n).map(|_| bounded()).collect();
    for counter in &counters {
        assert_eq!(counter.ask(Increment).blocking_send().expect("reply"), 1);
    }
    counters
}

/// Starts the library and gets a first reply.
pub(crate) fn first_result() {
    let runtime = new_runtime();
    let reply = runtime.block_on(async { Counter::spawn(Counter::new()).ask(Increment).await });
    assert_eq!(reply.expect("reply"), 1);
    std::mem::forget(runtime);
}
