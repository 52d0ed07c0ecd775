//! Streams that end early: errors, panics, cancellations, dropped streams, retries and shutdowns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ray::{ErrorKind, ObjectRefStream, TakeError, Yielder, remote};

use crate::support::{Gate, Tally, engine, flat, in_child, in_child_with};

#[remote]
fn endless(made: Tally) -> impl Iterator<Item = u64> {
    (0..).inspect(move |_| {
        made.add();
    })
}

#[remote]
fn fails_after(n: u64, panics: bool) -> impl Iterator<Item = u64> {
    (0..=n).inspect(move |x| assert!(*x < n || !panics, "no {n}"))
}

#[remote]
fn error_after(out: Yielder<u64>, n: u64) -> Result<(), String> {
    for x in 0..n {
        out.push(x).map_err(|error| error.to_string())?;
    }
    Err(format!("no {n}"))
}

#[test]
fn an_error_is_the_last_item() {
    engine();
    for mut stream in [fails_after.remote(2, true), error_after.remote(2)] {
        let first: Vec<_> = stream.by_ref().take(2).collect();
        assert_eq!(ray::get(first).unwrap(), [0, 1]);
        let error = ray::get(stream.next().unwrap()).unwrap_err();
        assert!(error.to_string().contains("no 2"), "{error}");
        assert!(stream.next().is_none() && stream.is_finished());
        assert!(ray::get(stream.completed()).unwrap_err().to_string().contains("no 2"));
    }
}

#[test]
fn a_failed_argument_is_the_only_item() {
    engine();
    let failed = ray::task(|| -> Tally { panic!("no tally") }).remote();
    let mut stream = endless.remote(failed);
    assert!(ray::get(stream.next().unwrap()).is_err());
    assert!(stream.next().is_none());
}

#[test]
fn a_cancelled_task_ends_its_stream() {
    engine();
    let made = Tally::new();
    let mut stream = endless.remote(made);
    // The producer waits for its consumer.
    made.wait_for(65);
    stream.cancel().unwrap();
    let items: Vec<_> = stream.by_ref().collect();
    assert_eq!(items.len(), 65);
    assert!(ray::get(items.into_iter().next_back().unwrap()).unwrap_err().is_cancelled());
    assert!(ray::get(stream.completed()).unwrap_err().is_cancelled());
    stream.cancel().unwrap();
}

#[remote]
async fn async_endless(out: Yielder<u64>, dropped: Tally) -> ray::Result<()> {
    struct OnDrop(Tally);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.add();
        }
    }
    let _guard = OnDrop(dropped);
    for x in 0.. {
        out.push_async(x).await?;
    }
    Ok(())
}

#[test]
fn a_cancelled_async_task_ends_its_stream() {
    engine();
    let dropped = Tally::new();
    let mut stream = async_endless.remote(dropped);
    assert_eq!(ray::get(stream.next().unwrap()).unwrap(), 0);
    stream.cancel().unwrap();
    assert!(ray::get(stream.last().unwrap()).unwrap_err().is_cancelled());
    dropped.wait_for(1);
}

/// Counts the values that are alive.
struct Live(Arc<AtomicU64>);

