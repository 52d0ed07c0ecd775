//! Pools of actors: maps, submissions, and the actors in the pool.

use std::time::Duration;

use ray::util::ActorPool;
use ray::{ActorHandle, remote};

use crate::stage::{Crowd, alone};
use crate::support::{Gate, Tally, calls, engine};

const SHORT: Duration = Duration::from_millis(20);

static INSIDE: Crowd = Crowd::new();

#[remote]
struct Worker {
    calls: u64,
}

#[remote]
impl Worker {
    pub fn new() -> Self {
        Worker { calls: 0 }
    }
    pub fn double(&mut self, x: u64) -> u64 {
        let _inside = INSIDE.enter();
        self.calls += 1;
        2 * x
    }
    pub fn calls(&self) -> u64 {
        self.calls
    }
    pub fn wait_at(&mut self, gate: Option<Gate>, x: u64) -> u64 {
        if let Some(gate) = gate {
            gate.wait();
        }
        x
    }
    pub fn check(&mut self, x: u64) -> Result<u64, String> {
        if x.is_multiple_of(3) { Err(format!("{x} is refused")) } else { Ok(x) }
    }
    pub async fn triple(&self, x: u64) -> u64 {
        3 * x
    }
}

fn workers(count: usize) -> Vec<ActorHandle<Worker>> {
    (0..count).map(|_| Worker::remote()).collect()
}

/// A map returns the results in the order of the values, and gives each actor one call at a time.
#[test]
fn a_map_is_ordered_and_uses_all_actors() {
    alone(|| {
        let count = calls(20, 500);
        let actors = workers(4);
        let mut pool = ActorPool::new(actors.clone());
        let doubled: ray::Result<Vec<u64>> = pool.map(|actor, x| actor.double.remote(x), 0..count).collect();
        assert!(doubled.unwrap().into_iter().eq((0..count).map(|x| 2 * x)));
        assert!(INSIDE.most() <= 4, "{}", INSIDE.most());
        let calls = ray::get(actors.iter().map(|actor| actor.calls.remote()).collect::<Vec<_>>()).unwrap();
        assert_eq!(calls.iter().sum::<u64>(), count);
        let tripled: ray::Result<Vec<u64>> = pool.map(|actor, x| actor.triple.remote(x), vec![1, 2, 3]).collect();
        assert_eq!(tripled.unwrap(), [3, 6, 9]);
        assert_eq!(pool.map(|actor, x| actor.double.remote(x), std::iter::empty::<u64>()).count(), 0);
    });
}

/// An unordered map returns each result as soon as it is there.
#[test]
fn an_unordered_map_returns_results_as_they_come() {
    engine();
    let gate = Gate::new();
    let mut pool = ActorPool::new(workers(2));
    let mut results = pool.map_unordered(|actor, x| actor.wait_at.remote((x == 0).then_some(gate), x), 0..4);
    let first: Vec<u64> = results.by_ref().take(3).map(Result::unwrap).collect();
    assert_eq!(first, [1, 2, 3]);
    gate.open();
    assert_eq!(results.next().unwrap().unwrap(), 0);
    assert!(results.next().is_none() && results.next().is_none());
}

/// An ordered map goes on with further values while its first result is missing, but only with a limited number.
#[test]
fn a_map_is_lazy() {
    engine();
    let (gate, taken) = (Gate::new(), Tally::new());
    let mut pool = ActorPool::new(workers(2));
    let values = (0..).inspect(|_| {
        taken.add();
    });
    let mut results = pool.map(
        |actor, x| {
            if x == 30 {
                gate.open();
            }
            actor.wait_at.remote((x == 0).then_some(gate), x)
        },
        values,
    );
    assert_eq!(taken.count(), 0, "nothing happens before the first result is wanted");
    let first: Vec<u64> = results.by_ref().take(100).map(Result::unwrap).collect();
    assert!(first.into_iter().eq(0..100));
    drop(results);
    assert!((100..=132).contains(&taken.count()), "{}", taken.count());
    let again: ray::Result<Vec<u64>> = pool.map(|actor, x| actor.double.remote(x), [1, 2]).collect();
    assert_eq!(again.unwrap(), [2, 4], "the results of a dropped map are dropped");
}

/// An error of a call is the item of its value, and the actor stays in the pool.
#[test]
fn errors_are_items() {
    engine();
    let mut pool = ActorPool::new(workers(2));
    let checked: Vec<_> = pool.map(|actor, x| actor.check.remote(x), 0..6).collect();
    assert_eq!(checked.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, true, false, true, true]);
    assert_eq!(checked[3].as_ref().unwrap_err().downcast_ref::<String>().unwrap(), "3 is refused");
    assert!(pool.has_free() && pool.pop_idle().is_some() && pool.pop_idle().is_some() && pool.pop_idle().is_none());
}

