//! Actors with `max_concurrency`: concurrent sync calls.

use ray::remote;

use crate::cluster;
use crate::stage::{Crowd, Meeting, alone_on};
use crate::support::{Gate, Tally, calls};

static INSIDE: Crowd = Crowd::new();
static WRITING: Crowd = Crowd::new();

#[remote(max_concurrency = 4)]
struct Pool {
    value: u64,
}

#[remote]
impl Pool {
    pub fn new() -> Self {
        Pool { value: 0 }
    }
    pub fn meet(&self, meeting: Meeting) -> u64 {
        let _inside = INSIDE.enter();
        meeting.meet();
        self.value
    }
    pub fn wait_at(&self, running: Tally, gate: Gate) -> u64 {
        let _inside = INSIDE.enter();
        running.add();
        gate.wait();
        self.value
    }
    pub fn change(&mut self) -> u64 {
        let (_writing, _inside) = (WRITING.enter(), INSIDE.enter());
        let before = self.value;
        std::thread::yield_now();
        self.value = before + 1;
        self.value
    }
    pub fn read(&self) -> (u64, u64) {
        let before = self.value;
        std::thread::yield_now();
        (before, self.value)
    }
    pub fn crash(&self, running: Tally) {
        running.wait_for(1);
        panic!("crashes");
    }
}

/// At most `max_concurrency` `&self` calls run at once, and that many do even on a single CPU.
#[test]
fn calls_overlap_up_to_the_limit() {
    alone_on(1, || {
        let pool = Pool::remote();
        let meeting = Meeting::of(4);
        ray::get((0..4).map(|_| pool.meet.remote(meeting)).collect::<Vec<_>>()).unwrap();
        assert_eq!(INSIDE.most(), 4);
        let (running, gate) = (Tally::new(), Gate::new());
        let all: Vec<_> = (0..20).map(|_| pool.wait_at.remote(running, gate)).collect();
        running.wait_for(4);
        gate.open();
        ray::get(all).unwrap();
        assert_eq!((running.count(), INSIDE.most()), (20, 4));
    });
}

/// `max_concurrency` is also an option of the creation, and may exceed the number of CPUs.
#[test]
fn many_calls_at_once() {
    alone_on(2, || {
        let pool = Pool::options().max_concurrency(64).remote();
        let meeting = Meeting::of(64);
        ray::get((0..64).map(|_| pool.meet.remote(meeting)).collect::<Vec<_>>()).unwrap();
        assert_eq!(INSIDE.most(), 64);
    });
}

/// `&mut self` calls have exclusive access to the state.
#[test]
fn exclusive_calls_run_alone() {
    alone_on(2, || {
        let pool = Pool::remote();
        let (running, gate) = (Tally::new(), Gate::new());
        let reads = pool.wait_at.remote(running, gate);
        running.wait_for(1);
        let change = pool.change.remote();
        let behind = pool.read.remote();
        assert_eq!(ray::get(crate::stage::give.remote(1)).unwrap(), 1);
        assert!(!change.is_ready(), "a reader is inside");
        gate.open();
        assert_eq!(ray::get(reads).unwrap(), 0);
        assert_eq!(ray::get(change).unwrap(), 1);
        let (before, after) = ray::get(behind).unwrap();
        assert_eq!(before, after);
        // Ray starts the calls of a threaded actor in any order.
        assert!(cluster::wanted() || after == 1, "a later call runs later");

        let mixed: Vec<_> = (0..calls(40, 500)).map(|_| (pool.change.remote(), pool.read.remote())).collect();
        let mut changes = Vec::new();
        for (change, read) in mixed {
            changes.push(ray::get(change).unwrap());
            let (before, after) = ray::get(read).unwrap();
            assert_eq!(before, after, "nothing changes while a reader is inside");
        }
        if cluster::wanted() {
            changes.sort_unstable();
        }
        assert_eq!(changes, (2..calls(40, 500) + 2).collect::<Vec<_>>());
        assert_eq!(WRITING.most(), 1);
    });
}

#[remote]
struct Plain;

#[remote]
impl Plain {
    pub fn new() -> Self {
        Plain
    }
    pub fn call(&self) {
        let _inside = INSIDE.enter();
        std::thread::yield_now();
    }
}

/// By default an actor runs one call at a time, also `&self` calls.
#[test]
fn one_at_a_time_by_default() {
    alone_on(2, || {
        let plain = Plain::remote();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    ray::get((0..calls(40, 250)).map(|_| plain.call.remote()).collect::<Vec<_>>()).unwrap();
                });
            }
        });
        assert_eq!(INSIDE.most(), 1);
    });
}

/// A panic ends a threaded actor, and its concurrent calls fail at once.
#[test]
fn a_panic_fails_concurrent_calls() {
    alone_on(2, || {
        let pool = Pool::remote();
        let (running, gate) = (Tally::new(), Gate::new());
        let beside = pool.wait_at.remote(running, gate);
        let crashed = pool.crash.remote(running);
        let error = ray::get(crashed).unwrap_err();
        assert!(error.is_actor_died() && format!("{error:?}").contains("crashes"), "{error:?}");
        let error = ray::get(beside).unwrap_err();
        // On a cluster this call is lost with the process, and Ray does not know the panic.
        assert!(error.is_actor_died() && (cluster::wanted() || format!("{error:?}").contains("crashes")), "{error:?}");
        gate.open();
        assert!(ray::get(pool.read.remote()).unwrap_err().is_actor_died());
    });
}

/// `kill` fails all running calls and the calls that wait for a slot.
#[test]
fn a_kill_fails_concurrent_calls() {
    alone_on(2, || {
        let pool = Pool::remote();
        let (running, gate) = (Tally::new(), Gate::new());
        let all: Vec<_> = (0..8).map(|_| pool.wait_at.remote(running, gate)).collect();
        running.wait_for(4);
        ray::kill(&pool).unwrap();
        for object in all {
            assert!(ray::get(object).unwrap_err().is_actor_died());
        }
        assert_eq!(running.count(), 4);
        gate.open();
    });
}
