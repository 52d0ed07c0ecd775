//! The contenders of this project: the library `ray`, used in the way that its documentation recommends, on a plain thread
//! of a sync program.
//!
//! The first case that needs the engine starts it, and it keeps running, as in a program. Each child process of `mem`,
//! `start` and `idle` starts a new engine.

use std::time::Instant;

use ray::{ActorHandle, Chunk, Config, ObjectRef, Pending, remote, util::Pool};

use crate::{
    alive::{Alive, Census},
    callers::{async_callers, on_worker},
    measure::{Contender, cores, ns_per, per},
    workload::{arithmetic::Work, chain1000, fib25, map, par20, putget, sum_of_counts, wait1000, window},
};

pub(crate) mod allreduce;
pub(crate) mod stream;
pub(crate) mod ticker;
#[cfg(feature = "train")]
pub(crate) mod train;
pub(crate) mod web;

/// The names of these contenders in the cases that run each contender in a process of its own.
pub(crate) const ALONE: [&str; 1] = ["ray"];

/// Waits for `value`, which must not fail.
macro_rules! get {
    ($value:expr) => {
        ray::get($value).expect("the call succeeds")
    };
}

#[remote]
fn noop() -> u64 {
    1
}

#[remote]
async fn noop_async() -> u64 {
    1
}

#[remote]
fn echo(value: u64) -> u64 {
    value
}

#[remote]
fn successor(value: u64) -> u64 {
    value + 1
}

#[remote]
fn fib(n: u64) -> ray::Result<u64> {
    if n < 2 {
        return Ok(n);
    }
    let (left, right) = (fib.remote(n - 1), fib.remote(n - 2));
    Ok(ray::get(left)? + ray::get(right)?)
}

#[remote]
fn down(n: u64) -> u64 {
    if n == 0 { 0 } else { get!(down.remote(n - 1)) + 1 }
}

#[remote]
fn arithmetic(steps: u64, seed: u64) -> u64 {
    Work::of_steps(steps).run(seed)
}

#[remote]
fn arithmetic_of((steps, seed): (u64, u64)) -> u64 {
    Work::of_steps(steps).run(seed)
}

#[remote]
pub(crate) struct Counter {
    value: u64,
    _alive: Alive,
}

#[remote]
impl Counter {
    pub(crate) fn new() -> Self {
        Counter { value: 0, _alive: Alive::new() }
    }

    pub(crate) fn increment(&mut self) -> u64 {
        self.value += 1;
        self.value
    }

    pub(crate) fn read(&self) -> u64 {
        self.value
    }
}

/// An actor that computes.
#[remote]
pub(crate) struct Worker {
    value: u64,
}

#[remote]
impl Worker {
    pub(crate) fn new() -> Self {
        Worker { value: 0 }
    }

    pub(crate) fn noop(&mut self) -> u64 {
        1
    }

    pub(crate) fn work(&mut self, steps: u64) -> u64 {
        self.value = Work::of_steps(steps).run(self.value);
        self.value
    }
}

/// Starts the engine if it does not run yet. The tip of the engine about a `get` right after each `remote` is disabled,
/// because some cases measure exactly that.
fn engine() {
    if !ray::is_initialized() {
        ray::init_with(Config::new().tips(false)).expect("the engine starts");
    }
}

pub(crate) fn rt(n: usize) -> [Contender; 2] {
    engine();
    [
        Contender::new("ray", move || {
            ns_per(n, || {
                let mut sum = 0;
                for _ in 0..n {
                    sum += get!(noop.remote());
                }
                assert_eq!(sum, n as u64);
            })
        }),
        Contender::awaiting("ray (async caller)", move || on_worker(awaits(n / 10))),
    ]
}

/// The caller submits `n` no-op tasks and awaits each of them before the next.
async fn awaits(n: usize) -> f64 {
    let start = Instant::now();
    let mut sum = 0;
    for _ in 0..n {
        sum += noop.remote().await.expect("the call succeeds");
    }
    assert_eq!(sum, n as u64);
    per(n, start.elapsed())
}

pub(crate) fn rt_async(n: usize) -> [Contender; 2] {
    engine();
    async_callers("ray", move || awaits(n))
}

