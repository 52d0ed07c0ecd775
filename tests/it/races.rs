//! Races of kill, cancel, shutdown and creation. Each test reproduces a fault that was found by review or by random
//! programs.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ray::{Config, ObjectRef, remote};

use crate::cluster;
use crate::stage::{alone, alone_on, apart, eventually, served, shut_down_beside_a_body};
use crate::support::{Gate, Tally, calls};

static MADE: AtomicI64 = AtomicI64::new(0);
static DROPPED: AtomicI64 = AtomicI64::new(0);

/// A value that counts its creations and its drops, in each process.
#[derive(Debug, serde::Serialize)]
struct Counted(u8);

impl Counted {
    fn new() -> Self {
        MADE.fetch_add(1, Ordering::SeqCst);
        Counted(0)
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Counted::new()
    }
}

impl<'de> serde::Deserialize<'de> for Counted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Plain(#[allow(dead_code)] u8);
        Plain::deserialize(deserializer).map(|_| Counted::new())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        DROPPED.fetch_add(1, Ordering::SeqCst);
    }
}

#[track_caller]
fn all_dropped() {
    eventually("everything that was made is dropped", || MADE.load(Ordering::SeqCst) == DROPPED.load(Ordering::SeqCst));
    std::thread::park_timeout(Duration::from_millis(5));
    assert_eq!(MADE.load(Ordering::SeqCst), DROPPED.load(Ordering::SeqCst), "each value is dropped once");
}

#[remote(max_restarts = 2)]
struct Keeper {
    _kept: Counted,
    _own: Counted,
}

#[remote]
impl Keeper {
    pub fn new(kept: Counted) -> Self {
        Keeper { _kept: kept, _own: Counted::new() }
    }
    pub fn ping(&self) -> u32 {
        1
    }
    pub fn note(&self, _more: Counted) -> u32 {
        2
    }
}

#[remote(max_concurrency = 4)]
struct Wide {
    _own: Counted,
    inside: AtomicU64,
}

#[remote]
impl Wide {
    pub fn new() -> Self {
        Wide { _own: Counted::new(), inside: AtomicU64::new(7) }
    }
    pub fn look(&self, started: Gate, gate: Gate) -> u64 {
        started.open();
        gate.wait();
        self.inside.load(Ordering::SeqCst)
    }
    pub fn ping(&self) -> u64 {
        self.inside.load(Ordering::SeqCst)
    }
    pub fn tear(&self) {
        panic!("torn");
    }
}

#[remote]
fn consume(_value: Counted) -> u32 {
    3
}

#[remote]
fn fail() -> Result<Counted, String> {
    Err("no".to_owned())
}

#[remote]
fn second(_a: Vec<Counted>) -> u32 {
    4
}

#[remote(inline = false)]
fn counted(gate: Gate, value: Counted) -> Counted {
    gate.wait();
    value
}

#[remote]
fn make() -> Counted {
    Counted::new()
}

/// The kept arguments of a constructor that never ran are dropped once.
#[test]
fn killed_before_its_constructor_ran() {
    alone(|| {
        for _ in 0..calls(5, 50) {
            let keeper = Keeper::remote(Counted::new());
            ray::kill(&keeper).unwrap();
            assert!(ray::get(keeper.ping.remote()).unwrap_err().is_actor_died());
        }
        all_dropped();
        let gate = Gate::new();
        let keeper = Keeper::remote(counted.options().num_cpus(0.0).remote(gate, Counted::new()));
        let call = keeper.note.remote(Counted::new());
        ray::kill(&keeper).unwrap();
        assert!(ray::get(call).unwrap_err().is_actor_died());
        gate.open();
        drop(keeper);
        all_dropped();
        let keeper = Keeper::options().name("of a failed argument").remote(fail.remote());
        assert!(ray::get(keeper.ping.remote()).unwrap_err().is_actor_died());
        drop(keeper);
        all_dropped();
    });
}

/// A restart before the constructor has run makes one instance, not two.
#[test]
fn restarted_before_its_constructor_ran() {
    alone(|| {
        for _ in 0..calls(5, 200) {
            let keeper = Keeper::remote(Counted::new());
            ray::kill_and_restart(&keeper).unwrap();
            let call = keeper.ping.remote();
            assert!(ray::get(call).map_or_else(|error| error.is_actor_unavailable(), |one| one == 1));
        }
        all_dropped();
    });
}

#[remote]
fn makes_at(started: Gate, gate: Gate) -> Counted {
    started.open();
    gate.wait();
    Counted::new()
}

