//! `map` and `map_unordered` of functions and methods, their chunks and their limits, and `Pending::push`.

use std::collections::HashSet;

use futures::StreamExt;
use ray::{Chunk, Config, ErrorKind, ObjectRef, Pending, remote};
use serde::{Deserialize, Serialize};

use crate::cluster;
use crate::stage::{alone, alone_on};
use crate::support::{Gate, Tally, calls, engine, init_with};

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn even(x: i64) -> Result<i64, String> {
    if x % 2 == 0 { Ok(x) } else { Err(format!("{x} is odd")) }
}

#[remote]
fn breaks(x: i64) -> i64 {
    assert!(x != 3, "three");
    x
}

#[remote]
fn count(tally: Tally, x: i64) -> i64 {
    tally.add();
    x
}

#[remote]
fn counted(item: (Tally, i64)) -> i64 {
    item.0.add();
    item.1
}

#[remote]
fn hold(item: (Tally, Gate, i64)) -> i64 {
    item.0.add();
    item.1.wait();
    item.2
}

#[remote]
fn shared(text: &str) -> usize {
    text.len()
}

#[remote]
async fn awaited(x: i64) -> i64 {
    tokio::task::yield_now().await;
    x + 1
}

#[remote(max_retries = 2, retry_exceptions)]
fn third_time(item: (Tally, i64)) -> Result<i64, String> {
    if item.0.add().is_multiple_of(3) { Ok(item.1) } else { Err("not yet".to_owned()) }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Holds(ObjectRef<i64>);

#[remote]
fn wrap(x: i64) -> Holds {
    Holds(ray::put(x))
}

#[remote]
struct Adder {
    sum: i64,
}

#[remote]
impl Adder {
    pub fn new() -> Self {
        Adder { sum: 0 }
    }
    pub fn add(&mut self, n: i64) -> i64 {
        self.sum += n;
        self.sum
    }
}

fn squares(n: i64) -> Vec<i64> {
    (0..n).map(|x| x * x).collect()
}

/// Results come in the order of the items, with any limit, and in chunks of any size.
#[test]
fn results_in_the_order_of_the_items() {
    engine();
    let n = calls(20, 1000);
    let all = |map: &mut dyn Iterator<Item = ray::Result<i64>>| map.collect::<ray::Result<Vec<_>>>().unwrap();
    assert_eq!(all(&mut square.map(0..n)), squares(n));
    for limit in [1, 2, 7, 100_000] {
        assert_eq!(all(&mut square.map(0..n).max_in_flight(limit)), squares(n));
        assert_eq!(all(&mut square.map(0..n).chunk(3).max_in_flight(limit)), squares(n));
    }
    for size in [1, 2, 10, 1500] {
        assert_eq!(all(&mut square.map(0..n).chunk(size)), squares(n));
    }
    assert_eq!(all(&mut square.map(0..n).chunk(Chunk::Auto)), squares(n));
    assert_eq!(all(&mut square.map(std::iter::empty::<i64>()).chunk(Chunk::Auto)), squares(0));
    assert_eq!(all(&mut square.map(Vec::<i64>::new())), squares(0));
    assert_eq!(shared.map(["a", "bc"]).collect::<ray::Result<Vec<_>>>().unwrap(), [1, 2]);
    assert_eq!(awaited.map(0..4).collect::<ray::Result<Vec<_>>>().unwrap(), [1, 2, 3, 4]);
}

/// `map_unordered` returns each result once; a call that blocks does not keep the later results back.
#[test]
fn results_in_the_order_in_which_they_end() {
    alone_on(2, || {
        let n = calls(20, 1000);
        let all = |map: &mut dyn Iterator<Item = ray::Result<i64>>| {
            let mut all = map.collect::<ray::Result<Vec<_>>>().unwrap();
            all.sort_unstable();
            all
        };
        assert_eq!(all(&mut square.map_unordered(0..n)), squares(n));
        assert_eq!(all(&mut square.map_unordered(0..n).max_in_flight(3)), squares(n));
        assert_eq!(all(&mut square.map_unordered(0..n).chunk(7)), squares(n));
        assert_eq!(all(&mut square.map_unordered(0..n).chunk(Chunk::Auto).max_in_flight(2)), squares(n));

        let (begun, gate, open) = (Tally::new(), Gate::new(), Gate::new());
        open.open();
        let items = [(begun, gate, 0), (begun, open, 1), (begun, open, 2)];
        let mut results = hold.map_unordered(items).max_in_flight(2);
        let early: HashSet<_> = [results.next(), results.next()].into_iter().map(|x| x.unwrap().unwrap()).collect();
        assert_eq!(early, [1, 2].into());
        gate.open();
        assert_eq!(results.next().unwrap().unwrap(), 0);
        assert!(results.next().is_none());
    });
}

/// Nothing is submitted before the first result is asked for, and then no more calls than the limit allows.
#[test]
fn a_map_is_lazy_and_bounded() {
    alone_on(2, || {
        let (begun, gate) = (Tally::new(), Gate::new());
        let made = std::cell::Cell::new(0);
        let items = (0..10).map(|x| {
            made.set(made.get() + 1);
            (begun, gate, x)
        });
        let mut results = hold.map(items).max_in_flight(3);
        assert_eq!(made.get(), 0);
        gate.open();
        assert_eq!(results.next().unwrap().unwrap(), 0);
        assert_eq!(made.get(), 3);
        assert_eq!(results.size_hint(), (9, Some(9)));
        assert_eq!(results.next().unwrap().unwrap(), 1);
        assert_eq!(made.get(), 4);
        drop(results);
        begun.wait_for(4);
    });
}

/// A call that fails gives its own error, and the others go on, in chunks too.
#[test]
fn failures_are_items() {
    engine();
    let kinds = |results: Vec<ray::Result<i64>>| {
        results.into_iter().map(|result| result.map_err(|error| error.kind())).collect::<Vec<_>>()
    };
    let expected = [Ok(0), Err(ErrorKind::Task), Ok(2), Err(ErrorKind::Task)];
    assert_eq!(kinds(even.map(0..4).collect()), expected);
    assert_eq!(kinds(even.map(0..4).chunk(4).collect()), expected);
    let expected = [Ok(2), Err(ErrorKind::Panic), Ok(4)];
    assert_eq!(kinds(breaks.map(2..5).collect()), expected);
    assert_eq!(kinds(breaks.map(2..5).chunk(2).collect()), expected);
    let error = even.map(1..2).chunk(2).next().unwrap().unwrap_err();
    assert_eq!(error.downcast_ref::<String>().unwrap(), "1 is odd");
    assert!(format!("{error:?}").contains("task `even`"), "{error:?}");
}

/// Items may be references: a chunk does not wait for them, and the failure of one is that of its item alone.
#[test]
fn items_that_are_references() {
    engine();
    let refs = || vec![square.remote(1), even.remote(1), ray::put(3)];
    let values = |results: Vec<ray::Result<i64>>| results.into_iter().map(Result::ok).collect::<Vec<_>>();
    assert_eq!(values(square.map(refs()).collect()), [Some(1), None, Some(9)]);
    assert_eq!(values(square.map(refs()).chunk(2).collect()), [Some(1), None, Some(9)]);
    assert_eq!(values(square.map(refs()).chunk(Chunk::Auto).collect()), [Some(1), None, Some(9)]);
}

/// References inside the results of a chunk are the caller's.
#[test]
fn references_in_results_of_chunks() {
    engine();
    let holds: Vec<Holds> = wrap.map(0..4).chunk(3).collect::<ray::Result<_>>().unwrap();
    let values: Vec<i64> = holds.into_iter().map(|holds| ray::get(holds.0).unwrap()).collect();
    assert_eq!(values, [0, 1, 2, 3]);
}

/// A chunk retries single items, as the attribute says.
#[test]
fn chunks_retry_items() {
    engine();
    let tally = Tally::new();
    let items = [(tally, 1), (tally, 2)];
    assert_eq!(third_time.map(items).chunk(2).collect::<ray::Result<Vec<_>>>().unwrap(), [1, 2]);
    assert_eq!(tally.count(), 6);
}

/// Methods of an actor are mapped too.
#[test]
fn maps_of_methods() {
    engine();
    let adder = Adder::remote();
    assert_eq!(adder.add.map(1..4).collect::<ray::Result<Vec<_>>>().unwrap(), [1, 3, 6]);
    let mut sums = adder.add.map_unordered([1, 1, 1]).collect::<ray::Result<Vec<_>>>().unwrap();
    sums.sort_unstable();
    assert_eq!(sums, [7, 8, 9]);
    ray::kill(&adder).unwrap();
    let results: Vec<_> = adder.add.map(0..3).collect();
    assert!(results.len() == 3 && results.iter().all(|result| result.as_ref().unwrap_err().is_actor_died()));
}

/// Maps as streams, in async code.
#[test]
fn maps_as_streams() {
    engine();
    let n = calls(10, 300);
    futures::executor::block_on(async {
        let all: Vec<_> = square.map(0..n).stream().map(Result::unwrap).collect().await;
        assert_eq!(all, squares(n));
        let all: Vec<_> = square.map(0..n).chunk(7).stream().map(Result::unwrap).collect().await;
        assert_eq!(all, squares(n));
        let mut all: Vec<_> = square.map_unordered(0..n).max_in_flight(5).stream().map(Result::unwrap).collect().await;
        all.sort_unstable();
        assert_eq!(all, squares(n));
    });
}

/// A blocking map in an async body is one error, which names the line of the map.
#[test]
fn a_blocking_map_in_an_async_body() {
    #[remote]
    async fn blocks() -> [Vec<String>; 2] {
        let error = |result: ray::Result<i64>| {
            let error = result.unwrap_err();
            assert!(error.is_blocking_in_async());
            error.to_string()
        };
        [square.map(0..).map(error).take(5).collect(), square.map_unordered(0..).map(error).take(5).collect()]
    }
    engine();
    let line = line!() - 3;
    for told in ray::get(blocks.remote()).unwrap() {
        assert_eq!(told.len(), 1);
        assert!(told[0].contains(&format!("maps.rs:{line}")), "{}", told[0]);
    }
}

/// A map whose calls no thread can run is one error.
#[test]
fn a_map_without_a_thread_for_its_calls() {
    #[remote(resources("slot" = 1))]
    fn slotted(x: u64) -> u64 {
        x
    }
    #[remote]
    fn maps() -> [Vec<bool>; 2] {
        let is_threads = |result: ray::Result<u64>| result.unwrap_err().is_threads();
        [slotted.map(0..).map(is_threads).take(1).collect(), slotted.map_unordered(0..).map(is_threads).take(5).collect()]
    }
    alone(|| {
        init_with(Config::new().num_cpus(1).max_threads(1).resource("slot", 1)).unwrap();
        assert_eq!(ray::get(maps.remote()).unwrap(), [vec![true], vec![true]]);
    });
}

/// After the shutdown the items are errors.
#[test]
fn a_map_across_a_shutdown() {
    alone_on(2, || {
        let mut results = square.map(0..3);
        assert_eq!(results.next().unwrap().unwrap(), 0);
        ray::shutdown().unwrap();
        assert!(results.next().unwrap().unwrap_err().is_runtime_gone());
    });
}

/// A limit of 0 and a chunk of 0 are refused.
#[test]
fn limits_of_zero() {
    engine();
    let text = |run: fn()| *std::panic::catch_unwind(run).unwrap_err().downcast::<&str>().unwrap();
    assert!(text(|| drop(square.map(0..1).max_in_flight(0))).contains("at least 1"));
    assert!(text(|| drop(square.map(0..1).chunk(0))).contains("at least 1"));
    assert!(text(|| drop(square.map(0..1).chunk(1).max_in_flight(0))).contains("at least 1"));
}

/// References that are pushed while others are waited for come out once, whatever the number of pushes.
#[test]
fn a_window_of_pending_references() {
    engine();
    let n = calls(30, 3000);
    for window in [1, 2, 10] {
        let mut pending: Pending<_> = (0..window).map(|x| square.remote(x)).collect();
        let mut sum = 0;
        for x in window..n {
            let (done, rest) = ray::wait(pending, 1).unwrap();
            sum += ray::get(done).unwrap()[0];
            pending = rest;
            pending.push(square.remote(x));
            assert_eq!(pending.len() as i64, window);
        }
        sum += ray::get(pending).unwrap().iter().sum::<i64>();
        assert_eq!(sum, squares(n).iter().sum());
    }
}

/// A reference that is ready when it is pushed, several at once, and one into an empty window.
#[test]
fn pushes_of_ready_references() {
    engine();
    let mut pending = Pending::from(Vec::new());
    assert!(pending.is_empty());
    pending.push(ray::put(1));
    let (done, mut pending) = ray::wait(pending, 1).unwrap();
    assert_eq!((ray::get(done).unwrap(), pending.len()), (vec![1], 0));
    pending.extend([ray::put(2), square.remote(3), ray::put(4)]);
    let (done, pending) = ray::wait(pending, 3).unwrap();
    assert_eq!(ray::get(done).unwrap(), [2, 9, 4]);
    assert!(pending.is_empty());
    let gate = Gate::new();
    let held = hold.remote((Tally::new(), gate, 5));
    let mut pending = Pending::from([held]);
    for x in 0..calls(3, 50) {
        pending.push(ray::put(x));
        let (done, rest) = ray::wait(pending, 1).unwrap();
        assert_eq!(ray::get(done).unwrap(), [x]);
        pending = rest;
    }
    gate.open();
    assert_eq!(ray::get(pending).unwrap(), [5]);
}

/// The calls of a map run beside each other.
#[test]
fn calls_of_a_map_run_beside_each_other() {
    alone_on(2, || {
        let (begun, gate) = (Tally::new(), Gate::new());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                begun.wait_for(2);
                gate.open();
            });
            let items = (0..4).map(|x| (begun, gate, x));
            assert_eq!(hold.map(items).collect::<ray::Result<Vec<_>>>().unwrap(), [0, 1, 2, 3]);
        });
        assert_eq!(begun.count(), 4);
        let tally = Tally::new();
        let n = calls(10, 100);
        assert_eq!(counted.map((0..n).map(|x| (tally, x))).chunk(Chunk::Auto).count() as i64, n);
        assert_eq!(tally.count() as i64, n);
        assert_eq!(ray::get(count.remote(tally, 1)).unwrap(), 1);
        let _ = cluster::wanted();
    });
}

/// A thread that waits for results runs no chunk itself: after many short chunks of one function a chunk of another may take long.
#[test]
fn a_getter_is_not_held_by_a_long_chunk_after_short_ones() {
    #[remote]
    fn first_waits(job: (Gate, u64)) -> u64 {
        if job.1 == 0 {
            job.0.wait();
        }
        job.1
    }
    alone_on(2, || {
        for _ in 0..calls(2, 50) {
            assert_eq!(square.map_unordered(0..20).chunk(1).count(), 20);
        }
        let gate = Gate::new();
        let mut results = first_waits.map_unordered((0..4).map(|x| (gate, x))).chunk(1);
        let others: HashSet<_> = results.by_ref().take(3).map(Result::unwrap).collect();
        assert_eq!(others, (1..4).collect());
        gate.open();
        assert_eq!(results.next().unwrap().unwrap(), 0);
    });
}
