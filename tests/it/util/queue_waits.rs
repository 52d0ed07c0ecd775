//! Queues: what ends a wait, and that a caller that stops waiting takes nothing with it.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use ray::util::{GetError, PutError, Queue, QueueActor};
use ray::{ActorState, ErrorKind, remote};

use super::{a_caller_waits, nobody_waits};
use crate::stage::{alone, alone_on, apart, eventually};
use crate::support::{Tally, calls, engine, flat, init_with, rounds};

#[remote]
fn get_one(queue: Queue<u64>) -> ray::Result<u64> {
    queue.get()
}

#[remote]
fn put_one(queue: Queue<u64>, item: u64) -> ray::Result<()> {
    queue.put(item)
}

/// A body that waits lends its CPU, so that the task it waits for can run.
#[test]
fn a_waiting_body_lends_its_cpu() {
    alone_on(1, || {
        let queue = Queue::bounded(1).unwrap();
        let getter = get_one.remote(&queue);
        let putters = [1, 2, 3].map(|item| put_one.remote(&queue, item));
        let mut items = vec![ray::get(getter).unwrap()];
        items.extend(ray::get([(); 2].map(|()| get_one.remote(&queue))).unwrap());
        ray::get(putters).unwrap();
        items.sort_unstable();
        assert_eq!(items, [1, 2, 3]);
    });
}

/// A body whose wait ends with its cancel takes no item, and puts none.
#[test]
fn a_cancelled_wait_takes_no_item() {
    #[remote]
    fn put_in_vain(queue: Queue<u64>, item: u64, withdrawn: Tally) {
        assert!(queue.put(item).unwrap_err().is_cancelled());
        withdrawn.add();
    }
    alone_on(4, || {
        let queue = Queue::bounded(1).unwrap();
        let getter = get_one.remote(&queue);
        a_caller_waits(1);
        ray::cancel(&getter).unwrap();
        assert!(ray::get(getter).unwrap_err().is_cancelled());
        nobody_waits();
        queue.put(1).unwrap();
        let withdrawn = Tally::new();
        let putter = put_in_vain.remote(&queue, 2, withdrawn);
        a_caller_waits(1);
        ray::cancel(&putter).unwrap();
        assert!(ray::get(putter).unwrap_err().is_cancelled());
        // The body withdraws its item after its wait has ended.
        withdrawn.wait_for(1);
        assert_eq!(queue.get().unwrap(), 1);
        assert!(matches!(queue.get_nowait(), Err(GetError::Empty)));
        queue.put(3).unwrap();
        assert_eq!(queue.get().unwrap(), 3);
    });
}

/// A method whose wait ends with the kill of its actor takes no item.
#[test]
fn a_wait_in_a_killed_actor_takes_no_item() {
    #[remote]
    struct Getter(Queue<u64>);
    #[remote]
    impl Getter {
        pub fn new(queue: Queue<u64>) -> Self {
            Getter(queue)
        }
        pub fn next(&mut self) -> ray::Result<u64> {
            self.0.get()
        }
    }
    alone(|| {
        let queue = Queue::new();
        for round in 0..20 {
            let getter = Getter::remote(&queue);
            let next = getter.next.remote();
            a_caller_waits(1);
            ray::kill(&getter).unwrap();
            assert!(ray::get(next).unwrap_err().is_actor_died());
            nobody_waits();
            queue.put(round).unwrap();
            assert_eq!(queue.get().unwrap(), round);
        }
    });
}