/// Handles, late results and futures of a former engine start no new engine.
#[test]
fn stale_handles_start_no_engine() {
    apart(|| {
        let (started, gate) = (Gate::new(), Gate::new());
        crate::support::init_with(Config::new().num_cpus(2).shutdown_grace(Duration::ZERO)).unwrap();
        let keeper = Keeper::remote(Counted::new());
        ray::get(keeper.ready()).unwrap();
        let weak = keeper.downgrade();
        let slow = makes_at.options().num_cpus(0.0).remote(started, gate);
        let after = consume.remote(&slow);
        let rest = ray::Pending::from(vec![after.clone(), consume.remote(&slow)]);
        let (_, rest) = ray::wait(rest, ray::first(1).timeout(Duration::ZERO)).unwrap();
        started.wait();
        shut_down_beside_a_body();
        assert!(ray::get(keeper.ping.remote()).unwrap_err().is_runtime_gone());
        assert!(ray::get(weak.ping.remote()).unwrap_err().is_runtime_gone());
        drop(keeper);
        after.on_ready(|| ());
        assert!(ray::get(&after).unwrap_err().is_runtime_gone());
        // On a cluster the object fails with the connection, so it may be ready.
        let waited = ray::wait(rest, 1).and_then(|(ready, _)| ray::get(ready));
        assert!(waited.unwrap_err().is_runtime_gone());
        gate.open();
        eventually("the body has ended", || slow.is_ready());
        eventually("the dependant was settled", || after.is_ready());
        drop((slow, after));
        all_dropped();
        assert!(!ray::is_initialized());
    });
}

/// A shutdown does not drop the state of a concurrent actor while a call uses it.
#[test]
fn a_shutdown_during_a_concurrent_call() {
    apart(|| {
        for _ in 0..calls(3, 20) {
            let (started, gate) = (Gate::new(), Gate::new());
            crate::support::init_with(Config::new().num_cpus(2).shutdown_grace(Duration::ZERO)).unwrap();
            let wide = Wide::remote();
            let look = wide.look.remote(started, gate);
            started.wait();
            drop((0..100).map(|_| wide.ping.remote()).collect::<Vec<_>>());
            drop(wide);
            shut_down_beside_a_body();
            std::thread::yield_now();
            if !cluster::wanted() {
                assert_eq!(MADE.load(Ordering::SeqCst) - DROPPED.load(Ordering::SeqCst), 1, "a call still uses the state");
            }
            gate.open();
            eventually("the body has ended", || look.is_ready());
            all_dropped();
        }
    });
}

/// A concurrent actor is restarted although there are always further calls.
#[test]
fn a_crash_among_concurrent_calls() {
    alone(|| {
        let wide = Wide::options().max_restarts(1).max_concurrency(2).remote();
        let (started, gate) = (Gate::new(), Gate::new());
        let look = wide.look.remote(started, gate);
        started.wait();
        assert!(ray::get(wide.tear.remote()).unwrap_err().is_actor_unavailable());
        let later: Vec<_> = (0..10).map(|_| wide.ping.remote()).collect();
        assert!(ray::get(look).unwrap_err().is_actor_unavailable());
        gate.open();
        if cluster::wanted() {
            // Ray has failed the calls that came before the restart.
            drop(later);
            assert_eq!(served(|| wide.ping.remote()), 7);
        } else {
            assert_eq!(ray::get(later).unwrap(), [7; 10]);
        }
        drop(wide);
        all_dropped();
    });
}

/// Arguments fail while the submission still registers the task with other arguments: no argument is used after it is
/// dropped.
#[test]
fn arguments_fail_while_they_are_registered() {
    alone_on(2, || {
        for _ in 0..calls(5, 300) {
            let many: Vec<ObjectRef<Counted>> = (0..calls(20, 200)).map(|_| fail.remote()).collect();
            assert!(ray::get(second.remote(many)).is_err());
        }
        all_dropped();
    });
}

#[remote]
fn submits(began: Gate) {
    for turn in 0..calls(10, 200) {
        let made = make.remote();
        drop(consume.remote(&made));
        let keeper = Keeper::remote(made);
        keeper.ping.tell();
        if turn == 2 {
            began.open();
        }
        if ray::context().is_cancelled() {
            return;
        }
    }
}

/// A task is cancelled while it submits tasks, actors and calls.
#[test]
fn a_task_cancelled_while_it_submits() {
    alone_on(2, || {
        for _ in 0..calls(2, 200) {
            let began = Gate::new();
            let parent = submits.remote(began);
            began.wait();
            ray::cancel(&parent).unwrap();
            assert!(ray::get(parent).map_or_else(|error| error.is_cancelled(), |()| true));
        }
        all_dropped();
    });
}

fn attempt(attempts: Tally) -> Result<u32, String> {
    attempts.add();
    Err("again".to_owned())
}

#[remote(max_retries = -1, retry_exceptions = true)]
fn again(_kept: Counted, attempts: Tally) -> Result<u32, String> {
    attempt(attempts)
}

#[remote(max_retries = -1, retry_exceptions = true)]
async fn again_async(_kept: Counted, attempts: Tally) -> Result<u32, String> {
    attempt(attempts)
}

