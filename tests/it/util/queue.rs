//! Queues: puts and gets, batches, errors, and how a queue travels.

use std::time::{Duration, Instant};

use ray::util::{GetError, PutBatchError, PutError, Queue, QueueActor};
use ray::{ActorState, ErrorKind, ObjectRef, remote};
use serde::{Deserialize, Serialize};

use crate::stage::{Token, alone, eventually, give, on_cluster};
use crate::support::{Tally, calls, engine};

const SHORT: Duration = Duration::from_millis(20);

#[remote(num_cpus = 0)]
fn produce(queue: Queue<u64>, from: u64, count: u64) -> ray::Result<()> {
    (from..from + count).try_for_each(|item| queue.put(item))
}

#[remote(num_cpus = 0)]
fn consume(queue: Queue<u64>, count: u64) -> ray::Result<Vec<u64>> {
    (0..count).map(|_| queue.get()).collect()
}

/// Items leave a queue in the order in which they were put, with one and with several handles.
#[test]
fn items_come_in_the_order_of_their_puts() {
    engine();
    let count = calls(20, 1000);
    for queue in [Queue::new(), Queue::bounded(1).unwrap(), Queue::bounded(7).unwrap()] {
        let producer = produce.remote(&queue, 0, count);
        let items = (0..count).map(|_| queue.get().unwrap());
        assert!(items.eq(0..count));
        let consumer = consume.remote(&queue, count);
        (0..count).for_each(|item| queue.put(item).unwrap());
        assert!(ray::get(consumer).unwrap().into_iter().eq(0..count));
        ray::get(producer).unwrap();
    }
}

/// A full queue refuses items at once or after the time-out, and gives them back. An empty queue has none.
#[test]
fn full_and_empty_queues() {
    engine();
    let queue = Queue::bounded(2).unwrap();
    assert_eq!((queue.size().unwrap(), queue.is_empty().unwrap(), queue.is_full().unwrap()), (0, true, false));
    assert!(matches!(queue.get_nowait(), Err(GetError::Empty)));
    assert!(matches!(queue.get_timeout(Duration::ZERO), Err(GetError::Empty)));
    let begin = Instant::now();
    assert!(matches!(queue.get_timeout(SHORT), Err(GetError::Empty)));
    assert!(begin.elapsed() >= SHORT);
    queue.put("first".to_owned()).unwrap();
    queue.put_timeout("second".to_owned(), SHORT).unwrap();
    assert_eq!((queue.size().unwrap(), queue.is_empty().unwrap(), queue.is_full().unwrap()), (2, false, true));
    let third = || "third".to_owned();
    assert!(matches!(queue.put_nowait(third()), Err(PutError::Full(item)) if item == third()));
    assert!(matches!(queue.put_timeout(third(), Duration::ZERO), Err(PutError::Full(item)) if item == third()));
    let begin = Instant::now();
    assert!(matches!(queue.put_timeout(third(), SHORT), Err(PutError::Full(item)) if item == third()));
    assert!(begin.elapsed() >= SHORT);
    assert_eq!(queue.get_nowait().unwrap(), "first");
    queue.put_nowait(third()).unwrap();
    assert_eq!(queue.get_timeout(SHORT).unwrap(), "second");
    assert_eq!(queue.get_timeout(Duration::MAX).unwrap(), third());
}

/// A batch is put or taken as a whole, or not at all.
#[test]
fn batches() {
    engine();
    let queue = Queue::bounded(3).unwrap();
    queue.put_nowait_batch([1, 2]).unwrap();
    let refused = queue.put_nowait_batch(vec![3, 4]).unwrap_err();
    assert!(matches!(&refused, PutBatchError::Full { items, size: 2 } if *items == [3, 4]), "{refused:?}");
    assert!(matches!(queue.get_nowait_batch(3), Err(GetError::Empty)));
    assert_eq!(queue.size().unwrap(), 2);
    queue.put_nowait_batch(std::iter::empty()).unwrap();
    assert_eq!(queue.get_nowait_batch(2).unwrap(), [1, 2]);
    assert_eq!(queue.get_nowait_batch(0).unwrap(), [0; 0]);
    let endless = Queue::new();
    endless.put_nowait_batch(0..1000).unwrap();
    assert!(endless.get_nowait_batch(1000).unwrap().into_iter().eq(0..1000));
    assert!(!endless.is_full().unwrap());
}

