//! Hand-written actors: a counter behind a channel. A tokio task or a dedicated thread runs it.
//!
//! The code is generic over the [`Mailbox`]; [`channels`](super::channels) has one for each channel library.

use std::{future::Future, time::Instant};

use tokio::task::JoinHandle;

use crate::{
    alive::{Alive, Census},
    callers::{async_callers, on_worker, runtime},
    measure::{Contender, ns_per, per},
    workload::sum_of_counts,
};

/// The messages of the counter; `R` takes a reply.
pub(crate) enum Message<R> {
    /// Increments, without a reply.
    Tell,
    /// Increments and replies with the new value.
    Increment(R),
    /// Replies with the value.
    Read(R),
}

/// The actor.
pub(crate) struct Counter {
    value: u64,
    _alive: Alive,
}

impl Counter {
    fn new() -> Self {
        Counter { value: 0, _alive: Alive::new() }
    }

    fn handle<M: Mailbox>(&mut self, message: Message<M::Reply>) {
        match message {
            Message::Tell => self.value += 1,
            Message::Increment(reply) => {
                self.value += 1;
                M::answer(reply, self.value);
            }
            Message::Read(reply) => M::answer(reply, self.value),
        }
    }
}

/// A channel library as the mailbox of a counter, with a one-shot channel for the replies.
pub(crate) trait Mailbox: 'static {
    /// Takes one reply.
    type Reply: Send + 'static;
    /// A plain thread waits here for the reply.
    type Pending;
    type Sender: Send + 'static;
    type Receiver: Send + 'static;

    fn open() -> (Self::Sender, Self::Receiver);
    fn send(sender: &Self::Sender, message: Message<Self::Reply>);
    fn recv(receiver: &mut Self::Receiver) -> Option<Message<Self::Reply>>;
    fn recv_async(receiver: &mut Self::Receiver) -> impl Future<Output = Option<Message<Self::Reply>>> + Send;

    fn reply() -> (Self::Reply, Self::Pending);
    fn reply_async() -> (Self::Reply, impl Future<Output = u64> + Send + 'static);
    fn answer(reply: Self::Reply, value: u64);
    fn wait(pending: Self::Pending) -> u64;
}

/// The host of an actor.
#[derive(Clone, Copy)]
pub(crate) enum Host {
    Task,
    Thread,
}

/// Starts a counter and returns the sender to it; the counter ends when the caller drops the sender.
fn start<M: Mailbox>(host: Host) -> M::Sender {
    match host {
        Host::Task => start_task::<M>().0,
        Host::Thread => {
            let (sender, mut receiver) = M::open();
            std::thread::spawn(move || {
                let mut counter = Counter::new();
                while let Some(message) = M::recv(&mut receiver) {
                    counter.handle::<M>(message);
                }
            });
            sender
        }
    }
}

fn start_task<M: Mailbox>() -> (M::Sender, JoinHandle<()>) {
    let (sender, receiver) = M::open();
    (sender, runtime().spawn(serve::<M>(receiver)))
}

/// Runs a counter until its senders are dropped.
async fn serve<M: Mailbox>(mut receiver: M::Receiver) {
    let mut counter = Counter::new();
    while let Some(message) = M::recv_async(&mut receiver).await {
        counter.handle::<M>(message);
    }
}

/// Sends a message and waits for the reply, on a plain thread.
fn ask<M: Mailbox>(sender: &M::Sender, message: fn(M::Reply) -> Message<M::Reply>) -> u64 {
    let (reply, pending) = M::reply();
    M::send(sender, message(reply));
    M::wait(pending)
}

/// Sends an increment in a task; the returned future is the reply.
fn ask_async<M: Mailbox>(sender: &M::Sender) -> impl Future<Output = u64> + Send + 'static + use<M> {
    let (reply, awaiting) = M::reply_async();
    M::send(sender, Message::Increment(reply));
    awaiting
}

/// `n` calls, one at a time, by a plain thread.
pub(crate) fn asks<M: Mailbox>(who: &str, host: Host, n: usize) -> Contender {
    Contender::new(who, move || {
        let counter = start::<M>(host);
        let mut sum = 0;
        let sample = ns_per(n, || {
            for _ in 0..n {
                sum += ask::<M>(&counter, Message::Increment);
            }
        });
        assert_eq!(sum, sum_of_counts(n));
        sample
    })
}

/// `n` calls, one at a time, by a task.
pub(crate) fn asks_async<M: Mailbox>(who: &str, n: usize) -> Contender {
    Contender::awaiting(format!("{who} (async caller)"), move || on_worker(asks_of_a_task::<M>(n)))
}

