//! Which work an await runs on the polling thread, and when it yields. On a cluster bodies run in other processes only.

use std::cell::Cell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use ray::{ObjectRef, remote};
use serde::{Deserialize, Serialize};

use crate::stage::{alone_on, late, on_cluster};
use crate::support::{Gate, calls};

/// A thread: the number of its process, and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Thread(u32, u64);

/// The thread of the caller.
pub(crate) fn own() -> Thread {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static OWN: Thread = Thread(std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    }
    OWN.with(|own| *own)
}

#[remote]
fn here() -> Thread {
    own()
}

#[remote]
async fn async_here() -> Thread {
    own()
}

/// Its first poll returns `Pending`.
#[remote]
async fn async_late() -> Thread {
    tokio::task::yield_now().await;
    own()
}

#[remote(inline = false)]
fn elsewhere() -> Thread {
    own()
}

/// The first call waits for a task; the later ones get an object that is ready.
#[remote]
fn waits(object: Option<ObjectRef<Thread>>) -> Thread {
    ray::get(object.unwrap_or_else(|| elsewhere.remote())).unwrap();
    own()
}

#[remote]
struct Place {
    calls: u64,
}

#[remote]
impl Place {
    pub fn new() -> Self {
        Place { calls: 0 }
    }
    pub fn here(&mut self) -> Thread {
        self.calls += 1;
        own()
    }
    pub fn compute(&mut self) -> u64 {
        let end = std::time::Instant::now() + std::time::Duration::from_micros(5);
        while std::time::Instant::now() < end {}
        self.calls += 1;
        self.calls
    }
    #[method(inline = false)]
    pub fn elsewhere(&mut self) -> Thread {
        own()
    }
}

#[remote]
struct Caller;

#[remote]
impl Caller {
    pub fn new() -> Self {
        Caller
    }
    pub async fn awaits(&self) -> bool {
        await_tasks().await
    }
}

fn tries() -> usize {
    calls(10, 2000)
}

/// Awaits calls until one ran on the polling thread; returns `false` if none did after [`tries`] calls.
async fn runs_here<F: Future<Output = ray::Result<Thread>>>(call: impl Fn() -> F) -> bool {
    for _ in 0..tries() {
        let polling = own();
        if call().await.unwrap() == polling {
            return true;
        }
    }
    false
}

/// Whether short work ran on the polling thread, as it must: never on a cluster.
fn as_it_must(ran_here: bool) -> bool {
    ran_here != on_cluster()
}

async fn await_tasks() -> bool {
    as_it_must(runs_here(|| here.remote()).await)
}

#[remote]
async fn awaits_inside() -> bool {
    await_tasks().await
}

fn current() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

fn multi() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap()
}

#[test]
fn awaits_run_short_work_on_any_executor() {
    alone_on(2, || {
        assert!(current().block_on(await_tasks()), "current_thread");
        let multi = multi();
        assert!(multi.block_on(multi.spawn(await_tasks())).unwrap(), "multi_thread");
        let local = tokio::task::LocalSet::new();
        assert!(local.block_on(&current(), async { tokio::task::spawn_local(await_tasks()).await.unwrap() }), "LocalSet");
        assert!(futures::executor::block_on(await_tasks()), "futures");
        assert!(ray::get(awaits_inside.remote()).unwrap(), "an async task of the engine");
        assert!(ray::get(Caller::remote().awaits.remote()).unwrap(), "an async method of the engine");
    });
}

#[test]
fn awaits_run_an_actors_short_calls() {
    alone_on(2, || {
        let place = Place::remote();
        assert!(as_it_must(current().block_on(runs_here(|| place.here.remote()))));
        let multi = multi();
        let other = place.clone();
        assert!(as_it_must(multi.block_on(multi.spawn(async move { runs_here(|| other.here.remote()).await })).unwrap()));
    });
}

