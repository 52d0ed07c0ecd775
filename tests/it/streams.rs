//! Streams of tasks: what makes one, how its items are taken, its bound, `wait` and `merge`.

use std::rc::Rc;
use std::time::Duration;

use futures::{Stream, stream};
use ray::{ErrorKind, ObjectRef, ObjectRefStream, Pending, Yielder, remote};
use serde::{Deserialize, Serialize};

use crate::support::{Gate, PATIENCE, Tally, engine, in_child, in_child_with};

/// Yields `0..n`, and `n` after the gate was opened.
#[remote]
fn gated(n: u64, gate: Gate) -> impl Iterator<Item = u64> {
    (0..n).chain(std::iter::once_with(move || {
        gate.wait();
        n
    }))
}

#[remote]
fn numbers(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

/// Counts the items that it makes.
#[remote]
fn counted(n: u64, made: Tally) -> impl Iterator<Item = u64> {
    (0..n).inspect(move |_| {
        made.add();
    })
}

fn values<T: Clone + Send + Sync + 'static>(stream: ObjectRefStream<T>) -> Vec<T> {
    stream.map(|item| ray::get(item).unwrap()).collect()
}

#[test]
fn items_can_be_taken_while_the_task_runs() {
    engine();
    let gate = Gate::new();
    let mut stream = gated.remote(3, gate);
    let first: Vec<_> = stream.by_ref().take(3).collect();
    assert_eq!(ray::get(first).unwrap(), [0, 1, 2]);
    assert!(!stream.next_ready() && !stream.is_finished());
    assert!(stream.next_timeout(Duration::ZERO).unwrap_err().is_timeout());
    gate.open();
    assert_eq!(ray::get(stream.next().unwrap()).unwrap(), 3);
    assert!(stream.next().is_none() && stream.next().is_none());
    assert!(stream.is_finished() && !stream.next_ready());
    assert!(stream.next_timeout(PATIENCE).unwrap().is_none());
}

#[remote]
fn doubled(xs: &[u64]) -> impl Iterator<Item = u64> {
    xs.iter().map(|x| 2 * x)
}

#[remote]
fn shared(n: u64) -> impl Iterator<Item = u64> {
    let count = Rc::new(n);
    (0..n).map(move |x| x + *count)
}

#[test]
fn an_iterator_may_borrow_its_arguments_and_need_not_be_send() {
    engine();
    assert_eq!(values(doubled.remote(vec![1, 2, 3])), [2, 4, 6]);
    let object = ray::put(vec![4]);
    assert_eq!(values(doubled.remote(&object)), [8]);
    assert_eq!(values(shared.remote(2)), [2, 3]);
    assert_eq!(doubled.call(&[5]).collect::<Vec<_>>(), [10]);
}

#[remote]
fn checked(n: i64) -> Result<impl Iterator<Item = i64>, String> {
    if n < 0 { Err(format!("{n} is negative")) } else { Ok(0..n) }
}

#[test]
fn the_error_before_the_first_item_is_the_only_item() {
    engine();
    assert_eq!(values(checked.remote(2)), [0, 1]);
    let mut stream = checked.remote(-1);
    let error = ray::get(stream.next().unwrap()).unwrap_err();
    assert_eq!(error.downcast_ref::<String>().unwrap(), "-1 is negative");
    assert!(stream.next().is_none());
}

#[remote]
fn later(xs: &[u64]) -> impl Stream<Item = u64> {
    futures::StreamExt::then(stream::iter(xs), |x| async move {
        tokio::task::yield_now().await;
        x + 1
    })
}

#[remote]
async fn opened(n: u64) -> Result<impl Stream<Item = u64>, String> {
    tokio::task::yield_now().await;
    if n == 0 { Err("nothing".to_owned()) } else { Ok(stream::iter(0..n)) }
}

#[test]
fn a_body_can_return_a_stream() {
    engine();
    assert_eq!(values(later.remote(vec![1, 2])), [2, 3]);
    assert_eq!(values(opened.remote(2)), [0, 1]);
    assert!(ray::get(opened.remote(0).next().unwrap()).is_err());
    // More items than the bound.
    assert_eq!(later.remote(vec![1; 1000]).count(), 1000);
}

#[remote]
fn words(out: Yielder<String>, text: &str) -> ray::Result<()> {
    text.split(' ').try_for_each(|word| out.push(word.to_owned()))
}

