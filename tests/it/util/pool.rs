//! Pools of workers that run remote functions.

use std::collections::HashSet;
use std::num::ParseIntError;
use std::time::Duration;

use ray::remote;
use ray::util::Pool;

use crate::stage::{Crowd, alone, eventually, on_cluster};
use crate::support::{Gate, Tally, calls, engine};

const SHORT: Duration = Duration::from_millis(20);

static INSIDE: Crowd = Crowd::new();

#[remote]
fn square(x: u64) -> u64 {
    let _inside = INSIDE.enter();
    x * x
}

#[remote]
fn length(text: &str, extra: usize) -> usize {
    text.len() + extra
}

#[remote]
fn total(numbers: &[u64]) -> u64 {
    numbers.iter().sum()
}

#[remote]
fn seven() -> u64 {
    7
}

#[remote]
fn parse(text: String) -> Result<i64, ParseIntError> {
    text.parse()
}

#[remote]
fn check(x: u64) -> Result<u64, String> {
    assert!(x != 5, "five is not possible");
    if x == 3 { Err("three is not allowed".to_owned()) } else { Ok(x) }
}

#[remote]
fn wait_at(gate: Gate, x: u64) -> u64 {
    gate.wait();
    x
}

/// A map returns the results in the order of the values, and runs no more calls at once than there are workers.
#[test]
fn a_map_is_ordered_and_limited() {
    alone(|| {
        let pool = Pool::new(3).unwrap();
        let count = calls(50, 1000);
        assert!(pool.map(square, 0..count).unwrap().into_iter().eq((0..count).map(|x| x * x)));
        assert_eq!(pool.map(square, []).unwrap(), [0; 0]);
        assert_eq!(pool.map(square, [9]).unwrap(), [81]);
        assert!((1..=3).contains(&INSIDE.most()), "{}", INSIDE.most());
    });
}

/// Functions of any number of parameters, owned and borrowed, are called with tuples.
#[test]
fn calls_with_several_arguments() {
    engine();
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.starmap(length, [("one".to_owned(), 1), ("three".to_owned(), 0)]).unwrap(), [4, 5]);
    assert_eq!(pool.map(total, [vec![1, 2], vec![], vec![3]]).unwrap(), [3, 0, 3]);
    assert_eq!(pool.apply(seven, ()).unwrap(), 7);
    assert_eq!(pool.apply(length, ("four".to_owned(), 4)).unwrap(), 8);
    let text = pool.apply_async(length, ("five".to_owned(), 5)).unwrap();
    assert_eq!(text.get_timeout(Duration::MAX).unwrap(), 9);
    assert_eq!(futures::executor::block_on(text.get_async()).unwrap(), 9);
    let pairs = pool.starmap_async(length, (0..10).map(|n| ("x".repeat(n), n))).unwrap();
    assert!(pairs.get().unwrap().into_iter().eq((0..10).map(|n| 2 * n)));
}

/// A result that is not there yet can be waited for, and asked for its state.
#[test]
fn results_that_come_later() {
    engine();
    let gate = Gate::new();
    let pool = Pool::new(2).unwrap();
    let later = pool.starmap_async(wait_at, [(gate, 1), (gate, 2), (gate, 3)]).unwrap();
    assert!(!later.ready() && !later.wait(SHORT).unwrap());
    let error = later.successful().unwrap_err();
    assert!(error.is_invalid_argument(), "{error}");
    assert!(later.get_timeout(SHORT).unwrap_err().is_timeout());
    gate.open();
    assert_eq!(later.get().unwrap(), [1, 2, 3]);
    assert!(later.wait(Duration::ZERO).unwrap() && later.ready() && later.successful().unwrap());
}