impl Live {
    fn new(count: &Arc<AtomicU64>) -> Live {
        count.fetch_add(1, Ordering::SeqCst);
        Live(Arc::clone(count))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[remote(local, backpressure = 4)]
fn lives(count: Arc<AtomicU64>, n: u64, made: Tally, gate: Gate) -> impl Iterator<Item = Live> {
    (0..n).map(move |x| {
        if x == 4 {
            // The items before are in the stream.
            made.add();
            gate.wait();
        }
        made.add();
        Live::new(&count)
    })
}

#[test]
fn a_dropped_stream_frees_its_items_and_its_task_goes_on() {
    engine();
    let (count, made, gate) = (Arc::new(AtomicU64::new(0)), Tally::new(), Gate::new());
    let mut stream = lives.remote(Arc::clone(&count), 1000, made, gate);
    let kept = stream.next().unwrap();
    made.wait_for(5);
    let end = stream.completed();
    drop(stream);
    assert_eq!(count.load(Ordering::SeqCst), 1, "only the item that was taken is left");
    gate.open();
    ray::get(end).unwrap();
    assert_eq!((made.count(), count.load(Ordering::SeqCst)), (1001, 1));
    drop(kept);
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[test]
fn the_drop_of_a_stream_can_cancel_its_task() {
    engine();
    let made = Tally::new();
    let stream = endless.remote(made).cancel_on_drop();
    made.wait_for(65);
    let end = stream.completed();
    drop(stream);
    assert!(ray::get(end).unwrap_err().is_cancelled());
    // After the end there is nothing to cancel.
    drop(fails_after.remote(1, false).cancel_on_drop());
}

#[remote]
fn until_closed(out: Yielder<u64>, ended: Tally) {
    let mut x = 0;
    while !out.is_closed() {
        if out.push(x).is_err() {
            break;
        }
        x += 1;
    }
    ended.add();
}

#[test]
fn a_producer_can_see_that_its_stream_was_dropped() {
    engine();
    let ended = Tally::new();
    drop(until_closed.remote(ended));
    ended.wait_for(1);
    until_closed.tell(ended);
    until_closed.options().name("told").tell(ended);
    ended.wait_for(3);
}

#[remote(retry_exceptions = true, max_retries = 3)]
fn flaky(out: Yielder<u64>, attempts: Tally) -> Result<(), String> {
    let attempt = attempts.add();
    for x in 0..10 {
        if x == 3 * attempt {
            return Err(format!("attempt {attempt}"));
        }
        out.push(x).map_err(|error| error.to_string())?;
    }
    Ok(())
}

#[test]
fn a_retry_skips_the_items_that_were_given() {
    engine();
    let attempts = Tally::new();
    let items: Vec<_> = flaky.remote(attempts).collect();
    assert_eq!(ray::get(items).unwrap(), (0..10).collect::<Vec<_>>());
    assert_eq!(attempts.count(), 4);
    let attempts = Tally::new();
    let mut stream = flaky.options().max_retries(1).remote(attempts);
    assert_eq!(ray::get(stream.by_ref().take(6).collect::<Vec<_>>()).unwrap(), [0, 1, 2, 3, 4, 5]);
    assert!(ray::get(stream.next().unwrap()).unwrap_err().to_string().contains("attempt 2"));
    assert!(stream.next().is_none());
}

#[remote]
fn keeps_its_yielder(out: Yielder<u64>, result: Tally, after: Gate) -> ray::Result<()> {
    out.push(1)?;
    std::thread::spawn(move || {
        after.wait();
        assert!(out.is_closed());
        assert!(out.push(2).unwrap_err().is_invalid_argument());
        result.add();
    });
    Ok(())
}

#[test]
fn items_after_the_end_of_the_body_are_refused() {
    engine();
    let (result, after) = (Tally::new(), Gate::new());
    assert_eq!(keeps_its_yielder.remote(result, after).count(), 1);
    after.open();
    result.wait_for(1);
}

#[remote]
async fn takes_blocking(n: u64) -> String {
    let item = fails_after.remote(n, false).next();
    ray::task(move || ray::get(item.unwrap()).unwrap_err().to_string()).remote().await.unwrap()
}

#[remote]
async fn pushes_blocking(out: Yielder<u64>) -> ray::Result<()> {
    for x in 0..100 {
        out.push(x)?;
    }
    Ok(())
}

#[test]
fn a_blocking_wait_in_an_async_body_is_an_error() {
    engine();
    let error = ray::get(takes_blocking.remote(10)).unwrap();
    assert!(error.contains("async"), "{error}");
    let last = pushes_blocking.remote().last().unwrap();
    let error = ray::get(last).unwrap_err();
    assert!(error.kind() == ErrorKind::BlockingInAsync && error.to_string().contains("push_async"), "{error}");
}

#[test]
fn a_cancelled_consumer_stops_waiting() {
    engine();
    let (made, gate, said) = (Tally::new(), Gate::new(), Tally::new());
    let consumer = ray::task(move || {
        let mut stream = lives.remote(Arc::new(AtomicU64::new(0)), 5, made, gate);
        stream.by_ref().take(4).for_each(drop);
        made.add();
        // The producer waits for the gate.
        let last = stream.next().unwrap().take();
        assert!(matches!(last, Err(TakeError::Failed(error)) if error.is_cancelled()));
        assert!(stream.next().is_none());
        said.add();
    })
    .remote();
    made.wait_for(6);
    ray::cancel(&consumer).unwrap();
    assert!(ray::get(consumer).unwrap_err().is_cancelled());
    said.wait_for(1);
    gate.open();
}

fn shut_down_with(stream: ObjectRefStream<u64>) {
    ray::shutdown().unwrap();
    let mut items: Vec<_> = stream.collect();
    let last = items.pop().unwrap();
    assert!(ray::get(last).unwrap_err().is_runtime_gone());
}

#[test]
fn a_shutdown_ends_streams() {
    in_child("streams_faults::a_shutdown_ends_streams", || {
        for round in 0..4 {
            ray::init_with(ray::Config::new().num_cpus(2)).unwrap();
            let (made, dropped) = (Tally::new(), Tally::new());
            let is_async = round % 2 == 1;
            let mut stream = if is_async { async_endless.remote(dropped) } else { endless.remote(made) };
            assert_eq!(ray::get(stream.next().unwrap()).unwrap(), 0);
            if round < 2 {
                // A producer that never waits.
                drop(endless.remote(Tally::new()));
            }
            if !is_async {
                made.wait_for(66);
            }
            shut_down_with(stream);
            if is_async {
                dropped.wait_for(1);
            }
        }
    });
}

#[test]
fn consumers_wake_at_a_shutdown() {
    in_child("streams_faults::consumers_wake_at_a_shutdown", || {
        ray::init_with(ray::Config::new().num_cpus(2)).unwrap();
        let (started, gate) = (Tally::new(), Gate::new());
        let stalled = move || ray::task(move || gate.wait()).remote();
        let one = stalled();
        let threads: Vec<_> = (0..3)
            .map(|kind| {
                let stream = behind.remote(&one);
                std::thread::spawn(move || {
                    started.add();
                    let last = match kind {
                        0 => stream.last(),
                        1 => futures::executor::block_on(futures::StreamExt::collect::<Vec<_>>(stream)).pop(),
                        _ => ray::merge([stream]).last(),
                    };
                    assert!(ray::get(last.unwrap()).unwrap_err().is_runtime_gone());
                })
            })
            .collect();
        started.wait_for(3);
        gate.open();
        ray::shutdown().unwrap();
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

#[remote]
fn behind((): ()) -> impl Iterator<Item = u64> {
    0..
}

#[test]
fn the_failure_of_a_dropped_stream_is_logged_once() {
    let said = in_child_with("streams_faults::the_failure_of_a_dropped_stream_is_logged_once", &[], || {
        ray::init_with(ray::Config::new().num_cpus(2)).unwrap();
        error_after.tell(1);
        let stream = error_after.remote(2);
        ray::wait([stream.completed()], 1).unwrap();
        let read = error_after.remote(3);
        assert!(ray::get(read.last().unwrap()).is_err());
        ray::shutdown().unwrap();
    });
    assert_eq!(said.stderr.matches("no 1").count(), 1, "{}", said.stderr);
    assert_eq!(said.stderr.matches("no 3").count(), 0, "{}", said.stderr);
}

#[test]
fn producers_that_occupy_all_threads_end_with_an_error() {
    in_child("streams_faults::producers_that_occupy_all_threads_end_with_an_error", || {
        ray::init_with(ray::Config::new().num_cpus(2).max_threads(2)).unwrap();
        // A producer whose stream was dropped would run on, for ever, on a CPU that the next one needs.
        let streams: Vec<_> = (0..4).map(|_| endless.remote(Tally::new()).cancel_on_drop()).collect();
        // In any order: a stream whose producer finds no thread, or that occupies one while the others need it.
        for mut stream in streams.into_iter().rev() {
            if ray::get(stream.next().unwrap()).is_ok() {
                let first: Vec<_> = stream.by_ref().take(64).collect();
                assert!(
                    first.iter().all(|item| ray::get(item).map_or_else(|error| error.kind() == ErrorKind::Threads, |_| true))
                );
            }
        }
        ray::shutdown().unwrap();
    });
}

#[test]
fn streams_leak_no_memory() {
    in_child("streams_faults::streams_leak_no_memory", || {
        ray::init_with(ray::Config::new().num_cpus(2).tips(false)).unwrap();
        flat("streams", 2000, 4 << 20, || {
            let made = Tally::new();
            let end = {
                let mut stream = error_after.remote(20);
                stream.by_ref().take(5).for_each(drop);
                stream.completed()
            };
            assert!(ray::get(end).is_err());
            assert_eq!(fails_after.remote(100, false).count(), 101);
            drop(fails_after.options().backpressure(1).remote(10, false));
            drop(endless.remote(made).cancel_on_drop());
            let stream = endless.remote(made);
            stream.cancel().unwrap();
            assert!(stream.count() < 70);
        });
        // The object for the end of the task does not keep the task.
        flat("ends", 4000, 1 << 20, || {
            let stream = error_after.remote(1);
            assert!(stream.completed() == stream.completed());
            assert!(ray::get(stream.completed()).is_err());
        });
        ray::shutdown().unwrap();
    });
}