/// The errors of a queue have kinds of their own, and `?` converts them to `ray::Error`.
#[test]
fn errors_have_kinds() {
    engine();
    fn empty(queue: &Queue<u64>) -> ray::Result<u64> {
        Ok(queue.get_nowait()?)
    }
    fn full(queue: &Queue<u64>) -> ray::Result<()> {
        Ok(queue.put_timeout(2, SHORT)?)
    }
    fn full_batch(queue: &Queue<u64>) -> ray::Result<()> {
        Ok(queue.put_nowait_batch([2, 3])?)
    }
    #[remote]
    fn take(queue: Queue<u64>) -> ray::Result<u64> {
        Ok(queue.get_nowait()?)
    }
    let queue = Queue::bounded(1).unwrap();
    assert_eq!(empty(&queue).unwrap_err().kind(), ErrorKind::QueueEmpty);
    assert!(ray::get(take.remote(&queue)).unwrap_err().is_queue_empty());
    queue.put(1).unwrap();
    let error = full(&queue).unwrap_err();
    assert!(error.is_queue_full() && error.to_string() == "the queue is full", "{error}");
    let error = full_batch(&queue).unwrap_err();
    assert!(error.is_queue_full() && error.to_string().contains("no room for 2 items: it has 1"), "{error}");
}

/// A capacity of zero is refused, because no item could ever be put.
#[test]
fn capacity_zero_is_refused() {
    engine();
    let error = Queue::<u64>::bounded(0).unwrap_err();
    assert!(error.is_invalid_argument() && error.to_string().contains("`Queue::new()`"), "{error}");
}

/// A queue is an argument, a part of a value, a result, and an object.
#[test]
fn a_queue_travels() {
    #[derive(Clone, Debug, Serialize, Deserialize)]
    struct Job {
        input: u64,
        output: Queue<u64>,
    }
    #[remote]
    fn run(jobs: Vec<Job>) -> ray::Result<()> {
        jobs.into_iter().try_for_each(|job| job.output.put(2 * job.input))
    }
    #[remote]
    fn run_borrowed(job: &Job) -> ray::Result<()> {
        job.output.put(3 * job.input)
    }
    #[remote]
    fn create() -> ray::Result<Queue<u64>> {
        let queue = Queue::bounded(5)?;
        queue.put(7)?;
        Ok(queue)
    }
    engine();
    let output = Queue::new();
    ray::get(run.remote((1..=3).map(|input| Job { input, output: output.clone() }).collect::<Vec<_>>())).unwrap();
    assert_eq!(output.get_nowait_batch(3).unwrap(), [2, 4, 6]);
    ray::get(run_borrowed.remote(ray::put(Job { input: 5, output: output.clone() }))).unwrap();
    assert_eq!(output.get().unwrap(), 15);
    let made = ray::get(create.remote()).unwrap();
    assert_eq!(made.get().unwrap(), 7);
    let stored = ray::put(made.clone());
    assert_eq!(ray::get(stored).unwrap(), made);
    assert_ne!(made, output);
    // A queue of queues: a caller sends the place of the answer.
    let requests = Queue::new();
    requests.put(output.clone()).unwrap();
    requests.get().unwrap().put(9).unwrap();
    assert_eq!(output.get().unwrap(), 9);
}

/// References and values that are no `Clone` are items.
#[test]
fn references_and_values_are_items() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Unclonable(Vec<String>);
    #[remote]
    fn put_reference(queue: Queue<ObjectRef<i32>>) -> ray::Result<()> {
        queue.put(give.remote(42))
    }
    engine();
    let queue = Queue::new();
    queue.put(Unclonable(vec!["one".to_owned()])).unwrap();
    assert_eq!(queue.get().unwrap(), Unclonable(vec!["one".to_owned()]));
    let references = Queue::new();
    references.put(give.remote(1)).unwrap();
    ray::get(put_reference.remote(&references)).unwrap();
    assert_eq!(ray::get(references.get_nowait_batch(2).unwrap()).unwrap(), [1, 42]);
}

