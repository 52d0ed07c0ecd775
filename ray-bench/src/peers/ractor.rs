//! ractor: one tokio task for each actor, one message type, a reply port in each call.

use std::time::Instant;

use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort, call, cast, concurrency};

use crate::{
    alive::{Alive, Census},
    callers::{async_callers, new_runtime, on_worker, runtime},
    measure::{Contender, ns_per, per},
    workload::sum_of_counts,
};

struct Counter;

pub(crate) enum Message {
    Tell,
    Increment(RpcReplyPort<u64>),
    Read(RpcReplyPort<u64>),
}

struct State {
    value: u64,
    _alive: Alive,
}

impl Actor for Counter {
    type Msg = Message;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Message>, (): ()) -> Result<State, ActorProcessingErr> {
        Ok(State { value: 0, _alive: Alive::new() })
    }

    async fn handle(&self, _: ActorRef<Message>, message: Message, state: &mut State) -> Result<(), ActorProcessingErr> {
        match message {
            Message::Tell => state.value += 1,
            Message::Increment(reply) => {
                state.value += 1;
                reply.send(state.value)?;
            }
            Message::Read(reply) => reply.send(state.value)?,
        }
        Ok(())
    }
}

/// Spawns a counter on the current runtime.
async fn start() -> ActorRef<Message> {
    let (counter, _) = Actor::spawn(None, Counter, ()).await.expect("spawned");
    counter
}

/// Submits an increment and returns the receiver of the result.
fn submit(counter: &ActorRef<Message>) -> concurrency::OneshotReceiver<u64> {
    let (sender, receiver) = concurrency::oneshot();
    cast!(counter, Message::Increment(sender.into())).expect("sent");
    receiver
}

pub(crate) fn ask(plain: usize, within: usize) -> [Contender; 2] {
    [
        Contender::new("ractor", move || {
            let counter = runtime().block_on(start());
            let mut sum = 0;
            let sample = ns_per(plain, || {
                for _ in 0..plain {
                    sum += runtime().block_on(async { call!(counter, Message::Increment) }).expect("reply");
                }
            });
            assert_eq!(sum, sum_of_counts(plain));
            counter.stop(None);
            sample
        }),
        Contender::awaiting("ractor (async caller)", move || on_worker(asks(within))),
    ]
}

/// `n` calls, one at a time, of an actor on the caller's runtime.
async fn asks(n: usize) -> f64 {
    let counter = start().await;
    let start = Instant::now();
    let mut sum = 0;
    for _ in 0..n {
        sum += call!(counter, Message::Increment).expect("reply");
    }
    let elapsed = start.elapsed();
    assert_eq!(sum, sum_of_counts(n));
    counter.stop(None);
    per(n, elapsed)
}

pub(crate) fn ask_async(n: usize) -> [Contender; 2] {
    async_callers("ractor", move || asks(n))
}

pub(crate) fn pipe(n: usize) -> [Contender; 2] {
    [
        Contender::new("ractor", move || {
            let counter = runtime().block_on(start());
            let mut sum = 0;
            let sample = ns_per(n, || {
                let pending: Vec<_> = (0..n).map(|_| submit(&counter)).collect();
                for reply in pending {
                    sum += reply.blocking_recv().expect("reply");
                }
            });
            assert_eq!(sum, sum_of_counts(n));
            counter.stop(None);
            sample
        }),
        Contender::awaiting("ractor (async caller)", move || {
            on_worker(async move {
                let counter = start().await;
                let start = Instant::now();
                let pending: Vec<_> = (0..n).map(|_| submit(&counter)).collect();
                let mut sum = 0;
                for reply in pending {
                    sum += reply.await.expect("reply");
                }
                let elapsed = start.elapsed();
                assert_eq!(sum, sum_of_counts(n));
                counter.stop(None);
                per(n, elapsed)
            })
        }),
    ]
}

pub(crate) fn tell(n: usize) -> [Contender; 2] {
    [
        Contender::new("ractor", move || {
            let counter = runtime().block_on(start());
            let sample = ns_per(n, || {
                for _ in 0..n {
                    cast!(counter, Message::Tell).expect("sent");
                }
                let value = runtime().block_on(async { call!(counter, Message::Read) });
                assert_eq!(value.expect("reply"), n as u64);
            });
            counter.stop(None);
            sample
        }),
        Contender::awaiting("ractor (async caller)", move || {
            on_worker(async move {
                let counter = start().await;
                let start = Instant::now();
                for _ in 0..n {
                    cast!(counter, Message::Tell).expect("sent");
                }
                let value = call!(counter, Message::Read).expect("reply");
                let elapsed = start.elapsed();
                assert_eq!(value, n as u64);
                counter.stop(None);
                per(n, elapsed)
            })
        }),
    ]
}

pub(crate) fn many(actors: usize, rounds: usize) -> [Contender; 1] {
    [Contender::new("ractor", move || {
        let counters: Vec<_> = (0..actors).map(|_| runtime().block_on(start())).collect();
        let sample = ns_per(actors * rounds, || {
            for _ in 0..rounds {
                for counter in &counters {
                    cast!(counter, Message::Tell).expect("sent");
                }
            }
            runtime().block_on(async {
                for counter in &counters {
                    let value = call!(counter, Message::Read).expect("reply");
                    assert_eq!(value, rounds as u64);
                }
            });
        });
        for counter in counters {
            counter.stop(None);
        }
        sample
    })]
}

pub(crate) fn spawnstop(n: usize) -> [Contender; 2] {
    [
        Contender::new("ractor", move || {
            let census = Census::begin();
            ns_per(n, || {
                runtime().block_on(async {
                    for _ in 0..n {
                        start().await.stop(None);
                    }
                });
                census.wait(n);
            })
        }),
        Contender::awaiting("ractor (async caller)", move || {
            on_worker(async move {
                let census = Census::begin();
                let start = Instant::now();
                for _ in 0..n {
                    let (counter, task) = Actor::spawn(None, Counter, ()).await.expect("spawned");
                    counter.stop(None);
                    task.await.expect("the actor ends without a panic");
                }
                census.wait_async(n).await;
                per(n, start.elapsed())
            })
        }),
    ]
}

/// Starts `n` actors and calls each of them once. They live until a caller stops them.
pub(crate) fn population(n: usize) -> Vec<ActorRef<Message>> {
    runtime().block_on(async {
        let mut counters = Vec::with_capacity(n);
        for _ in 0..n {
            counters.push(start().await);
        }
        for counter in &counters {
            assert_eq!(call!(counter, Message::Increment).expect("reply"), 1);
        }
        counters
    })
}

/// Starts the library and gets a first reply.
pub(crate) fn first_result() {
    let runtime = new_runtime();
    let reply = runtime.block_on(async { call!(start().await, Message::Increment) });
    assert_eq!(reply.expect("reply"), 1);
    std::mem::forget(runtime);
}
