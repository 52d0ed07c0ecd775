//! `async fn` tasks and methods, and awaits on foreign async runtimes.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use ray::{ActorHandle, ErrorKind, ObjectRef, remote};

use crate::awaiting::{Thread, own};
use crate::stage::{Crowd, Meeting, alone, alone_on, hold_every_cpu, late, on_cluster};
use crate::support::{Gate, Tally, calls};

#[remote]
async fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
async fn sum_of_squares(n: i64) -> ray::Result<i64> {
    let all = join_all((0..n).map(|x| square.remote(x))).await;
    all.into_iter().sum()
}

#[remote]
async fn join(meeting: Meeting, n: i64) -> i64 {
    meeting.join().await;
    n
}

/// Async tasks can await other tasks. They ask for no CPU: all of them run at once while tasks hold the CPUs.
#[test]
fn async_tasks() {
    alone_on(1, || {
        assert_eq!(ray::get(add.remote(square.remote(2), 3)).unwrap(), 7);
        assert_eq!(ray::get(sum_of_squares.remote(5)).unwrap(), 30);
        assert_eq!(futures::executor::block_on(add.call(1, 2)), 3, "a plain call");
        let gate = Gate::new();
        let held = hold_every_cpu(gate);
        // On a cluster each of them needs a process.
        let count = calls(4, 50);
        let meeting = Meeting::of(count);
        let all: Vec<_> = (0..count as i64).map(|n| join.remote(meeting, n)).collect();
        assert_eq!(ray::get(all).unwrap(), (0..count as i64).collect::<Vec<_>>());
        gate.open();
        ray::get(held).unwrap();
    });
}

static INSIDE: Crowd = Crowd::new();

#[remote]
struct Room {
    log: Vec<i64>,
}

#[remote]
impl Room {
    pub fn new() -> Self {
        Room { log: Vec::new() }
    }
    pub async fn meet(&self, meeting: Meeting) {
        let _inside = INSIDE.enter();
        meeting.join().await;
    }
    /// Stays inside until the gate opens.
    pub async fn wait_at(&self, running: Tally, gate: Gate) {
        let _inside = INSIDE.enter();
        running.add();
        gate.opened().await;
    }
    pub async fn change(&mut self, running: Tally, gate: Gate, n: i64) -> Vec<i64> {
        let _inside = INSIDE.enter();
        self.log.push(n);
        running.add();
        gate.opened().await;
        self.log.push(-n);
        self.log.clone()
    }
    pub fn log(&self) -> Vec<i64> {
        self.log.clone()
    }
    pub async fn ask_yourself(&self, me: ActorHandle<Room>) -> ray::Result<Vec<i64>> {
        me.log.remote().await
    }
    pub async fn crash(&self, running: Tally) -> i64 {
        running.wait_for(1);
        panic!("crashes")
    }
}

/// The calls of an async actor interleave at their awaits: fifty are inside at once.
#[test]
fn async_calls_overlap() {
    alone_on(1, || {
        let room = Room::remote();
        let meeting = Meeting::of(50);
        ray::get((0..50).map(|_| room.meet.remote(meeting)).collect::<Vec<_>>()).unwrap();
        assert_eq!(INSIDE.most(), 50);
        assert_eq!(ray::get(room.ask_yourself.remote(&room)).unwrap(), [], "a method may await another call of its own actor");
    });
}

/// At most `max_concurrency` async calls are inside at once.
#[test]
fn async_calls_are_limited() {
    alone_on(1, || {
        let room = Room::options().max_concurrency(3).remote();
        let (running, gate) = (Tally::new(), Gate::new());
        let all: Vec<_> = (0..10).map(|_| room.wait_at.remote(running, gate)).collect();
        running.wait_for(3);
        assert_eq!(running.count(), 3);
        gate.open();
        ray::get(all).unwrap();
        assert_eq!(INSIDE.most(), 3);
    });
}

/// An `async fn(&mut self)` has exclusive access to the state until it ends, also during its awaits.
#[test]
fn exclusive_async_calls() {
    alone(|| {
        let room = Room::remote();
        let (running, gate, second) = (Tally::new(), Gate::new(), Gate::new());
        let first = room.change.remote(running, gate, 1);
        running.wait_for(1);
        let others = (room.change.remote(running, second, 2), room.log.remote(), room.wait_at.remote(running, gate));
        second.open();
        assert_eq!(ray::get(square.remote(2)).unwrap(), 4);
        assert_eq!(running.count(), 1, "no other call has begun");
        gate.open();
        assert_eq!(ray::get(first).unwrap(), [1, -1]);
        assert_eq!(ray::get(others).unwrap(), (vec![1, -1, 2, -2], vec![1, -1, 2, -2], ()));
        assert_eq!(INSIDE.most(), 1);
    });
}

/// A panic in an async task fails the task. A panic in an async method ends the actor and fails its concurrent calls.
#[test]
fn panics_in_async_bodies() {
    #[remote]
    async fn trip(x: i64) -> i64 {
        assert!(x > 0, "{x} is too small");
        x
    }
    alone(|| {
        let error = ray::get(trip.remote(-1)).unwrap_err();
        assert!(error.is_panic() && error.to_string().contains("-1 is too small"), "{error}");
        let room = Room::remote();
        let (running, gate) = (Tally::new(), Gate::new());
        let beside = room.wait_at.remote(running, gate);
        let crashed = room.crash.remote(running);
        for object in [ray::get(crashed).unwrap_err(), ray::get(beside).unwrap_err()] {
            assert!(object.is_actor_died() && format!("{object:?}").contains("crashes"), "{object:?}");
        }
        assert!(ray::get(room.log.remote()).unwrap_err().is_actor_died());
        gate.open();
    });
}

