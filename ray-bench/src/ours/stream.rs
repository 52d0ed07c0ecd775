//! The streams and the queue of `ray`.

use std::thread;

use futures::{Stream, StreamExt};
use ray::{remote, util::Queue};

use super::engine;
use crate::{
    callers::async_callers,
    measure::Contender,
    workload::stream::{BOUND, ITEMS, time, time_async},
};

#[remote]
fn numbers() -> impl Iterator<Item = u64> {
    0..ITEMS
}

#[remote]
fn numbers_async() -> impl Stream<Item = u64> {
    futures::stream::iter(0..ITEMS)
}

/// A task yields, the caller takes each item and gets its value.
pub(crate) fn stream() -> Vec<Contender> {
    engine();
    let plain = Contender::new("ray", || {
        time(|| {
            let mut sum = 0;
            for item in numbers.remote() {
                sum += ray::get(item).expect("the body does not fail");
            }
            sum
        })
    });
    let mut all = vec![plain];
    all.extend(async_callers("ray", || {
        time_async(async {
            let mut items = numbers_async.remote().stream();
            let mut sum = 0;
            while let Some(item) = items.next().await {
                sum += item.await.expect("the body does not fail");
            }
            sum
        })
    }));
    all
}

/// A thread or a task puts, the caller gets.
pub(crate) fn queue() -> Vec<Contender> {
    engine();
    let open = || Queue::bounded(BOUND).expect("the capacity is not 0");
    let plain = Contender::new("ray", move || {
        time(|| {
            let queue = open();
            let puts = queue.clone();
            let producer = thread::spawn(move || (0..ITEMS).try_for_each(|item| puts.put(item)));
            let sum = (0..ITEMS).map(|_| queue.get().expect("the queue lives")).sum();
            producer.join().expect("the producer ends").expect("the queue lives");
            sum
        })
    });
    let mut all = vec![plain];
    all.extend(async_callers("ray", move || {
        time_async(async move {
            let queue = open();
            let puts = queue.clone();
            let producer = tokio::spawn(async move {
                for item in 0..ITEMS {
                    puts.put_async(item).await?;
                }
                Ok::<_, ray::Error>(())
            });
            let mut sum = 0;
            for _ in 0..ITEMS {
                sum += queue.get_async().await.expect("the queue lives");
            }
            producer.await.expect("the producer ends").expect("the queue lives");
            sum
        })
    }));
    all
}