/// A callback gets the results when all calls have ended, an error callback the first error; only one of the two is called.
#[test]
fn callbacks_of_results() {
    engine();
    let (sender, outcomes) = std::sync::mpsc::channel();
    let pool = Pool::new(2).unwrap();
    let (results, failures) = (sender.clone(), sender);
    let tell = move |later: ray::util::AsyncResult<Vec<u64>>| {
        let (results, failures) = (results.clone(), failures.clone());
        later.callback(move |all| results.send(Ok(all)).unwrap()).error_callback(move |error| failures.send(Err(error)).unwrap())
    };

    let gate = Gate::new();
    let later = tell(pool.starmap_async(wait_at, [(gate, 1), (gate, 2), (gate, 3)]).unwrap());
    assert!(outcomes.try_recv().is_err(), "the calls wait");
    gate.open();
    assert_eq!(outcomes.recv().unwrap().unwrap(), [1, 2, 3]);
    assert_eq!(later.get().unwrap(), [1, 2, 3]);

    let failed = tell(pool.map_async(check, 0..8).unwrap());
    let error = outcomes.recv().unwrap().unwrap_err();
    assert_eq!(error.downcast_ref::<String>().unwrap(), "three is not allowed");
    assert!(failed.ready(), "the error is told when all calls have ended");

    // Of calls that have ended already, and of none.
    let _again = tell(later);
    assert_eq!(outcomes.recv().unwrap().unwrap(), [1, 2, 3]);
    let _none = tell(pool.map_async(check, []).unwrap());
    assert_eq!(outcomes.recv().unwrap().unwrap(), [0; 0]);

    // A panic of a callback has no other effect.
    let one = pool.apply_async(seven, ()).unwrap().callback(|_| panic!("a panic of the test"));
    assert_eq!(one.get().unwrap(), 7);

    let stuck = Gate::new();
    let _killed = tell(pool.starmap_async(wait_at, [(stuck, 1)]).unwrap());
    pool.terminate().unwrap();
    assert!(outcomes.recv().unwrap().unwrap_err().is_actor_died());
    stuck.open();
    drop(tell);
    assert!(outcomes.recv().is_err(), "each call had one outcome");
}

/// An error or a panic fails its own call. A map returns the first error with its type, an iterator has it as an item.
#[test]
fn errors_of_calls() {
    engine();
    let pool = Pool::new(2).unwrap();
    let error = pool.map(parse, ["1", "two", "3"].map(str::to_owned)).unwrap_err();
    assert!(error.to_string().contains("parse"), "{error}");
    assert!(error.is_task() && error.to_string().contains("invalid digit"), "{error}");
    let failed = pool.map_async(check, 0..8).unwrap();
    let error = failed.get().unwrap_err();
    assert_eq!(error.downcast_ref::<String>().unwrap(), "three is not allowed");
    assert!(!failed.successful().unwrap());
    for chunksize in [1, 3] {
        let items: Vec<_> = pool.imap(check, 0..8, chunksize).unwrap().collect();
        for (x, item) in (0..).zip(&items) {
            match item {
                Ok(value) => assert_eq!(*value, x),
                Err(error) => {
                    assert!((x == 3 && error.is_task()) || (x == 5 && error.is_panic()), "{x}: {error}");
                }
            }
        }
        assert_eq!(items.iter().filter(|item| item.is_err()).count(), 2);
    }
    assert_eq!(pool.map(square, 0..3).unwrap(), [0, 1, 4], "the workers go on");
}

/// The iterators are lazy, ordered or not, and take chunks.
#[test]
fn lazy_maps() {
    engine();
    let (pool, taken) = (Pool::new(2).unwrap(), Tally::new());
    let values = (0..).inspect(|_| {
        taken.add();
    });
    let mut squares = pool.imap(square, values, 5).unwrap();
    assert_eq!(taken.count(), 0);
    assert!(squares.by_ref().take(23).map(Result::unwrap).eq((0..23).map(|x| x * x)));
    drop(squares);
    assert!(taken.count() < 23 + 5 * 34, "{}", taken.count());
    let mut unordered: Vec<u64> = pool.imap_unordered(square, 0..10, 3).unwrap().map(Result::unwrap).collect();
    unordered.sort_unstable();
    assert!(unordered.into_iter().eq((0..10).map(|x| x * x)));
    let gate = Gate::new();
    #[remote]
    fn wait_for_zero(job: (Gate, u64)) -> u64 {
        if job.1 == 0 {
            job.0.wait();
        }
        job.1
    }
    let mut results = pool.imap_unordered(wait_for_zero, (0..4).map(|x| (gate, x)), 1).unwrap();
    assert!(results.by_ref().take(3).map(Result::unwrap).eq(1..4));
    gate.open();
    assert_eq!(results.next().unwrap().unwrap(), 0);
    assert!(results.next().is_none());
}

/// A thread that waits for results runs no call itself: after many short calls of one function the next function may take long.
#[test]
fn a_getter_is_not_held_by_a_long_call_after_short_ones() {
    #[remote]
    fn first_waits(job: (Gate, u64)) -> u64 {
        if job.1 == 0 {
            job.0.wait();
        }
        job.1
    }
    engine();
    let pool = Pool::new(2).unwrap();
    for _ in 0..calls(2, 50) {
        assert_eq!(pool.imap_unordered(square, 0..20, 1).unwrap().count(), 20);
    }
    let gate = Gate::new();
    let mut results = pool.imap_unordered(first_waits, (0..4).map(|x| (gate, x)), 1).unwrap();
    let others: HashSet<_> = results.by_ref().take(3).map(Result::unwrap).collect();
    assert_eq!(others, (1..4).collect());
    gate.open();
    assert_eq!(results.next().unwrap().unwrap(), 0);
}