#[test]
fn awaits_and_gets_poll_a_short_async_fn() {
    alone_on(2, || {
        assert!(as_it_must(current().block_on(runs_here(|| async_here.remote()))), "an await");
        assert!(as_it_must((0..tries()).any(|_| ray::get(async_here.remote()).unwrap() == own())), "a get");
        // A definition that has returned `Pending` once is polled only by the engine's own threads.
        current().block_on(async {
            for _ in 0..calls(5, 50) {
                async_late.remote().await.unwrap();
            }
            assert!(!runs_here(|| async_late.remote()).await);
        });
    });
}

#[test]
fn inline_false_runs_on_other_threads() {
    alone_on(2, || {
        let place = Place::remote();
        let own = own();
        for _ in 0..calls(20, 200) {
            assert_ne!(ray::get(elsewhere.remote()).unwrap(), own);
            assert_ne!(ray::get(place.elsewhere.remote()).unwrap(), own);
        }
        current().block_on(async {
            for _ in 0..calls(20, 200) {
                assert_ne!(elsewhere.remote().await.unwrap(), own);
                assert_ne!(place.elsewhere.remote().await.unwrap(), own);
            }
        });
    });
}

/// The computing time of the function is short, but it has waited in a get, so an await does not run it.
#[test]
fn a_function_that_waits_is_not_run_by_an_await() {
    alone_on(1, || {
        ray::get(waits.remote(None)).unwrap();
        let ready = ray::put(own());
        current().block_on(async { assert!(!runs_here(|| waits.remote(Some(ready.clone()))).await) });
    });
}

#[test]
fn each_closure_type_is_measured_separately() {
    alone_on(2, || {
        let own = std::thread::current().id();
        let short = || ray::get(ray::task(|| std::thread::current().id()).remote()).unwrap();
        assert!((0..tries()).any(|_| short() == own), "this closure type is known to be short");
        assert_ne!(
            ray::get(ray::task(move || (std::thread::current().id(), own).0).remote()).unwrap(),
            own,
            "this closure type is not"
        );
    });
}

/// The number of this process, and the runtime that the caller sees in it.
fn seen() -> (u32, Option<String>) {
    (std::process::id(), tokio::runtime::Handle::try_current().ok().map(|handle| handle.id().to_string()))
}

#[remote]
fn runtime_seen() -> (u32, Option<String>) {
    seen()
}

#[remote]
async fn runtime_seen_async() -> (u32, Option<String>) {
    seen()
}

#[remote]
struct Seeing;

#[remote]
impl Seeing {
    pub fn new() -> Self {
        Seeing
    }
    pub fn runtime(&self) -> (u32, Option<String>) {
        seen()
    }
    pub async fn runtime_async(&self) -> (u32, Option<String>) {
        seen()
    }
}

/// Bodies see the engine's runtime when an await, a worker thread or a get runs them: that of their process, once an async
/// body has run in it.
#[test]
fn a_body_sees_the_engines_runtime_everywhere() {
    alone_on(2, || {
        let mut engines = HashMap::from([ray::get(runtime_seen_async.remote()).unwrap()]);
        let mut check = |(process, runtime): (u32, Option<String>), is_async: bool| {
            assert!(on_cluster() || process == std::process::id());
            if is_async {
                assert!(runtime.is_some());
                engines.entry(process).or_insert_with(|| runtime.clone());
            }
            if let Some(engines) = engines.get(&process) {
                assert_eq!(runtime, *engines);
            }
        };
        let seeing = Seeing::remote();
        current().block_on(async {
            let own = seen();
            check(seeing.runtime_async.remote().await.unwrap(), true);
            for _ in 0..calls(20, 200) {
                check(runtime_seen.remote().await.unwrap(), false);
                check(runtime_seen_async.remote().await.unwrap(), true);
                check(seeing.runtime.remote().await.unwrap(), false);
            }
            assert_eq!(seen(), own, "the caller still sees its own runtime");
            assert_ne!(runtime_seen_async.remote().await.unwrap(), own);
        });
        for _ in 0..calls(20, 200) {
            check(ray::get(runtime_seen.remote()).unwrap(), false);
        }
    });
}

