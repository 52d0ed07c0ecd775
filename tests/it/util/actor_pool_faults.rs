//! Pools of actors: actors that die or restart, and waits that end early.

use ray::util::ActorPool;
use ray::{ActorHandle, remote};

use crate::stage::{alone, eventually};
use crate::support::{Gate, engine, flat, rounds};

#[remote]
struct Worker {
    name: String,
}

#[remote]
impl Worker {
    pub fn new(name: &str) -> Self {
        Worker { name: name.to_owned() }
    }
    /// Panics for `bad`.
    pub fn run(&mut self, x: u64, bad: u64) -> u64 {
        assert!(x != bad, "{} cannot do {x}", self.name);
        x
    }
    pub fn wait_at(&mut self, gate: Gate) -> u64 {
        gate.wait();
        0
    }
}

fn workers(count: usize) -> Vec<ActorHandle<Worker>> {
    (0..count).map(|number| Worker::remote(format!("worker {number}"))).collect()
}

/// An actor that dies leaves the pool. Its call fails, and the other values go on with the other actors.
#[test]
fn an_actor_that_dies_leaves_the_pool() {
    engine();
    let mut pool = ActorPool::new(workers(3));
    let results: Vec<_> = pool.map(|actor, x| actor.run.remote(x, 4), 0..12).collect();
    assert_eq!(results.len(), 12);
    for (x, result) in (0..).zip(&results) {
        match result {
            Ok(value) => assert_eq!(*value, x),
            Err(error) => assert!(x == 4 && (error.is_panic() || error.is_actor_died()), "{x}: {error}"),
        }
    }
    assert!(results[4].is_err());
    let left = std::iter::from_fn(|| pool.pop_idle()).count();
    assert_eq!(left, 2);
}

/// When all actors have died, a map ends with an error that says so, and submissions that wait fail with it.
#[test]
fn a_pool_whose_actors_have_all_died() {
    engine();
    let mut pool = ActorPool::new(workers(2));
    let mut results = pool.map(|actor, _| actor.run.remote(1, 1), 0..);
    assert!(results.next().unwrap().is_err() && results.next().unwrap().is_err());
    let error = results.next().unwrap().unwrap_err();
    assert!(error.is_actor_died() && error.to_string().contains("no actor is left in the pool"), "{error}");
    assert!(results.next().is_none());
    drop(results);

    pool.push(Worker::remote("the last")).unwrap();
    for x in 0..3 {
        pool.submit(|actor, x| actor.run.remote(x, 1), x);
    }
    assert_eq!(pool.get_next().unwrap().unwrap(), 0);
    assert!(pool.get_next().unwrap().is_err());
    assert!(pool.get_next().unwrap().unwrap_err().to_string().contains("no actor is left in the pool"));
    assert!(pool.get_next().is_none());
    assert_eq!(ActorPool::<Worker, u64>::new([]).map(|actor, x| actor.run.remote(x, 9), [1, 2]).count(), 1);
    assert_eq!(ActorPool::<Worker, u64>::new([]).map(|actor, x| actor.run.remote(x, 9), [0_u64; 0]).count(), 0);
}

/// An actor that was killed gets at most one further call.
#[test]
fn a_killed_actor_leaves_the_pool() {
    engine();
    let actors = workers(2);
    let mut pool = ActorPool::new(actors.clone());
    ray::kill(&actors[0]).unwrap();
    let results: Vec<_> = pool.map(|actor, x| actor.run.remote(x, 99), 0..10).collect();
    let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
    assert!(failed.len() <= 1 && failed.iter().all(|error| error.is_actor_died()), "{failed:?}");
}

/// An actor that restarts stays in the pool.
#[test]
fn an_actor_that_restarts_stays_in_the_pool() {
    engine();
    let mut pool = ActorPool::new([Worker::options().max_restarts(1).remote("phoenix")]);
    let results: Vec<_> = pool.map(|actor, x| actor.run.remote(x, 1), 0..2).collect();
    assert!(results[0].is_ok() && results[1].is_err());
    eventually("the actor has restarted", || {
        let again: Vec<_> = pool.map(|actor, x| actor.run.remote(x, 1), [5]).collect();
        again[0].as_ref().is_ok_and(|x| *x == 5)
    });
}

/// The wait in a cancelled body ends with its error, and the map with it.
#[test]
fn a_map_in_a_cancelled_body_ends() {
    #[remote]
    fn drive(actors: Vec<ActorHandle<Worker>>, waits: Gate, gate: Gate, seen: Gate) {
        let mut pool = ActorPool::new(actors);
        waits.open();
        // The cancel fails the calls as well, whose errors are items; then the wait itself fails.
        let results: Vec<_> = pool.map(|actor, _| actor.wait_at.remote(gate), 0..).take(10).collect();
        assert!((1..10).contains(&results.len()), "{}", results.len());
        assert!(results.iter().all(|result| result.as_ref().is_err_and(ray::Error::is_cancelled)), "{results:?}");
        seen.open();
    }
    alone(|| {
        let (waits, gate, seen) = (Gate::new(), Gate::new(), Gate::new());
        let driver = drive.remote(workers(2), waits, gate, seen);
        waits.wait();
        ray::cancel(&driver).unwrap();
        assert!(ray::get(driver).unwrap_err().is_cancelled());
        seen.wait();
        gate.open();
    });
}

/// Maps that are dropped half way and pools leave no memory.
#[test]
fn pools_leak_no_memory() {
    alone(|| {
        let mut pool = ActorPool::new(workers(3));
        flat("half a map", rounds(500, 10_000), 4 << 20, || {
            let sum: u64 = pool.map(|actor, x| actor.run.remote(x, 99), 0..).take(20).map(Result::unwrap).sum();
            assert_eq!(sum, 190);
        });
        flat("a pool", rounds(200, 5_000), 4 << 20, || {
            let mut pool = ActorPool::new(workers(2));
            pool.submit(|actor, x| actor.run.remote(x, 99), 1);
        });
    });
}