#[remote]
async fn slowly(out: Yielder<u64>, n: u64) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    for x in 0..n {
        out.push_async(x).await?;
    }
    if n == 0 { Err("none".into()) } else { Ok(()) }
}

#[remote]
fn quiet(_: Yielder<u64>) {}

#[test]
fn a_body_can_push_its_items() {
    engine();
    assert_eq!(values(words.remote("a bc")), ["a", "bc"]);
    assert_eq!(values(slowly.remote(1000)).len(), 1000);
    assert!(ray::get(slowly.remote(0).next().unwrap()).unwrap_err().to_string().contains("none"));
    assert!(quiet.remote().next().is_none());
}

#[test]
fn the_stream_is_a_stream_of_futures() {
    engine();
    let gate = Gate::new();
    let sum = futures::executor::block_on(async {
        let mut sum = 0;
        use futures::StreamExt;
        let mut stream = gated.remote(200, gate).stream();
        while let Some(item) = stream.next().await {
            sum += item.await.unwrap();
            if sum == 199 * 200 / 2 {
                gate.open();
            }
        }
        sum
    });
    assert_eq!(sum, 200 * 201 / 2);
}

#[remote]
async fn sum_of(n: u64) -> ray::Result<u64> {
    let mut stream = numbers.remote(n);
    let mut sum = 0;
    while let Some(item) = futures::StreamExt::next(&mut stream).await {
        sum += item.await?;
    }
    Ok(sum)
}

#[remote]
fn squares(n: u64) -> impl Iterator<Item = u64> {
    numbers.remote(n).map(|item| ray::get(item).unwrap().pow(2))
}

#[test]
fn bodies_take_items_of_other_streams_on_one_cpu() {
    in_child("streams::bodies_take_items_of_other_streams_on_one_cpu", || {
        ray::init_with(ray::Config::new().num_cpus(1)).unwrap();
        assert_eq!(ray::get(sum_of.remote(1000)).unwrap(), 499_500);
        assert_eq!(values(squares.remote(1000)).last(), Some(&(999 * 999)));
        ray::shutdown().unwrap();
    });
}

#[remote]
fn plain(x: u64) -> u64 {
    x
}

#[test]
fn a_full_stream_stops_its_producer_which_gives_its_cpu_back() {
    in_child("streams::a_full_stream_stops_its_producer_which_gives_its_cpu_back", || {
        ray::init_with(ray::Config::new().num_cpus(1)).unwrap();
        let made = Tally::new();
        let mut stream = counted.options().backpressure(2).remote(100, made);
        // Two items are in the stream, and the producer waits with the third.
        made.wait_for(3);
        for round in 1..10 {
            let others: Vec<_> = (0..50).map(|x| plain.remote(x)).collect();
            ray::get(others).unwrap();
            assert!(made.count() <= 2 + round, "{} items after {round} rounds", made.count());
            let item = stream.next().unwrap();
            assert_eq!(ray::get(item).unwrap(), round - 1);
            made.wait_for(3 + round);
        }
        assert_eq!(stream.count(), 91);
        ray::shutdown().unwrap();
    });
}

#[remote(backpressure = 1)]
fn narrow(n: u64) -> impl Iterator<Item = u64> {
    0..n
}

#[test]
fn a_wait_for_the_end_of_the_task_lifts_the_bound() {
    engine();
    let stream = narrow.remote(500);
    let end = stream.completed();
    assert!(stream.completed() == end);
    ray::get(&end).unwrap();
    assert_eq!(stream.count(), 500);
    let stream = narrow.remote(500);
    futures::executor::block_on(stream.completed()).unwrap();
    let stream = narrow.remote(500);
    ray::wait([stream.completed()], 1).unwrap();
    assert_eq!(stream.count(), 500);
    // After the end, too.
    let mut stream = narrow.remote(1);
    stream.by_ref().for_each(drop);
    ray::get(stream.completed()).unwrap();
    let unbounded = narrow.options().backpressure(-1).remote(500);
    assert_eq!(unbounded.count(), 500);
}

#[test]
fn a_bound_of_zero_is_an_error() {
    engine();
    let mut stream = numbers.options().backpressure(0).remote(1);
    let error = ray::get(stream.next().unwrap()).unwrap_err();
    assert!(error.is_invalid_argument() && error.to_string().contains("backpressure"), "{error}");
    assert!(stream.next().is_none());
    assert!(numbers.options().backpressure(-2).try_remote(1).is_err());
}

