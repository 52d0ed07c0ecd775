//! actix: actors live on the single-threaded event loop of an arbiter.
//!
//! The actors of "actix" are on an arbiter (in `many`, on one arbiter for each core), and the caller is a plain thread. In
//! "(same thread)" the caller and its actors are on one thread. Mailboxes are unbounded: this is faster where the caller
//! submits calls faster than the actor runs them, and makes no difference elsewhere.

use std::{cell::Cell, time::Instant};

use actix::prelude::*;
use futures::executor;

use crate::{
    alive::{Alive, Census},
    callers::Caller,
    measure::{Contender, cores, ns_per, per},
    workload::sum_of_counts,
};

#[derive(Message)]
#[rtype(result = "u64")]
struct Increment;

#[derive(Message)]
#[rtype(result = "u64")]
struct Read;

pub(crate) struct Counter {
    value: u64,
    _alive: Alive,
}

impl Counter {
    fn new() -> Self {
        LIVING.set(LIVING.get() + 1);
        Counter { value: 0, _alive: Alive::new() }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        LIVING.set(LIVING.get() - 1);
    }
}

impl Actor for Counter {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(0);
    }
}

impl Handler<Increment> for Counter {
    type Result = u64;

    fn handle(&mut self, _: Increment, _: &mut Self::Context) -> Self::Result {
        self.value += 1;
        self.value
    }
}

impl Handler<Read> for Counter {
    type Result = u64;

    fn handle(&mut self, _: Read, _: &mut Self::Context) -> Self::Result {
        self.value
    }
}

thread_local! {
    /// The number of counters of this thread; an actor of actix never leaves its thread.
    static LIVING: Cell<usize> = const { Cell::new(0) };

    /// The system of the thread that runs the contenders, and an arbiter for each core.
    static SYSTEM: (SystemRunner, Vec<Arbiter>) = {
        let system = System::new();
        let arbiters = (0..cores()).map(|_| Arbiter::new()).collect();
        (system, arbiters)
    };
}

/// Starts a counter on the arbiter of that number.
fn start_in(arbiter: usize) -> Addr<Counter> {
    SYSTEM.with(|(_, arbiters)| {
        let handle = arbiters[arbiter % arbiters.len()].handle();
        Counter::start_in_arbiter(&handle, |_| Counter::new())
    })
}

/// Runs `future` on the event loop of the system, which is on this thread. Then it lets the loop turn until the actors that
/// the future made on this thread are dropped: the loop drops an actor without addresses only when it turns.
fn on_system<T>(future: impl Future<Output = T>) -> T {
    SYSTEM.with(|(system, _)| {
        system.block_on(async {
            let result = future.await;
            while LIVING.get() > 0 {
                tokio::task::yield_now().await;
            }
            result
        })
    })
}

async fn asks(counter: Addr<Counter>, n: usize) -> f64 {
    let start = Instant::now();
    let mut sum = 0;
    for _ in 0..n {
        sum += counter.send(Increment).await.expect("reply");
    }
    let elapsed = start.elapsed();
    assert_eq!(sum, sum_of_counts(n));
    per(n, elapsed)
}

async fn pipe_async(counter: Addr<Counter>, n: usize) -> f64 {
    assert_eq!(counter.send(Read).await.expect("reply"), 0);
    let start = Instant::now();
    let pending: Vec<_> = (0..n).map(|_| counter.send(Increment)).collect();
    let mut sum = 0;
    for reply in pending {
        sum += reply.await.expect("reply");
    }
    let elapsed = start.elapsed();
    assert_eq!(sum, sum_of_counts(n));
    per(n, elapsed)
}

async fn tell_async(counter: Addr<Counter>, n: usize) -> f64 {
    let start = Instant::now();
    for _ in 0..n {
        counter.do_send(Increment);
    }
    let value = counter.send(Read).await.expect("reply");
    let elapsed = start.elapsed();
    assert_eq!(value, n as u64);
    per(n, elapsed)
}

async fn many_async(counters: &[Addr<Counter>], rounds: usize) {
    for _ in 0..rounds {
        for counter in counters {
            counter.do_send(Increment);
        }
    }
    for counter in counters {
        assert_eq!(counter.send(Read).await.expect("reply"), rounds as u64);
    }
}

pub(crate) fn ask(plain: usize, within: usize) -> [Contender; 2] {
    [
        Contender::new("actix", move || executor::block_on(asks(start_in(0), plain))),
        Contender::awaiting("actix (same thread)", move || on_system(async move { asks(Counter::new().start(), within).await })),
    ]
}

/// A task on a worker calls an actor on an arbiter. An actix system is a current_thread runtime; there both are on its
/// thread.
pub(crate) fn ask_async(n: usize) -> [Contender; 2] {
    [
        Caller::Worker.contender("actix", move || Caller::Worker.run(asks(start_in(0), n))),
        Caller::CurrentThread.contender("actix", move || on_system(async move { asks(Counter::new().start(), n).await })),
    ]
}

pub(crate) fn pipe(n: usize) -> [Contender; 2] {
    [
        Contender::new("actix", move || executor::block_on(pipe_async(start_in(0), n))),
        Contender::awaiting("actix (same thread)", move || on_system(async move { pipe_async(Counter::new().start(), n).await })),
    ]
}

pub(crate) fn tell(n: usize) -> [Contender; 2] {
    [
        Contender::new("actix", move || executor::block_on(tell_async(start_in(0), n))),
        Contender::awaiting("actix (same thread)", move || on_system(async move { tell_async(Counter::new().start(), n).await })),
    ]
}

pub(crate) fn many(actors: usize, rounds: usize) -> [Contender; 2] {
    [
        Contender::new("actix", move || {
            let counters: Vec<_> = (0..actors).map(start_in).collect();
            ns_per(actors * rounds, || {
                executor::block_on(many_async(&counters, rounds));
            })
        }),
        Contender::awaiting("actix (same thread)", move || {
            on_system(async move {
                let counters: Vec<_> = (0..actors).map(|_| Counter::new().start()).collect();
                let start = Instant::now();
                many_async(&counters, rounds).await;
                per(actors * rounds, start.elapsed())
            })
        }),
    ]
}

pub(crate) fn spawnstop(n: usize) -> [Contender; 2] {
    [
        Contender::new("actix", move || {
            let census = Census::begin();
            ns_per(n, || {
                for _ in 0..n {
                    drop(start_in(0));
                }
                census.wait(n);
            })
        }),
        Contender::awaiting("actix (same thread)", move || {
            on_system(async move {
                let census = Census::begin();
                let start = Instant::now();
                for _ in 0..n {
                    drop(Counter::new().start());
                }
                census.wait_async(n).await;
                per(n, start.elapsed())
            })
        }),
    ]
}

/// Starts `n` actors on this thread and calls each of them once. They live as long as the returned addresses.
pub(crate) fn population(n: usize) -> Vec<Addr<Counter>> {
    let living = async move {
        let counters: Vec<_> = (0..n).map(|_| Counter::new().start()).collect();
        for counter in &counters {
            assert_eq!(counter.send(Increment).await.expect("reply"), 1);
        }
        counters
    };
    SYSTEM.with(|(system, _)| system.block_on(living))
}

/// Starts the library and gets a first reply.
pub(crate) fn first_result() {
    let system = System::new();
    let reply = system.block_on(async { Counter::new().start().send(Increment).await });
    assert_eq!(reply.expect("reply"), 1);
    std::mem::forget(system);
}