#[remote]
async fn block_in(way: u32, object: ObjectRef<i64>) -> ray::Result<i64> {
    match way {
        0 => ray::get(object),
        1 => ray::get(vec![object]).map(|all| all[0]),
        2 => ray::get_timeout(object, std::time::Duration::from_secs(1)),
        3 => ray::wait(&[object], 1).map(|(ready, _)| ready.len() as i64),
        4 => object.view().map(|value| *value),
        5 => object.take().map_err(|error| match error {
            ray::TakeError::Failed(error) => error,
            other => ray::Error::other(format!("{other:?}")),
        }),
        6 => ray::get_all_settled(object),
        _ => ray::as_completed(vec![object]).next().map_or(Ok(0), ray::get),
    }
}

#[remote]
struct Blocker;

#[remote]
impl Blocker {
    pub fn new() -> Self {
        Blocker
    }
    pub async fn block(&self, object: ObjectRef<i64>) -> ray::Result<i64> {
        ray::get(object)
    }
    pub fn block_in_sync(&self, object: ObjectRef<i64>) -> ray::Result<i64> {
        ray::get(object)
    }
}

/// A call that would block inside an async body is an error that names its place.
#[test]
fn blocking_in_async_bodies() {
    alone(|| {
        let gate = Gate::new();
        let object = late(gate, 7);
        let error = ray::get(block_in.remote(7, &object)).unwrap_err();
        assert!(
            error.is_panic() && error.to_string().contains("as_completed(..).stream()"),
            "an iterator can only panic: {error}"
        );
        for way in 0..=6 {
            let error = ray::get(block_in.remote(way, &object)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BlockingInAsync, "way {way}: {error}");
            assert!(error.to_string().contains("asynchronous.rs:") && error.to_string().contains("await"), "{error}");
        }
        let blocker = Blocker::remote();
        assert!(ray::get(blocker.block.remote(&object)).unwrap_err().is_blocking_in_async());
        let waits = blocker.block_in_sync.remote(&object);
        gate.open();
        assert_eq!(ray::get(waits).unwrap(), 7, "a sync method of the same actor may block");
        let again = ray::get(blocker.block.remote(&object));
        if on_cluster() {
            assert!(again.unwrap_err().is_blocking_in_async(), "the value is in another process");
        } else {
            assert_eq!(again.unwrap(), 7, "a get of a ready object does not block");
        }
    });
}

async fn use_ray() -> ray::Result<i64> {
    let four = square.remote(2);
    let log = Room::remote();
    let (running, gate) = (Tally::new(), Gate::new());
    gate.open();
    log.change.remote(running, gate, 3).await?;
    assert_eq!(log.log.remote().await?, [3, -3]);
    let trouble: ray::Result<i64> = crate::stage::panic_i64.remote("trouble".to_owned()).await;
    assert!(trouble.unwrap_err().is_panic());
    Ok(four.await? + join_all((0..4).map(|x| square.remote(x))).await.into_iter().sum::<ray::Result<i64>>()?)
}

/// Async programs can use `ray` from a tokio runtime of either kind, and from other executors.
#[test]
fn await_from_other_runtimes() {
    alone(|| {
        let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(current.block_on(use_ray()).unwrap(), 18);
        let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        assert_eq!(multi.block_on(use_ray()).unwrap(), 18);
        let spawned: Vec<_> = (0..8).map(|_| multi.spawn(use_ray())).collect();
        for task in spawned {
            assert_eq!(multi.block_on(task).unwrap().unwrap(), 18);
        }
        assert_eq!(futures::executor::block_on(use_ray()).unwrap(), 18);
    });
}

#[remote]
fn where_it_runs() -> Thread {
    own()
}

/// A blocking get on a thread of another runtime works, and runs no work on that thread.
#[test]
fn a_blocking_get_on_a_foreign_runtime_runs_no_work() {
    alone(|| {
        let multi = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let current = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for _ in 0..calls(10, 100) {
            let blocking = multi.spawn_blocking(|| (own(), ray::get(where_it_runs.remote()).unwrap()));
            let (own_thread, ran) = multi.block_on(blocking).unwrap();
            assert_ne!(own_thread, ran);
            let (own_thread, ran) = current.block_on(async { (own(), ray::get(where_it_runs.remote()).unwrap()) });
            assert_ne!(own_thread, ran);
        }
    });
}

static WAS_DROPPED: AtomicBool = AtomicBool::new(false);

/// A dropped await affects neither the task nor other awaits.
#[test]
fn a_dropped_await_cancels_nothing() {
    struct Noted;
    impl Drop for Noted {
        fn drop(&mut self) {
            WAS_DROPPED.store(true, Ordering::SeqCst);
        }
    }
    alone(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        let gate = Gate::new();
        let object = late(gate, 7);
        let (given_up, kept) = (object.clone(), object.clone());
        let begun = Gate::new();
        let task = runtime.spawn(async move {
            let _noted = Noted;
            begun.open();
            given_up.await
        });
        let other = runtime.spawn(kept);
        begun.wait();
        task.abort();
        assert!(runtime.block_on(task).unwrap_err().is_cancelled());
        assert!(WAS_DROPPED.load(Ordering::SeqCst));
        gate.open();
        assert_eq!(runtime.block_on(other).unwrap().unwrap(), 7);
        assert_eq!(ray::get(object).unwrap(), 7);
    });
}