#[test]
fn wait_takes_streams_and_gives_them_back() {
    engine();
    let gates = [Gate::new(), Gate::new()];
    let mut streams = Pending::from(gates.map(|gate| gated.remote(1, gate)).into_iter().collect::<Vec<_>>());
    let mut seen = Vec::new();
    let mut open = gates.into_iter();
    while !streams.is_empty() {
        let (ready, rest) = ray::wait(streams, ray::first(1).timeout(PATIENCE)).unwrap();
        assert_eq!(ready.len(), 1);
        streams = rest;
        for mut stream in ready {
            assert!(stream.next_ready() || stream.is_finished());
            if let Some(item) = stream.next() {
                seen.push(ray::get(item).unwrap());
                streams.push(stream);
            }
        }
        if seen.len() >= 2
            && let Some(gate) = open.next()
        {
            gate.open();
        }
    }
    assert_eq!(seen, [0, 0, 1, 1]);
    assert!(matches!(ray::wait([numbers.remote(1)], 2), Err(error) if error.is_invalid_argument()));
}

#[test]
fn merged_streams_yield_items_as_they_come() {
    engine();
    let gate = Gate::new();
    let mut merged = ray::merge([gated.remote(0, gate), gated.remote(0, Gate::new()), numbers.remote(3)]);
    let first: Vec<ObjectRef<u64>> = merged.by_ref().take(3).collect();
    assert_eq!(ray::get(first).unwrap(), [0, 1, 2]);
    gate.open();
    assert_eq!(ray::get(merged.next().unwrap()).unwrap(), 0);
    drop(merged);
    assert_eq!(ray::merge([numbers.remote(300), numbers.remote(300)]).count(), 600);
    assert!(ray::merge(Vec::<ObjectRefStream<u64>>::new()).next().is_none());
    let count = futures::executor::block_on(async {
        futures::StreamExt::count(ray::merge([numbers.remote(300), later.remote(vec![1; 200])])).await
    });
    assert_eq!(count, 500);
}

#[test]
fn a_stream_can_be_read_on_another_thread() {
    engine();
    let stream = numbers.remote(1000);
    let sum: u64 = std::thread::spawn(|| values(stream).into_iter().sum()).join().unwrap();
    assert_eq!(sum, 499_500);
}

#[remote(local)]
fn copies<T: Clone>(value: T, n: usize) -> impl Iterator<Item = T> {
    std::iter::repeat_n(value, n)
}

#[test]
fn a_generic_function_can_make_a_stream() {
    engine();
    assert_eq!(values(copies.remote(7_u8, 2)), [7, 7]);
}

#[remote]
fn total(xs: Vec<u64>) -> u64 {
    xs.iter().sum()
}

#[test]
fn items_are_arguments_of_other_tasks() {
    engine();
    let items: Vec<_> = numbers.remote(10).collect();
    assert_eq!(ray::get(total.remote(&items)).unwrap(), 45);
    let next = numbers.remote(10).map(|item| plain.remote(item)).collect::<Vec<_>>();
    assert_eq!(ray::get(next).unwrap(), (0..10).collect::<Vec<_>>());
}

/// Its bytes cannot be decoded.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Lost {
    kept: u64,
    #[serde(skip_serializing)]
    left_out: u64,
}

#[remote]
fn lossy(n: u64) -> impl Iterator<Item = Lost> {
    (0..n).map(|x| Lost { kept: x, left_out: x }).inspect(|lost| assert_eq!(lost.kept, lost.left_out))
}

#[test]
fn strict_mode_checks_each_item() {
    let environment = [("RAY_STRICT", "1")];
    in_child_with("streams::strict_mode_checks_each_item", &environment, || {
        ray::init().unwrap();
        let mut stream = lossy.remote(3);
        let error = ray::get(stream.next().unwrap()).unwrap_err();
        assert!(error.kind() == ErrorKind::Serialization && error.to_string().contains("left_out"), "{error}");
        assert!(stream.next().is_none());
    });
}

#[test]
fn streams_are_refused_where_bodies_run_in_other_processes() {
    let environment = [("RAY_TEST_EXECUTOR", "processes")];
    in_child_with("streams::streams_are_refused_where_bodies_run_in_other_processes", &environment, || {
        engine();
        let mut stream = numbers.remote(1);
        let error = ray::get(stream.next().unwrap()).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("return a `Vec`"), "{error}");
        assert!(stream.next().is_none() && numbers.try_remote(1).is_err());
    });
}