/// `n` calls, one at a time, by a task of each kind of runtime; the actor is a task of the same runtime.
pub(crate) fn asks_on_both<M: Mailbox>(who: &str, n: usize) -> [Contender; 2] {
    async_callers(who, move || asks_of_a_task::<M>(n))
}

/// `n` calls, one at a time, of an actor that is a task of the caller's runtime.
async fn asks_of_a_task<M: Mailbox>(n: usize) -> f64 {
    let (counter, receiver) = M::open();
    tokio::spawn(serve::<M>(receiver));
    let start = Instant::now();
    let mut sum = 0;
    for _ in 0..n {
        sum += ask_async::<M>(&counter).await;
    }
    let elapsed = start.elapsed();
    assert_eq!(sum, sum_of_counts(n));
    per(n, elapsed)
}

/// A plain thread submits `n` calls and then takes all results.
pub(crate) fn pipe<M: Mailbox>(who: &str, host: Host, n: usize) -> Contender {
    Contender::new(who, move || {
        let counter = start::<M>(host);
        let mut sum = 0;
        let sample = ns_per(n, || {
            let pending: Vec<M::Pending> = (0..n)
                .map(|_| {
                    let (reply, pending) = M::reply();
                    M::send(&counter, Message::Increment(reply));
                    pending
                })
                .collect();
            sum = pending.into_iter().map(M::wait).sum();
        });
        assert_eq!(sum, sum_of_counts(n));
        sample
    })
}

/// A task submits `n` calls and then takes all results.
pub(crate) fn pipe_async<M: Mailbox>(who: &str, n: usize) -> Contender {
    Contender::awaiting(format!("{who} (async caller)"), move || {
        on_worker(async move {
            let counter = start::<M>(Host::Task);
            let start = Instant::now();
            let pending: Vec<_> = (0..n).map(|_| ask_async::<M>(&counter)).collect();
            let mut sum = 0;
            for awaiting in pending {
                sum += awaiting.await;
            }
            let elapsed = start.elapsed();
            assert_eq!(sum, sum_of_counts(n));
            per(n, elapsed)
        })
    })
}

/// `n` calls of one actor without replies; the clock stops when the actor has run all of them.
pub(crate) fn tell<M: Mailbox>(who: &str, host: Host, n: usize) -> Contender {
    Contender::new(who, move || {
        let counter = start::<M>(host);
        ns_per(n, || {
            for _ in 0..n {
                M::send(&counter, Message::Tell);
            }
            assert_eq!(ask::<M>(&counter, Message::Read), n as u64);
        })
    })
}

/// `rounds` calls of each of `actors` actors without replies; the clock stops when the actors have run all of them.
pub(crate) fn many<M: Mailbox>(who: &str, actors: usize, rounds: usize) -> Contender {
    Contender::new(who, move || {
        let counters: Vec<M::Sender> = (0..actors).map(|_| start::<M>(Host::Task)).collect();
        ns_per(actors * rounds, || {
            for _ in 0..rounds {
                for counter in &counters {
                    M::send(counter, Message::Tell);
                }
            }
            for counter in &counters {
                assert_eq!(ask::<M>(counter, Message::Read), rounds as u64);
            }
        })
    })
}

/// The caller starts `n` actors and stops each of them at once; the clock stops when all are dropped.
pub(crate) fn spawnstop<M: Mailbox>(who: &str, n: usize) -> [Contender; 2] {
    let plain = Contender::new(who, move || {
        let census = Census::begin();
        ns_per(n, || {
            for _ in 0..n {
                drop(start::<M>(Host::Task));
            }
            census.wait(n);
        })
    });
    let within = Contender::awaiting(format!("{who} (async caller)"), move || {
        on_worker(async move {
            let census = Census::begin();
            let start = Instant::now();
            for _ in 0..n {
                let (sender, task) = start_task::<M>();
                drop(sender);
                task.await.expect("the actor ends without a panic");
            }
            census.wait_async(n).await;
            per(n, start.elapsed())
        })
    });
    [plain, within]
}

/// Starts `n` actors and calls each of them once. They live as long as the returned senders.
pub(crate) fn population<M: Mailbox>(n: usize) -> Vec<M::Sender> {
    let counters: Vec<M::Sender> = (0..n).map(|_| start::<M>(Host::Task)).collect();
    for counter in &counters {
        assert_eq!(ask::<M>(counter, Message::Increment), 1);
    }
    counters
}