/// Each worker runs the initializer once, before its first call. If it fails, all calls fail with its error.
#[test]
fn the_initializer_runs_once_in_each_worker() {
    #[remote]
    fn prepare(begun: Tally, gate: Gate) {
        gate.wait();
        begun.add();
    }
    #[remote]
    fn count(begun: Tally) -> u64 {
        begun.count()
    }
    #[remote]
    fn fail() -> Result<(), String> {
        Err("no model".to_owned())
    }
    engine();
    let (begun, gate) = (Tally::new(), Gate::new());
    let pool = Pool::options().processes(3).initializer(prepare, (begun, gate)).create().unwrap();
    let counts = pool.map_async(count, [begun; 30]).unwrap();
    assert!(!counts.wait(SHORT).unwrap());
    gate.open();
    assert!(counts.get().unwrap().iter().all(|begun| (1..=3).contains(begun)));
    begun.wait_for(3);
    assert_eq!(begun.count(), 3);
    let pool = Pool::options().processes(1).initializer(fail, ()).create().unwrap();
    let error = pool.apply(seven, ()).unwrap_err();
    assert!(error.to_string().contains("no model"), "{error}");
}

/// A closed pool ends its calls and takes no more. A terminated pool does not wait for them.
#[test]
fn the_end_of_a_pool() {
    engine();
    let gate = Gate::new();
    let pool = Pool::new(2).unwrap();
    let error = pool.join().unwrap_err();
    assert!(error.is_invalid_argument() && error.to_string().contains("still running"), "{error}");
    let later = pool.starmap_async(wait_at, [(gate, 1), (gate, 2), (gate, 3)]).unwrap();
    pool.close();
    for error in [
        pool.map(square, [1]).unwrap_err(),
        pool.apply_async(seven, ()).unwrap_err(),
        pool.imap(square, [1], 1).map(drop).unwrap_err(),
    ] {
        assert!(error.is_invalid_argument() && error.to_string().contains("the pool is closed"), "{error}");
    }
    gate.open();
    pool.join().unwrap();
    assert_eq!(later.get().unwrap(), [1, 2, 3]);

    let gate = Gate::new();
    let pool = Pool::new(2).unwrap();
    let later = pool.starmap_async(wait_at, (0..10).map(|x| (gate, x))).unwrap();
    pool.terminate().unwrap();
    let error = later.get().unwrap_err();
    assert!(error.is_actor_died(), "{error}");
    pool.join().unwrap();
    gate.open();
}

/// No workers, a chunk size of 0, and functions that a pool cannot run are errors that say what to do.
#[test]
fn misuse() {
    #[remote]
    async fn later(x: u64) -> u64 {
        x
    }
    #[remote(local)]
    fn here(x: u64) -> u64 {
        x
    }
    engine();
    let error = Pool::new(0).unwrap_err();
    assert!(error.is_invalid_argument() && error.to_string().contains("at least one worker"), "{error}");
    let pool = Pool::new(1).unwrap();
    let error = pool.imap(square, [1], 0).map(drop).unwrap_err();
    assert!(error.is_invalid_argument() && error.to_string().contains("`chunksize`"), "{error}");
    for error in [pool.map(later, [1]).unwrap_err(), pool.map(here, [1]).unwrap_err()] {
        assert!(error.is_invalid_argument() && error.to_string().contains("neither `async` nor `local`"), "{error}");
    }
    assert_eq!(Pool::options().create().unwrap().map(square, [2]).unwrap(), [4], "by default as many workers as CPUs");
}

/// The body of a cancelled task that waits for a pool ends.
#[test]
fn a_cancelled_body_that_waits_for_a_pool_ends() {
    #[remote(num_cpus = 0)]
    fn drive(waits: Gate, gate: Gate, seen: Gate) {
        let pool = Pool::new(1).unwrap();
        // A cancel would also end the creation of the worker.
        assert_eq!(pool.apply(seven, ()).unwrap(), 7);
        let later = pool.apply_async(wait_at, (gate, 1)).unwrap();
        waits.open();
        assert!(later.get().unwrap_err().is_cancelled());
        seen.open();
    }
    alone(|| {
        let (waits, gate, seen) = (Gate::new(), Gate::new(), Gate::new());
        let driver = drive.remote(waits, gate, seen);
        waits.wait();
        ray::cancel(&driver).unwrap();
        if !on_cluster() {
            seen.wait();
        }
        gate.open();
        assert!(ray::get(driver).unwrap_err().is_cancelled());
        eventually("the body has ended", || seen.is_open());
    });
}
