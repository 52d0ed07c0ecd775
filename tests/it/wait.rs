//! `wait` and `as_completed`.

use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};
use ray::{ErrorKind, ObjectRef, Pending, remote};

use crate::support::{Gate, PATIENCE, Tally, engine, in_child};

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
async fn later(gate: Gate, x: usize) -> usize {
    gate.opened().await;
    x
}

#[remote]
fn fails(x: i64) -> Result<i64, String> {
    Err(format!("no {x}"))
}

/// References that become ready when their gates are opened, one by one.
fn gated(count: usize) -> (Vec<Gate>, Vec<ObjectRef<usize>>) {
    let gates: Vec<_> = (0..count).map(|_| Gate::new()).collect();
    let refs = gates.iter().enumerate().map(|(x, gate)| later.remote(*gate, x)).collect();
    (gates, refs)
}

fn settle<T>(object: &ObjectRef<T>) {
    let (ready, _) = ray::wait([object.any()], ray::first(1).timeout(PATIENCE)).unwrap();
    assert_eq!(ready.len(), 1);
}

fn open(gate: Gate, object: &ObjectRef<usize>) {
    gate.open();
    settle(object);
}

fn none_yet(refs: &[ObjectRef<usize>]) -> Pending<ObjectRef<usize>> {
    let (ready, pending) = ray::wait(refs, ray::first(1).timeout(Duration::ZERO)).unwrap();
    assert_eq!(ready, []);
    pending
}

/// `wait` returns exactly as many objects as asked for, even if more are ready; both lists have the order of the input.
#[test]
fn exactly_as_many_as_asked_for() {
    engine();
    let (gates, refs) = gated(5);
    for x in [4, 1, 2] {
        open(gates[x], &refs[x]);
    }
    let (ready, rest) = ray::wait(&refs, 2).unwrap();
    assert_eq!((ready.len(), rest.len()), (2, 3));
    let position = |object: &ObjectRef<usize>| refs.iter().position(|known| known == object).unwrap();
    assert!(ready.iter().map(position).is_sorted() && rest.iter().map(position).is_sorted());
    assert!(ready.iter().all(ObjectRef::is_ready));
    let mut all: Vec<_> = ready.iter().chain(rest.iter()).map(position).collect();
    all.sort_unstable();
    assert_eq!(all, [0, 1, 2, 3, 4], "each object is in exactly one list");
    let (ready, rest) = ray::wait(rest, 1).unwrap();
    assert_eq!((ready.len(), rest.len()), (1, 2));
    assert_eq!(rest.iter().map(position).collect::<Vec<_>>(), [0, 3]);
    gates[0].open();
    gates[3].open();
    let (ready, rest) = ray::wait(rest, 2).unwrap();
    assert_eq!(ready.iter().map(position).collect::<Vec<_>>(), [0, 3]);
    assert!(rest.is_empty());
}

/// `wait` selects the objects that became ready first, and lists them in the order of the input.
#[test]
fn the_first_ready_objects_are_returned() {
    engine();
    let (gates, refs) = gated(6);
    let mut rest = none_yet(&refs);
    for x in [5, 3, 4, 0] {
        open(gates[x], &refs[x]);
    }
    for expected in [vec![3, 5], vec![4]] {
        let (ready, others) = ray::wait(rest, expected.len()).unwrap();
        assert_eq!(ray::get(ready).unwrap(), expected);
        rest = others;
    }
    open(gates[2], &refs[2]);
    let (ready, rest) = ray::wait(rest, 2).unwrap();
    assert_eq!(ray::get(ready).unwrap(), [0, 2]);
    assert_eq!(rest.iter().collect::<Vec<_>>(), [&refs[1]]);
    open(gates[1], &refs[1]);
}