/// A shutdown of the queue ends all waits, of threads, tasks and futures, with an error that says so.
#[test]
fn a_shutdown_ends_all_waits() {
    #[remote]
    async fn get_async(queue: Queue<u64>) -> ray::Result<u64> {
        queue.get_async().await
    }
    alone(|| {
        let queue = Queue::<u64>::new();
        let threads: Vec<_> = (0..4)
            .map(|_| {
                thread::spawn({
                    let queue = queue.clone();
                    move || queue.get()
                })
            })
            .collect();
        let tasks: Vec<_> = (0..4).map(|_| get_one.options().num_cpus(0.0).remote(&queue)).collect();
        let futures: Vec<_> = (0..4).map(|_| get_async.remote(&queue)).collect();
        if !crate::stage::on_cluster() {
            a_caller_waits(8);
        }
        queue.shutdown().unwrap();
        for error in threads.into_iter().map(|thread| thread.join().unwrap().unwrap_err()) {
            assert!(error.is_actor_died(), "{error}");
        }
        for error in tasks.into_iter().chain(futures).map(|task| ray::get(task).unwrap_err()) {
            assert!(error.is_actor_died(), "{error}");
        }
        assert!(queue.put(1).unwrap_err().is_actor_died());
        assert!(queue.get().unwrap_err().is_actor_died());
        assert!(queue.size().unwrap_err().is_actor_died());
        assert!(matches!(queue.get_nowait(), Err(GetError::Failed(error)) if error.is_actor_died()));
        assert!(matches!(queue.put_nowait(1), Err(PutError::Failed(error)) if error.is_actor_died()));
        assert!(futures::executor::block_on(queue.get_async()).unwrap_err().is_actor_died());
        queue.shutdown().unwrap();
    });
}

/// After the kill of its actor a queue is dead at once, also for handles that have used it.
#[test]
fn a_queue_whose_actor_was_killed() {
    engine();
    let actor = QueueActor::remote(0);
    let queue: Queue<u64> = actor.clone().into();
    queue.put(1).unwrap();
    let other = queue.clone();
    assert_eq!(other.get().unwrap(), 1);
    queue.put(2).unwrap();
    ray::kill(&actor).unwrap();
    for queue in [&queue, &other] {
        assert!(queue.get().unwrap_err().is_actor_died());
        assert!(queue.put(3).unwrap_err().is_actor_died());
    }
}

/// A restart of the actor loses the items. Later calls work again.
#[test]
fn a_queue_that_restarts_is_empty() {
    engine();
    let actor = QueueActor::options().max_restarts(1).remote(1);
    let queue: Queue<u64> = actor.clone().into();
    queue.put(1).unwrap();
    ray::kill_and_restart(&actor).unwrap();
    eventually("the actor has restarted", || queue.size().is_ok_and(|size| size == 0));
    queue.put(2).unwrap();
    assert!(matches!(queue.put_nowait(3), Err(PutError::Full(3))));
    assert_eq!(queue.get().unwrap(), 2);
}

/// A wait whose queue restarts is an error, and does not hang.
#[test]
fn a_wait_while_the_queue_restarts() {
    alone(|| {
        let actor = QueueActor::options().max_restarts(1).remote(1);
        let queue: Queue<u64> = actor.clone().into();
        let getter = get_one.remote(&queue);
        a_caller_waits(1);
        ray::kill_and_restart(&actor).unwrap();
        let error = ray::get(getter).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ActorUnavailable, "{error}");
        queue.put(1).unwrap();
        assert_eq!(queue.get().unwrap(), 1);
    });
}

/// The end of the engine ends the waits of threads, and queues of the former engine stay errors.
#[test]
fn the_end_of_the_engine_ends_all_waits() {
    apart(|| {
        init_with(ray::Config::new()).unwrap();
        let queue = Queue::<u64>::bounded(1).unwrap();
        let getters: Vec<_> = (0..3)
            .map(|_| {
                thread::spawn({
                    let queue = queue.clone();
                    move || queue.get()
                })
            })
            .collect();
        let full = Queue::<u64>::bounded(1).unwrap();
        full.put(1).unwrap();
        let putters: Vec<_> = (0..3)
            .map(|_| {
                thread::spawn({
                    let full = full.clone();
                    move || full.put(2)
                })
            })
            .collect();
        a_caller_waits(6);
        ray::shutdown().unwrap();
        for getter in getters {
            assert!(getter.join().unwrap().unwrap_err().is_runtime_gone());
        }
        for putter in putters {
            assert!(putter.join().unwrap().unwrap_err().is_runtime_gone());
        }
        init_with(ray::Config::new()).unwrap();
        assert!(full.get().unwrap_err().is_runtime_gone());
        assert!(full.put_nowait(1).is_err());
        let fresh = Queue::new();
        fresh.put(5).unwrap();
        assert_eq!(fresh.get().unwrap(), 5);
    });
}

fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// A future that is dropped while it waits takes no item, and puts none.
#[test]
fn a_dropped_future_takes_no_item() {
    engine();
    let queue = Queue::bounded(1).unwrap();
    assert_eq!(queue.size().unwrap(), 0);
    for round in 0..calls(3, 100) {
        assert!(poll_once(queue.get_async()).is_pending());
        queue.put(round).unwrap();
        // With calls, the request of the dropped future may still be on its way, and give the item back later.
        assert_eq!(queue.get().unwrap(), round);
    }
}

/// Getters with short time-outs receive each item once, whatever happens first: the item or the time-out.
#[test]
fn time_outs_lose_no_items() {
    engine();
    let count: u64 = calls(20, 3000);
    let queue = Queue::bounded(2).unwrap();
    let getters: Vec<_> = (0..3)
        .map(|number| {
            let queue = queue.clone();
            thread::spawn(move || {
                let mut received = Vec::new();
                loop {
                    match queue.get_timeout(Duration::from_micros(50 * number)) {
                        Ok(u64::MAX) => return received,
                        Ok(item) => received.push(item),
                        Err(GetError::Empty) => thread::yield_now(),
                        Err(GetError::Failed(error)) => panic!("{error}"),
                    }
                }
            })
        })
        .collect();
    (0..count).chain([u64::MAX; 3]).for_each(|item| queue.put(item).unwrap());
    let mut received: Vec<_> = getters.into_iter().flat_map(|getter| getter.join().unwrap()).collect();
    received.sort_unstable();
    assert!(received.into_iter().eq(0..count));
}

/// Any number of callers may wait at once. Each receives one item.
#[test]
fn many_callers_wait() {
    #[remote]
    async fn begin_and_get(queue: Queue<u64>, begun: Tally) -> ray::Result<u64> {
        begun.add();
        queue.get_async().await
    }
    engine();
    let count = calls(6, 3000);
    let (queue, begun) = (Queue::new(), Tally::new());
    let getters: Vec<_> = (0..count).map(|_| begin_and_get.remote(&queue, begun)).collect();
    begun.wait_for(count);
    (0..count).for_each(|item| queue.put(item).unwrap());
    let mut received = ray::get(getters).unwrap();
    received.sort_unstable();
    assert!(received.into_iter().eq(0..count));
    assert!(queue.is_empty().unwrap());
}

/// Puts and gets, waits that time out, and queues themselves leave no memory.
#[test]
fn queues_leak_no_memory() {
    alone(|| {
        let queue = Queue::<Vec<u64>>::bounded(1).unwrap();
        let most = 512 * 1024;
        flat("put and get", calls(200, rounds(20_000, 200_000)), most, || {
            queue.put(vec![7; 100]).unwrap();
            drop(queue.get().unwrap());
        });
        flat("waits that time out", calls(50, rounds(1_000, 20_000)), most, || {
            assert!(queue.get_timeout(Duration::from_nanos(1)).is_err());
        });
        flat("dropped futures", calls(4, rounds(200, 5_000)), most, || {
            let actor = QueueActor::remote(0);
            let weak = actor.downgrade();
            let queue = Queue::<u64>::from(actor);
            for _ in 0..10 {
                assert!(poll_once(queue.get_async()).is_pending());
            }
            drop(queue);
            // Its calls have ended then.
            eventually("the actor has ended", || weak.state() == ActorState::Dead);
        });
        flat("queues", calls(10, rounds(1_000, 20_000)), most, || {
            let queue = Queue::new();
            queue.put(vec![7; 1000]).unwrap();
        });
    });
}