/// An async body that an await polls can spawn tasks on the engine's runtime.
#[remote]
async fn spawns(x: u64) -> u64 {
    tokio::spawn(async move { x + 1 }).await.unwrap()
}

#[test]
fn an_async_fn_that_an_await_polls_has_the_engines_timers_and_tasks() {
    alone_on(2, || {
        futures::executor::block_on(async {
            for x in 0..calls(40, 200) {
                assert_eq!(spawns.remote(x).await.unwrap(), x + 1);
            }
        });
    });
}

/// Awaits `work` on a single-threaded runtime. Returns how often another future of that thread was polled meanwhile.
fn turns_of_others(work: impl Future<Output = ()>) -> u64 {
    let (turns, done) = (Rc::new(Cell::new(0u64)), Rc::new(Cell::new(false)));
    let local = tokio::task::LocalSet::new();
    local.block_on(&current(), async {
        let (counter, ended) = (turns.clone(), done.clone());
        let other = tokio::task::spawn_local(async move {
            while !ended.get() {
                counter.set(counter.get() + 1);
                tokio::task::yield_now().await;
            }
        });
        work.await;
        done.set(true);
        other.await.unwrap();
    });
    turns.get()
}

#[test]
fn a_loop_of_awaits_yields() {
    alone_on(2, || {
        let turns = turns_of_others(async {
            for _ in 0..calls(100, 20_000) {
                here.remote().await.unwrap();
            }
        });
        assert!(turns > 50, "{turns}");
        let turns = turns_of_others(async {
            for _ in 0..calls(100, 20_000) {
                async_here.remote().await.unwrap();
            }
        });
        assert!(turns > 50, "{turns}");
    });
}

#[test]
fn an_await_of_the_last_of_many_calls_yields() {
    alone_on(2, || {
        let place = Place::remote();
        ray::get((0..100).map(|_| place.compute.remote()).collect::<Vec<_>>()).unwrap();
        let turns = turns_of_others(async {
            let told = calls(100, 10_000);
            for _ in 0..told {
                place.compute.tell();
            }
            assert_eq!(place.compute.remote().await.unwrap(), 100 + told + 1);
        });
        assert!(turns > 10, "{turns}");
    });
}

#[remote]
async fn fails_first(kind: u64) -> Result<u64, String> {
    match kind {
        0 => panic!("polled to a panic"),
        1 => Err("polled to an error".to_owned()),
        _ => Ok(kind),
    }
}

#[test]
fn a_first_poll_in_an_await_may_fail_or_panic() {
    alone_on(2, || {
        current().block_on(async {
            for _ in 0..calls(10, 100) {
                assert_eq!(fails_first.remote(2).await.unwrap(), 2);
                assert!(fails_first.remote(0).await.unwrap_err().is_panic());
                assert!(fails_first.remote(1).await.unwrap_err().to_string().contains("polled to an error"));
            }
        });
        crate::stage::eventually("all CPUs are free", || {
            ray::available_resources().unwrap() == ray::cluster_resources().unwrap()
        });
    });
}

/// A recursion of async functions polls each inside the other. It continues on another thread when the stack runs short.
#[remote]
async fn deep(levels: u64) -> u64 {
    if levels == 0 { 0 } else { deep.remote(levels - 1).await.unwrap() + 1 }
}

#[test]
fn deep_awaits_do_not_overflow() {
    alone_on(2, || {
        for _ in 0..calls(1, 3) {
            // On a cluster each level is a process.
            let levels = calls(4, 5_000);
            assert_eq!(current().block_on(deep.remote(levels)).unwrap(), levels);
        }
    });
}

#[test]
fn a_runtime_that_ends_with_awaits_pending() {
    alone_on(2, || {
        let gate = Gate::new();
        let object = late(gate, 7u64);
        for runtime in [current(), multi()] {
            let awaits: Vec<_> = (0..8).map(|_| runtime.spawn(object.clone())).collect();
            runtime.block_on(tokio::task::yield_now());
            runtime.shutdown_background();
            drop(awaits);
        }
        gate.open();
        assert_eq!(ray::get(object).unwrap(), 7);
    });
}