/// A loop of waits returns every object once.
#[test]
fn a_loop_of_waits() {
    engine();
    for n in [1, 3, 7] {
        let refs: Vec<_> = (0..crate::support::calls(101, 1001)).map(|x| square.remote(x)).collect();
        let mut rest = Pending::from(refs);
        let mut sum = 0;
        while !rest.is_empty() {
            let count = n.min(rest.len());
            let (done, others) = ray::wait(rest, count).unwrap();
            assert_eq!(done.len(), count);
            sum += ray::get(done).unwrap().into_iter().sum::<i64>();
            rest = others;
        }
        assert_eq!(sum, (0..crate::support::calls(101, 1001)).map(|x| x * x).sum());
    }
}

/// `wait` returns fewer objects only after its time-out; with a time-out of zero it does not block.
#[test]
fn time_outs() {
    engine();
    let (gates, refs) = gated(3);
    let (ready, rest) = ray::wait(&refs, ray::first(3).timeout(Duration::ZERO)).unwrap();
    assert_eq!((ready.len(), rest.len()), (0, 3));
    open(gates[2], &refs[2]);
    let begun = Instant::now();
    let (ready, rest) = ray::wait(rest, ray::first(2).timeout(Duration::from_millis(20))).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(20));
    assert_eq!(ready, [refs[2].clone()]);
    assert_eq!(rest.len(), 2);
    let (ready, rest) = ray::wait(rest, ray::first(1).timeout(Duration::ZERO)).unwrap();
    assert_eq!((ready.len(), rest.len()), (0, 2));
    gates[0].open();
    gates[1].open();
    let (ready, rest) = ray::wait(rest, ray::first(2).timeout(Duration::MAX)).unwrap();
    assert_eq!(ready, refs[..2]);
    assert!(rest.is_empty());
}

/// Duplicates, zero and too large counts are errors; an empty input gives two empty lists for any count.
#[test]
fn invalid_waits() {
    engine();
    let refs: Vec<_> = (0..3).map(|x| square.remote(x)).collect();
    for (input, n, word) in [
        (vec![refs[0].clone(), refs[1].clone(), refs[0].clone()], 1, "twice"),
        (refs.clone(), 0, "0"),
        (refs.clone(), 4, "4"),
        (refs.clone(), usize::MAX, "3"),
    ] {
        let error = ray::wait(input, n).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.to_string().contains(word), "{error}");
    }
    let error = ray::wait(vec![refs[0].any(), refs[0].any()], ray::first(1).timeout(Duration::ZERO)).unwrap_err();
    assert!(error.is_invalid_argument());
    let (ready, rest) = ray::wait(&refs, 2).unwrap();
    assert_eq!((ready.len(), rest.len()), (2, 1));
    assert!(ray::wait(rest, 2).unwrap_err().is_invalid_argument(), "only one object is left");
    for n in [0, 1, 7] {
        let (ready, rest) = ray::wait(Vec::<ObjectRef<i64>>::new(), n).unwrap();
        assert!(ready.is_empty() && rest.is_empty());
    }
    ray::get(refs).unwrap();
}

/// Failed and cancelled tasks count as ready.
#[test]
fn failures_count_as_ready() {
    engine();
    let gate = Gate::new();
    let (failed, cancelled) = (fails.remote(1), later.remote(gate, 2));
    let blocked = later.remote(gate, 3);
    ray::cancel(&cancelled).unwrap();
    let (ready, rest) = ray::wait([blocked.any(), failed.any(), cancelled.any()], 2).unwrap();
    assert_eq!(ready, [failed.any(), cancelled.any()]);
    assert_eq!(rest.len(), 1);
    let (ready, _) = ray::wait(rest, ray::first(1).timeout(Duration::ZERO)).unwrap();
    assert_eq!(ready, []);
    assert!(ray::get(failed).unwrap_err().is_task());
    assert!(ray::get(cancelled).unwrap_err().is_cancelled());
    gate.open();
    ray::get(blocked).unwrap();
}