/// Results of submissions come in order, or as they are there. The two may be mixed.
#[test]
fn submissions() {
    engine();
    let gate = Gate::new();
    let mut pool = ActorPool::new(workers(2));
    assert!(!pool.has_next() && pool.get_next().is_none() && pool.get_next_unordered().is_none() && !pool.skip_next());
    for x in 0..5_u64 {
        pool.submit(move |actor, x| actor.wait_at.remote((x == 0).then_some(gate), x), x);
    }
    assert!(pool.has_next() && !pool.has_free());
    assert_eq!(pool.get_next_unordered().unwrap().unwrap(), 1);
    let error = pool.get_next_timeout(SHORT).unwrap().unwrap_err();
    assert!(error.is_timeout(), "{error}");
    gate.open();
    assert_eq!(pool.get_next().unwrap().unwrap(), 0);
    let mut rest: Vec<u64> =
        (0..3).map(|_| pool.get_next_unordered_timeout(20 * SHORT.max(SHORT * 50)).unwrap().unwrap()).collect();
    rest.sort_unstable();
    assert_eq!(rest, [2, 3, 4]);
    assert!(!pool.has_next() && pool.get_next().is_none() && pool.has_free());
}

/// A submission whose result is given up keeps its actor busy until its call has ended.
#[test]
fn a_skipped_result_keeps_its_actor() {
    engine();
    let gate = Gate::new();
    let mut pool = ActorPool::new(workers(1));
    pool.submit(move |actor, x| actor.wait_at.remote(Some(gate), x), 1);
    pool.submit(|actor, x| actor.double.remote(x), 2);
    pool.submit(|actor, x| actor.double.remote(x), 3);
    assert!(pool.get_next_timeout(SHORT).unwrap().unwrap_err().is_timeout());
    assert!(pool.skip_next() && pool.skip_next(), "one that runs and one that waits");
    assert!(!pool.has_free());
    assert!(pool.get_next_timeout(SHORT).unwrap().unwrap_err().is_timeout());
    gate.open();
    assert_eq!(pool.get_next().unwrap().unwrap(), 6);
    assert!(pool.get_next().is_none() && pool.has_free());
}

/// A map and submissions share the actors, and each has its own results.
#[test]
fn a_map_beside_submissions() {
    engine();
    let mut pool = ActorPool::new(workers(2));
    for x in 0..4 {
        pool.submit(|actor, x| actor.double.remote(x), x);
    }
    let mapped: ray::Result<Vec<u64>> = pool.map(|actor, x| actor.double.remote(x), 10..14).collect();
    assert_eq!(mapped.unwrap(), [20, 22, 24, 26]);
    let submitted: Vec<u64> = std::iter::from_fn(|| pool.get_next()).map(Result::unwrap).collect();
    assert_eq!(submitted, [0, 2, 4, 6]);
}

/// Actors are taken out of the pool and put in. An actor that is in the pool is refused.
#[test]
fn actors_come_and_go() {
    engine();
    let actors = workers(2);
    let mut pool = ActorPool::<Worker, u64>::new(actors.iter().chain(&actors).cloned());
    let first = pool.pop_idle().unwrap();
    let error = pool.push(actors.iter().find(|actor| **actor != first).unwrap().clone()).unwrap_err();
    assert!(error.is_invalid_argument() && error.to_string().contains("Worker"), "{error}");
    assert!(pool.pop_idle().is_some() && pool.pop_idle().is_none() && !pool.has_free());
    pool.submit(|actor, x| actor.double.remote(x), 4);
    let error = pool.get_next().unwrap().unwrap_err();
    assert!(error.is_actor_died() && error.to_string().contains("no actor is left"), "{error}");
    pool.submit(|actor, x| actor.double.remote(x), 5);
    pool.push(first.clone()).unwrap();
    assert!(pool.push(first).is_err(), "it is busy or idle in the pool");
    assert_eq!(pool.get_next().unwrap().unwrap(), 10);
}

/// Pools work in async bodies and on other executors. There a blocking method is an error.
#[test]
fn pools_in_async_code() {
    #[remote]
    async fn add_up(actors: Vec<ActorHandle<Worker>>, count: u64) -> ray::Result<u64> {
        let mut pool = ActorPool::new(actors);
        let mut sum = 0;
        let mut results = pool.map(|actor, x| actor.double.remote(x), 0..count);
        while let Some(result) = results.next_async().await {
            sum += result?;
        }
        drop(results);
        let mut results = pool.map_unordered(|actor, x| actor.triple.remote(x), 0..count);
        while let Some(result) = results.next_async().await {
            sum += result?;
        }
        drop(results);
        pool.submit(|actor, x| actor.double.remote(x), 1);
        pool.submit(|actor, x| actor.double.remote(x), 2);
        sum += pool.get_next_async().await.expect("two were submitted")?;
        sum += pool.get_next_unordered_async().await.expect("two were submitted")?;
        assert!(pool.get_next_async().await.is_none());
        Ok(sum)
    }
    #[remote]
    async fn block(actors: Vec<ActorHandle<Worker>>, gate: Gate) -> ray::Result<()> {
        let mut pool = ActorPool::new(actors);
        let mut results = pool.map(|actor, x| actor.wait_at.remote(Some(gate), x), 0..3);
        let blocked = results.next().expect("an error");
        assert!(results.next().is_none(), "the map has ended");
        blocked.map(drop)
    }
    engine();
    let actors = workers(3);
    assert_eq!(ray::get(add_up.remote(actors.clone(), 10)).unwrap(), 90 + 135 + 6);
    assert_eq!(futures::executor::block_on(add_up.call(actors.clone(), 10)).unwrap(), 90 + 135 + 6);
    let gate = Gate::new();
    let error = ray::get(block.remote(actors, gate)).unwrap_err();
    gate.open();
    assert!(error.is_blocking_in_async(), "{error}");
}