pub(crate) fn async_fn(n: usize) -> [Contender; 2] {
    engine();
    async_callers("ray", move || async move {
        let start = Instant::now();
        let mut sum = 0;
        for _ in 0..n {
            sum += noop_async.remote().await.expect("the call succeeds");
        }
        assert_eq!(sum, n as u64);
        per(n, start.elapsed())
    })
}

pub(crate) fn async_fn_get(n: usize) -> [Contender; 1] {
    engine();
    [Contender::new("ray", move || {
        ns_per(n, || {
            let mut sum = 0;
            for _ in 0..n {
                sum += get!(noop_async.remote());
            }
            assert_eq!(sum, n as u64);
        })
    })]
}

pub(crate) fn tasks(n: usize) -> [Contender; 1] {
    engine();
    [Contender::new("ray", move || {
        ns_per(n, || {
            let refs: Vec<_> = (0..n as u64).map(|i| echo.remote(i)).collect();
            let sum: u64 = get!(refs).into_iter().sum();
            assert_eq!(sum, (0..n as u64).sum::<u64>());
        })
    })]
}

pub(crate) fn ask(n: usize) -> [Contender; 2] {
    engine();
    [
        Contender::new("ray", move || {
            let counter = Counter::remote();
            let mut sum = 0;
            let sample = ns_per(n, || {
                for _ in 0..n {
                    sum += get!(counter.increment.remote());
                }
            });
            assert_eq!(sum, sum_of_counts(n));
            sample
        }),
        Contender::awaiting("ray (async caller)", move || on_worker(asks(n / 10))),
    ]
}

/// The caller makes `n` calls of an actor and awaits each of them before the next.
async fn asks(n: usize) -> f64 {
    let counter = Counter::remote();
    let start = Instant::now();
    let mut sum = 0;
    for _ in 0..n {
        sum += counter.increment.remote().await.expect("the call succeeds");
    }
    let elapsed = start.elapsed();
    assert_eq!(sum, sum_of_counts(n));
    per(n, elapsed)
}

pub(crate) fn ask_async(n: usize) -> [Contender; 2] {
    engine();
    async_callers("ray", move || asks(n))
}

pub(crate) fn pipe(n: usize) -> [Contender; 1] {
    engine();
    [Contender::new("ray", move || {
        let counter = Counter::remote();
        let mut sum = 0;
        let sample = ns_per(n, || {
            let refs: Vec<_> = (0..n).map(|_| counter.increment.remote()).collect();
            sum = get!(refs).into_iter().sum();
        });
        assert_eq!(sum, sum_of_counts(n));
        sample
    })]
}

pub(crate) fn tell(n: usize) -> [Contender; 2] {
    fn contender(who: &str, n: usize, submit: impl Fn(&ActorHandle<Counter>) + 'static) -> Contender {
        Contender::new(who, move || {
            let counter = Counter::remote();
            ns_per(n, || {
                for _ in 0..n {
                    submit(&counter);
                }
                assert_eq!(get!(counter.read.remote()), n as u64);
            })
        })
    }
    engine();
    [
        contender("ray", n, |counter| counter.increment.tell()),
        contender("ray (remote, dropped)", n, |counter| {
            drop(counter.increment.remote());
        }),
    ]
}

pub(crate) fn many(actors: usize, rounds: usize) -> [Contender; 2] {
    fn contender(who: &str, actors: usize, rounds: usize, submit: impl Fn(&ActorHandle<Counter>) + 'static) -> Contender {
        Contender::new(who, move || {
            let counters: Vec<_> = (0..actors).map(|_| Counter::remote()).collect();
            ns_per(actors * rounds, || {
                for _ in 0..rounds {
                    for counter in &counters {
                        submit(counter);
                    }
                }
                for counter in &counters {
                    assert_eq!(get!(counter.read.remote()), rounds as u64);
                }
            })
        })
    }
    engine();
    [
        contender("ray", actors, rounds, |counter| counter.increment.tell()),
        contender("ray (remote, dropped)", actors, rounds, |counter| {
            drop(counter.increment.remote());
        }),
    ]
}

/// The drop of the last handle stops an actor.
pub(crate) fn spawnstop(n: usize) -> [Contender; 1] {
    engine();
    [Contender::new("ray", move || {
        let census = Census::begin();
        ns_per(n, || {
            for _ in 0..n {
                drop(Counter::remote());
            }
            census.wait(n);
        })
    })]
}