/// One wait takes references to objects of different types, and to parts of several returns.
#[test]
fn references_of_different_types() {
    engine();
    let (number, text) = (square.remote(2), a_text.remote());
    let (left, right) = pair.remote(4);
    let refs = vec![number.any(), text.any(), ray::put(vec![1]).any(), left.any(), right.any()];
    let (ready, rest) = ray::wait(&refs, 5).unwrap();
    assert_eq!(ready, refs);
    assert!(rest.is_empty());
    assert_eq!(ray::get((number, text, left, right)).unwrap(), (4, "text".to_owned(), 4, '4'));
}

#[remote]
fn a_text() -> String {
    "text".to_owned()
}

#[remote(num_returns = 2)]
fn pair(x: u32) -> (u32, char) {
    (x, char::from_digit(x, 10).unwrap())
}

/// The conversions into and out of `Pending`.
#[test]
fn pending() {
    engine();
    let (gates, refs) = gated(3);
    let made: [Pending<_>; 5] = [
        refs.clone().into(),
        (&refs).into(),
        refs.as_slice().into(),
        refs.iter().cloned().collect(),
        [refs[0].clone(), refs[1].clone(), refs[2].clone()].into(),
    ];
    for pending in made {
        assert_eq!((pending.len(), pending.is_empty()), (3, false));
        assert_eq!(pending.iter().collect::<Vec<_>>(), refs.iter().collect::<Vec<_>>());
        assert_eq!(pending.into_iter().collect::<Vec<_>>(), refs);
    }
    // A registered `Pending` can be dropped or converted while no object is ready.
    drop(none_yet(&refs));
    let kept: Vec<_> = none_yet(&refs).into_iter().collect();
    let registered = none_yet(&refs);
    for (gate, object) in gates.iter().zip(&refs) {
        open(*gate, object);
    }
    drop(registered);
    assert_eq!(ray::get(kept).unwrap(), [0, 1, 2]);
}

/// Two waits for the same objects do not take them from each other.
#[test]
fn several_waits_for_the_same_objects() {
    engine();
    for _ in 0..20 {
        let (gates, refs) = gated(10);
        let waiting = Tally::new();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let refs = refs.clone();
                std::thread::spawn(move || {
                    waiting.add();
                    let mut rest = Pending::from(refs);
                    let mut seen = Vec::new();
                    while !rest.is_empty() {
                        let (done, others) = ray::wait(rest, ray::first(1).timeout(PATIENCE)).unwrap();
                        seen.push(ray::get(&done[0]).unwrap());
                        rest = others;
                    }
                    seen.sort_unstable();
                    seen
                })
            })
            .collect();
        waiting.wait_for(4);
        gates.into_iter().rev().for_each(Gate::open);
        for thread in threads {
            assert_eq!(thread.join().unwrap(), (0..10).collect::<Vec<_>>());
        }
    }
}

/// A task lends its CPU during a `wait`, also to the tasks that it waits for.
#[test]
fn a_waiting_task_lends_its_cpu() {
    in_child("wait::a_waiting_task_lends_its_cpu", || {
        crate::support::init_with(ray::Config::new().num_cpus(1)).unwrap();
        assert_eq!(ray::get(waits_for_ten.remote()).unwrap(), 285);
    });
}

#[remote]
fn waits_for_ten() -> i64 {
    let refs: Vec<_> = (0..10).map(|x| square.remote(x)).collect();
    let (ready, rest) = ray::wait(&refs, ray::first(9).timeout(PATIENCE)).unwrap();
    let mut values = ray::get(ready).unwrap();
    for object in ray::as_completed(rest) {
        values.push(ray::get(object).unwrap());
    }
    values.into_iter().sum()
}

/// `as_completed` yields objects in the order in which they became ready.
#[test]
fn as_completed_yields_in_the_order_of_completion() {
    engine();
    let (gates, refs) = gated(6);
    let order = [3, 5, 0, 1, 4, 2];
    let mut completed = ray::as_completed(none_yet(&refs));
    assert_eq!((completed.len(), completed.is_empty(), completed.size_hint()), (6, false, (6, Some(6))));
    // Always two objects ahead of the reader, so that more than one is ready.
    open(gates[order[0]], &refs[order[0]]);
    open(gates[order[1]], &refs[order[1]]);
    for (at, expected) in order.into_iter().enumerate() {
        assert_eq!(ray::get(completed.next().unwrap()).unwrap(), expected);
        if let Some(next) = order.get(at + 2) {
            open(gates[*next], &refs[*next]);
        }
    }
    assert_eq!(completed.next(), None);
    assert!(completed.is_empty());
}