/// Several producers and consumers share a small queue. Each item is received once.
#[test]
fn many_producers_and_consumers() {
    engine();
    let (each, of_each) = (4, calls(10, 500));
    let queue = Queue::bounded(3).unwrap();
    let consumers: Vec<_> = (0..each).map(|_| consume.remote(&queue, of_each)).collect();
    let producers: Vec<_> = (0..each).map(|number| produce.remote(&queue, number * of_each, of_each)).collect();
    let mut received = ray::get(consumers).unwrap().concat();
    ray::get(producers).unwrap();
    received.sort_unstable();
    assert!(received.into_iter().eq(0..each * of_each));
    assert!(queue.is_empty().unwrap());
}

/// Async bodies and other executors use the methods with `async` in their names.
#[test]
fn queues_in_async_code() {
    #[remote]
    async fn forward(from: Queue<u64>, to: Queue<u64>, count: u64) -> ray::Result<()> {
        for _ in 0..count {
            to.put_async(from.get_async().await? + 1).await?;
        }
        assert!(to.size_async().await? <= 2);
        Ok(())
    }
    engine();
    let count = calls(10, 200);
    let (first, second) = (Queue::bounded(2).unwrap(), Queue::bounded(2).unwrap());
    let forwarded = forward.remote(&first, &second, count);
    let producer = produce.remote(&first, 0, count);
    futures::executor::block_on(async {
        for item in 1..=count {
            assert_eq!(second.get_async().await.unwrap(), item);
        }
        assert!(matches!(second.get_nowait_async().await, Err(GetError::Empty)));
        second.put_nowait_batch_async([1, 2]).await.unwrap();
        assert!(matches!(second.put_nowait_async(3).await, Err(PutError::Full(3))));
        assert!(matches!(second.put_nowait_batch_async([3]).await, Err(PutBatchError::Full { .. })));
        assert_eq!(second.get_nowait_batch_async(2).await.unwrap(), [1, 2]);
    });
    ray::get((forwarded, producer)).unwrap();
}

/// A get that would block an async body is an error that says what to do.
#[test]
fn a_blocking_get_in_an_async_body_is_an_error() {
    #[remote]
    async fn get(queue: Queue<u64>) -> ray::Result<u64> {
        queue.get()
    }
    #[remote]
    async fn put(queue: Queue<u64>) -> ray::Result<()> {
        queue.put(2)
    }
    engine();
    let queue = Queue::bounded(1).unwrap();
    let error = ray::get(get.remote(&queue)).unwrap_err();
    assert!(error.is_blocking_in_async(), "{error}");
    queue.put(1).unwrap();
    let error = ray::get(put.remote(&queue)).unwrap_err();
    assert!(error.is_blocking_in_async(), "{error}");
    assert_eq!((queue.get().unwrap(), queue.size().unwrap()), (1, 0), "the callers have left nothing");
}

/// A queue whose actor has a name is found by it. Items of another type are refused.
#[test]
fn a_queue_with_a_name() {
    engine();
    let jobs: Queue<u64> = QueueActor::options().name("util.jobs").remote(2).into();
    jobs.put(7).unwrap();
    let actor = ray::get_actor::<QueueActor>("util.jobs").unwrap().upgrade().unwrap();
    let found: Queue<u64> = actor.clone().into();
    assert_eq!(found, jobs);
    assert_eq!(found.get().unwrap(), 7);
    jobs.put(8).unwrap();
    let wrong: Queue<String> = actor.into();
    let error = wrong.get().unwrap_err();
    assert!(error.is_serialization(), "{error}");
}

/// When the last handle is dropped, the actor ends and its items are dropped.
#[test]
fn a_queue_without_handles_ends() {
    #[derive(Serialize, Deserialize)]
    struct Item(Tally);
    impl Drop for Item {
        fn drop(&mut self) {
            drop(Token(self.0));
        }
    }
    alone(|| {
        let dropped = Tally::new();
        let actor = QueueActor::remote(0);
        let weak = actor.downgrade();
        let queue: Queue<Item> = actor.into();
        for _ in 0..3 {
            queue.put(Item(dropped)).unwrap();
        }
        let others = (queue.clone(), ray::put(queue.clone()));
        let before = dropped.count();
        drop(queue.get().unwrap());
        assert!(dropped.count() > before, "the item is moved out");
        drop((queue, others));
        eventually("the actor has ended", || weak.state() == ActorState::Dead);
        if !on_cluster() {
            // With calls, the items that were sent are bytes. The state of a dead actor may be dropped a moment later.
            let all = if crate::support::strict() { 4 } else { 3 };
            eventually("the items are dropped", || dropped.count() == all);
        }
    });
}