#[remote]
struct Again;

#[remote]
impl Again {
    pub fn new() -> Self {
        Again
    }
    #[method(max_task_retries = -1, retry_exceptions = true)]
    pub fn call(&self, _kept: Counted, attempts: Tally) -> Result<u32, String> {
        attempt(attempts)
    }
}

/// A cancel races with the end of a failed attempt: the arguments that were kept for the next attempt are dropped.
#[test]
fn a_task_cancelled_while_an_attempt_ends() {
    alone_on(2, || {
        let actor = Again::remote();
        for round in 0..calls(3, 9000) {
            let attempts = Tally::new();
            let object = match round % 3 {
                0 => again.remote(Counted::new(), attempts),
                1 => again_async.remote(Counted::new(), attempts),
                _ => actor.call.remote(Counted::new(), attempts),
            };
            while attempts.count() == 0 {
                std::thread::yield_now();
            }
            // The delay varies, so that cancels fall into an attempt and between two.
            (0..round / 3 % 100).for_each(|_| std::hint::spin_loop());
            ray::cancel(&object).unwrap();
            assert!(ray::get(object).unwrap_err().is_cancelled());
        }
        drop(actor);
        all_dropped();
    });
}

/// The argument of many calls becomes ready while their actor is killed; a further call is queued behind them.
#[test]
fn a_kill_while_an_argument_becomes_ready() {
    alone_on(2, || {
        for _ in 0..calls(5, 300) {
            let keeper = Keeper::options().max_restarts(0).remote(Counted::new());
            ray::get(keeper.ready()).unwrap();
            let (made, seen) = (make.remote(), Tally::new());
            let mut calls: Vec<ObjectRef<u32>> = (0..20).map(|_| keeper.note.remote(&made)).collect();
            calls.push(keeper.ping.remote());
            ray::kill(&keeper).unwrap();
            seen.add();
            for call in calls {
                assert!(ray::get(call).map_or_else(|error| error.is_actor_died(), |_| true));
            }
        }
        all_dropped();
    });
}

/// The threads of an engine end with it, also those of async bodies.
#[cfg(target_os = "linux")]
#[test]
fn threads_end_with_their_engine() {
    apart(|| {
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let mut most = 0;
        for turn in 0..calls(4, 20) {
            crate::support::init_with(Config::new().num_cpus(4)).unwrap();
            let sleeper = asleep.remote();
            assert_eq!(ray::get(doubled.remote(21)).unwrap(), 42);
            ray::shutdown().unwrap();
            assert!(ray::get(sleeper).unwrap_err().is_runtime_gone());
            if turn == 2 {
                std::thread::park_timeout(Duration::from_millis(300));
                most = threads();
            }
        }
        eventually("the threads of former engines have ended", || threads() <= most + 2);
        all_dropped();
    });
}

#[remote]
async fn doubled(x: u64) -> u64 {
    2 * x
}

#[remote]
async fn asleep() -> u64 {
    let _held = Counted::new();
    std::future::pending().await
}

/// Ends as soon as it is told to stop.
fn listen(running: Tally) -> u64 {
    let context = ray::context();
    running.add();
    while !context.is_cancelled() {
        std::hint::spin_loop();
    }
    1
}

#[remote]
fn listens(running: Tally) -> u64 {
    listen(running)
}

#[remote]
struct Listener;

#[remote]
impl Listener {
    pub fn new() -> Self {
        Listener
    }
    pub fn listen(&mut self, running: Tally) -> u64 {
        listen(running)
    }
    pub async fn exit(&self) {
        ray::exit_actor().unwrap();
    }
    pub fn beside(&self, running: Tally) -> u64 {
        listen(running)
    }
}

/// A body that is told to stop is settled already, so its value never takes the place of the error.
#[test]
fn a_body_that_listens_never_outruns_the_thread_that_stops_it() {
    alone_on(2, || {
        let mut values = [0; 3];
        for _ in 0..calls(4, 1000) {
            let running = Tally::new();
            let task = listens.remote(running);
            running.wait_for(1);
            ray::cancel(&task).unwrap();
            values[0] += ray::get(task).unwrap_or_else(|error| u64::from(!error.is_cancelled()));
            let actor = Listener::remote();
            let call = actor.listen.remote(running);
            running.wait_for(2);
            ray::kill(&actor).unwrap();
            values[1] += ray::get(call).unwrap_or_else(|error| u64::from(!error.is_actor_died()));
            let actor = Listener::options().max_concurrency(2).remote();
            let call = actor.beside.remote(running);
            running.wait_for(3);
            actor.exit.tell();
            values[2] += ray::get(call).unwrap_or_else(|error| u64::from(!error.is_actor_died()));
        }
        assert_eq!(values, [0; 3], "cancelled tasks, killed calls and calls beside an exit that returned their value");
    });
}