#[test]
fn as_completed_yields_all_objects_and_failures() {
    engine();
    let refs: Vec<_> =
        (0..crate::support::calls(40, 500)).map(|x| if x % 7 == 0 { fails.remote(x) } else { square.remote(x) }).collect();
    let (mut good, mut bad) = (0, 0);
    for object in ray::as_completed(&refs) {
        assert!(object.is_ready());
        match ray::get(object) {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        }
    }
    assert_eq!((good, bad), crate::support::calls((34, 6), (428, 72)));
    assert_eq!(ray::as_completed(Vec::<ObjectRef<i64>>::new()).next(), None);
    assert_eq!(ray::as_completed(refs.iter().map(ObjectRef::any).collect::<Vec<_>>()).count(), refs.len());
}

/// An iterator of `as_completed` can be dropped before its end.
#[test]
fn as_completed_can_be_dropped_early() {
    engine();
    let (gates, refs) = gated(3);
    open(gates[1], &refs[1]);
    let first = ray::as_completed(&refs).next().unwrap();
    assert_eq!(ray::get(first).unwrap(), 1);
    gates[0].open();
    gates[2].open();
    assert_eq!(ray::get(refs).unwrap(), [0, 1, 2]);
}

#[test]
#[should_panic(expected = "twice")]
fn as_completed_of_duplicates_panics() {
    engine();
    let object = ray::put(1);
    let _ = ray::as_completed([object.clone(), object]).next();
}

/// `as_completed(..).stream()` works on any runtime.
#[test]
fn as_completed_as_a_stream() {
    engine();
    let (gates, refs) = gated(4);
    let mut stream = ray::as_completed(&refs).stream();
    assert_eq!(stream.size_hint(), (4, Some(4)));
    let order = futures::executor::block_on(async {
        let mut order = Vec::new();
        for x in [2, 0, 3, 1] {
            assert!(futures::poll!(stream.next()).is_pending());
            gates[x].open();
            order.push(stream.next().await.unwrap().await.unwrap());
        }
        assert!(stream.next().await.is_none());
        order
    });
    assert_eq!(order, [2, 0, 3, 1]);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sum = runtime.block_on(async {
        let refs: Vec<_> = (0..crate::support::calls(100, 1000)).map(|x| square.remote(x)).collect();
        let done = ray::as_completed(refs).stream();
        done.fold(0, |sum, object| async move { sum + object.await.unwrap() }).await
    });
    assert_eq!(sum, (0..crate::support::calls(100, 1000)).map(|x| x * x).sum());
    assert_eq!(ray::get(streams.remote(50)).unwrap(), (0..50).map(|x| x * x).sum(), "in an async task");
}

#[remote]
async fn streams(n: i64) -> i64 {
    let refs: Vec<_> = (0..n).map(|x| square.remote(x)).collect();
    let mut done = ray::as_completed(refs).stream();
    let mut sum = 0;
    while let Some(object) = done.next().await {
        sum += object.await.unwrap();
    }
    sum
}

/// Iterating over `as_completed` in async code would block other futures. It panics with a message that names `stream()`.
#[test]
fn as_completed_in_async_code_panics() {
    engine();
    let error = ray::get(iterates.remote(later.remote(Gate::new(), 1))).unwrap_err();
    assert!(error.is_panic() && error.to_string().contains("as_completed(..).stream()"), "{error}");
}

#[remote]
async fn iterates(_ready: ObjectRef<usize>) -> usize {
    ray::as_completed([later.remote(Gate::new(), 2)]).count()
}