pub(crate) fn fib_tasks() -> [Contender; 1] {
    engine();
    [Contender::new("ray", || fib25::microseconds(|| get!(fib.remote(fib25::N))))]
}

pub(crate) fn putget(n: usize) -> [Contender; 1] {
    engine();
    [Contender::new("ray", move || putget::ns_per_object(n, |object| get!(ray::put(object))))]
}

pub(crate) fn wait() -> [Contender; 2] {
    fn submit(n: u64) -> Vec<ObjectRef<u64>> {
        (0..n).map(|i| echo.remote(i)).collect()
    }
    engine();
    [
        wait1000::contender("ray", submit, |refs| ray::as_completed(refs).map(|done| get!(done)).sum()),
        wait1000::contender("ray (wait)", submit, |refs| {
            let mut sum = 0;
            let mut rest = Pending::from(refs);
            while !rest.is_empty() {
                let (mut done, others) = ray::wait(rest, 1).expect("one of them finishes");
                sum += get!(done.remove(0));
                rest = others;
            }
            sum
        }),
    ]
}

pub(crate) fn chain() -> [Contender; 1] {
    engine();
    [Contender::new("ray", || {
        chain1000::ns_per_link(|links| {
            let mut last = successor.remote(0);
            for _ in 1..links {
                last = successor.remote(last);
            }
            get!(last)
        })
    })]
}

pub(crate) fn par(work: Work) -> [Contender; 1] {
    engine();
    [Contender::new("ray", move || {
        par20::ratio(work, |tasks| {
            let refs: Vec<_> = (0..tasks).map(|seed| arithmetic.remote(work.steps(), seed)).collect();
            get!(refs).into_iter().fold(0, u64::wrapping_add)
        })
    })]
}

pub(crate) fn map(work: Work) -> [Contender; 2] {
    engine();
    let expected = || (0..map::CALLS).map(|seed| work.run(seed)).collect::<Vec<_>>();
    let chunks = expected();
    let calls = expected();
    let seeds = move || (0..map::CALLS).map(move |seed| (work.steps(), seed));
    [
        Contender::new("ray (chunk auto)", move || {
            map::time(&chunks, || {
                arithmetic_of.map(seeds()).chunk(Chunk::Auto).collect::<ray::Result<_>>().expect("the calls succeed")
            })
        }),
        Contender::new("ray (a task for each)", move || {
            map::time(&calls, || arithmetic_of.map(seeds()).collect::<ray::Result<_>>().expect("the calls succeed"))
        }),
    ]
}

pub(crate) fn pool(work: Work) -> [Contender; 1] {
    engine();
    let expected: Vec<_> = (0..map::CALLS).map(|seed| work.run(seed)).collect();
    let pool = Pool::new(cores()).expect("the engine has a CPU for each worker");
    [Contender::new("ray", move || {
        map::time(&expected, || {
            pool.map(arithmetic_of, (0..map::CALLS).map(|seed| (work.steps(), seed))).expect("the calls succeed")
        })
    })]
}

pub(crate) fn window() -> Vec<Contender> {
    engine();
    let of = |size: usize| {
        Contender::new(format!("ray, {size} in flight"), move || {
            window::time(|tasks| {
                let mut next = 0..tasks;
                let mut pending: Pending<_> = next.by_ref().take(size).map(|i| echo.remote(i)).collect();
                let mut sum = 0;
                while !pending.is_empty() {
                    let (done, rest) = ray::wait(pending, 1).expect("the tasks end");
                    sum += get!(done)[0];
                    pending = rest;
                    pending.extend(next.next().map(|i| echo.remote(i)));
                }
                sum
            })
        })
    };
    window::SIZES.map(of).into()
}

/// Starts the engine. The returned function counts down from a number; each call gets the result of the next one.
pub(crate) fn recursion() -> fn(u64) -> u64 {
    engine();
    |depth| get!(down.remote(depth))
}

/// Creates `n` actors and calls each of them once. They live as long as the returned handles.
pub(crate) fn population(n: usize) -> Vec<ActorHandle<Counter>> {
    let counters: Vec<_> = (0..n).map(|_| Counter::remote()).collect();
    for counter in &counters {
        assert_eq!(get!(counter.increment.remote()), 1);
    }
    counters
}

/// Starts the engine and gets a first result.
pub(crate) fn first_result() {
    engine();
    assert_eq!(get!(noop.remote()), 1);
}
