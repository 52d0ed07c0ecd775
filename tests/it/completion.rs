//! The order in which `wait` and `as_completed` return objects that are ready.

use std::time::Duration;

use futures::StreamExt;
use ray::{ObjectRef, Pending, remote};

use crate::stage::{alone_on, eventually};
use crate::support::{Gate, engine};

#[remote]
async fn later(gate: Gate, x: usize) -> usize {
    gate.opened().await;
    x
}

#[remote]
fn after(_pending: usize, x: usize) -> usize {
    x
}

/// Returns `count` objects and an order in which to cancel them. They wait for `pending`, so none of them begins and the
/// cancelling thread settles each. (If a task ran, another thread would drop its future and settle its object.)
fn to_be_cancelled(pending: &ObjectRef<usize>, count: usize) -> (Vec<ObjectRef<usize>>, Vec<usize>) {
    let refs = (0..count).map(|x| after.remote(pending, x)).collect();
    // 7 and the counts used here have no common factor, so each number comes once.
    (refs, (0..count).map(|at| (at * 7 + 3) % count).collect())
}

fn positions(refs: &[ObjectRef<usize>], of: impl IntoIterator<Item = ObjectRef<usize>>) -> Vec<usize> {
    of.into_iter().map(|object| refs.iter().position(|known| *known == object).unwrap()).collect()
}

/// Objects that one thread settles come in exactly that order, from `wait`, `as_completed` and its stream.
#[test]
fn objects_settled_by_one_thread_come_in_exact_order() {
    engine();
    let pending = later.remote(Gate::new(), 0).cancel_on_drop();
    let (refs, order) = to_be_cancelled(&pending, 100);
    let half = refs.clone();
    for at in &order[..50] {
        ray::cancel(&refs[*at]).unwrap();
    }
    // Registered when half of the objects are ready.
    let registered = ray::as_completed(half);
    for at in &order[50..] {
        ray::cancel(&refs[*at]).unwrap();
    }
    assert_eq!(positions(&refs, registered), order);
    assert_eq!(positions(&refs, ray::as_completed(&refs)), order);
    let streamed = futures::executor::block_on(ray::as_completed(&refs).stream().collect::<Vec<_>>());
    assert_eq!(positions(&refs, streamed), order);
    let mut rest = Pending::from(&refs);
    let mut given = Vec::new();
    while !rest.is_empty() {
        let (ready, others) = ray::wait(rest, 1).unwrap();
        given.extend(ready);
        rest = others;
    }
    assert_eq!(positions(&refs, given), order);
    let (ready, _) = ray::wait(&refs, 10).unwrap();
    let mut first: Vec<_> = order[..10].to_vec();
    first.sort_unstable();
    assert_eq!(positions(&refs, ready), first, "the ten that were ready first, in the order of the input");
}

/// The order holds for objects that are settled while a wait is being registered.
#[test]
fn objects_settled_during_registration_come_in_order() {
    engine();
    let pending = later.remote(Gate::new(), 0).cancel_on_drop();
    for _ in 0..50 {
        let (refs, order) = to_be_cancelled(&pending, 100);
        let settling = std::thread::spawn({
            let (refs, order) = (refs.clone(), order.clone());
            move || order.iter().for_each(|at| ray::cancel(&refs[*at]).unwrap())
        });
        assert_eq!(positions(&refs, ray::as_completed(&refs)), order);
        settling.join().unwrap();
    }
}

/// Objects from `put` come in the order in which they were put.
#[test]
fn put_objects_come_in_order() {
    engine();
    let mut refs: Vec<_> = (0..20usize).map(ray::put).collect();
    refs.reverse();
    let given: Vec<_> = ray::as_completed(&refs).map(|object| ray::get(object).unwrap()).collect();
    assert_eq!(given, (0..20).collect::<Vec<_>>());
}

#[remote(inline = false)]
fn wait_at(gate: Gate, x: usize) -> usize {
    gate.wait();
    x
}

/// Objects that several threads settle come in order if enough time lies between them.
#[test]
fn objects_settled_by_several_threads_at_intervals() {
    alone_on(4, || {
        let gates: Vec<_> = (0..4).map(|_| Gate::new()).collect();
        let refs: Vec<_> = gates.iter().enumerate().map(|(x, gate)| wait_at.remote(*gate, x)).collect();
        let none = Gate::new();
        let never = later.remote(none, 0);
        for at in [1, 3, 2, 0] {
            gates[at].open();
            eventually("the task has ended", || refs[at].is_ready());
            // Much longer than the coarse clock may be late.
            let (ready, _) = ray::wait([&never].map(Clone::clone), ray::first(1).timeout(Duration::from_millis(60))).unwrap();
            assert_eq!(ready, []);
        }
        let (ready, rest) = ray::wait(&refs, 1).unwrap();
        assert_eq!(ray::get(ready).unwrap(), [1]);
        let (ready, _) = ray::wait(rest, 2).unwrap();
        assert_eq!(ray::get(ready).unwrap(), [2, 3]);
        let given: Vec<_> = ray::as_completed(&refs).map(|object| ray::get(object).unwrap()).collect();
        assert_eq!(given, [1, 3, 2, 0]);
        none.open();
    });
}

/// In a loop that inserts new objects at the front, an older ready object is not passed over.
#[test]
fn a_ready_object_is_not_passed_over() {
    engine();
    let mut refs = vec![ray::put(0usize), ray::put(1)];
    for next in 2..200 {
        refs.insert(0, ray::put(next));
        let (ready, rest) = ray::wait(&refs, 1).unwrap();
        assert_eq!(ray::get(&ready[0]).unwrap(), next - 2, "the one that has been ready longest");
        refs = rest.into_iter().collect();
    }
}

/// A reference that occurs twice is a mistake of the caller, for the iterator and for the stream.
#[test]
fn a_reference_that_occurs_twice() {
    crate::support::engine();
    let twice = || {
        let object = ray::put(1);
        [object.clone(), object]
    };
    let iterated = std::panic::catch_unwind(|| ray::as_completed(twice()).next());
    let streamed = std::panic::catch_unwind(|| futures::executor::block_on(ray::as_completed(twice()).stream().next()));
    for panicked in [iterated.unwrap_err(), streamed.unwrap_err()] {
        let text = panicked.downcast_ref::<String>().expect("a text");
        assert!(text.contains("as_completed at") && text.contains("twice"), "{text}");
    }
}
