//! Bounded channels from one producer to one consumer. In the sync rows both are plain threads, in the async rows both are tasks of
//! the caller's runtime.

use std::{future::Future, thread};

use tokio::sync::mpsc;

use crate::{
    callers::async_callers,
    measure::Contender,
    workload::stream::{BOUND, ITEMS, time, time_async},
};

/// A bounded channel of numbers.
pub(crate) trait Bounded: 'static {
    type Sender: Send + 'static;
    type Receiver: Send + 'static;

    fn open(bound: usize) -> (Self::Sender, Self::Receiver);
    fn send(sender: &Self::Sender, item: u64);
    /// None: the sender was dropped.
    fn recv(receiver: &mut Self::Receiver) -> Option<u64>;
}

/// A bounded channel for async code.
pub(crate) trait AsyncBounded: Bounded {
    type AsyncSender: Send + 'static;
    type AsyncReceiver: Send + 'static;

    fn open_async(bound: usize) -> (Self::AsyncSender, Self::AsyncReceiver);
    fn send_async(sender: &Self::AsyncSender, item: u64) -> impl Future<Output = ()> + Send;
    fn recv_async(receiver: &mut Self::AsyncReceiver) -> impl Future<Output = Option<u64>> + Send;
}

/// A thread sends, the caller's thread receives.
pub(crate) fn sync<C: Bounded>(who: &str) -> Contender {
    Contender::new(who, || {
        time(|| {
            let (sender, mut receiver) = C::open(BOUND);
            let producer = thread::spawn(move || (0..ITEMS).for_each(|item| C::send(&sender, item)));
            let sum = std::iter::from_fn(|| C::recv(&mut receiver)).sum();
            producer.join().expect("the producer ends");
            sum
        })
    })
}

/// A task sends, the caller's task receives.
pub(crate) fn awaiting<C: AsyncBounded>(who: &str) -> [Contender; 2] {
    async_callers(who, || {
        time_async(async {
            let (sender, mut receiver) = C::open_async(BOUND);
            let producer = tokio::spawn(async move {
                for item in 0..ITEMS {
                    C::send_async(&sender, item).await;
                }
            });
            let mut sum = 0;
            while let Some(item) = C::recv_async(&mut receiver).await {
                sum += item;
            }
            producer.await.expect("the producer ends");
            sum
        })
    })
}

const OPEN: &str = "the receiver lives until the sender is dropped";

/// tokio's bounded mpsc channel.
pub(crate) enum Tokio {}

impl Bounded for Tokio {
    type Sender = mpsc::Sender<u64>;
    type Receiver = mpsc::Receiver<u64>;

    fn open(bound: usize) -> (Self::Sender, Self::Receiver) {
        mpsc::channel(bound)
    }

    fn send(sender: &Self::Sender, item: u64) {
        sender.blocking_send(item).expect(OPEN);
    }

    fn recv(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.blocking_recv()
    }
}

impl AsyncBounded for Tokio {
    type AsyncSender = mpsc::Sender<u64>;
    type AsyncReceiver = mpsc::Receiver<u64>;

    fn open_async(bound: usize) -> (Self::AsyncSender, Self::AsyncReceiver) {
        mpsc::channel(bound)
    }

    async fn send_async(sender: &Self::AsyncSender, item: u64) {
        sender.send(item).await.expect(OPEN);
    }

    async fn recv_async(receiver: &mut Self::AsyncReceiver) -> Option<u64> {
        receiver.recv().await
    }
}

/// crossbeam's bounded channel, which has no async methods.
pub(crate) enum Crossbeam {}

impl Bounded for Crossbeam {
    type Sender = crossbeam_channel::Sender<u64>;
    type Receiver = crossbeam_channel::Receiver<u64>;

    fn open(bound: usize) -> (Self::Sender, Self::Receiver) {
        crossbeam_channel::bounded(bound)
    }

    fn send(sender: &Self::Sender, item: u64) {
        sender.send(item).expect(OPEN);
    }

    fn recv(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().ok()
    }
}

/// flume's bounded channel.
pub(crate) enum Flume {}

impl Bounded for Flume {
    type Sender = flume::Sender<u64>;
    type Receiver = flume::Receiver<u64>;

    fn open(bound: usize) -> (Self::Sender, Self::Receiver) {
        flume::bounded(bound)
    }

    fn send(sender: &Self::Sender, item: u64) {
        sender.send(item).expect(OPEN);
    }

    fn recv(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().ok()
    }
}

impl AsyncBounded for Flume {
    type AsyncSender = flume::Sender<u64>;
    type AsyncReceiver = flume::Receiver<u64>;

    fn open_async(bound: usize) -> (Self::AsyncSender, Self::AsyncReceiver) {
        flume::bounded(bound)
    }

    async fn send_async(sender: &Self::AsyncSender, item: u64) {
        sender.send_async(item).await.expect(OPEN);
    }

    async fn recv_async(receiver: &mut Self::AsyncReceiver) -> Option<u64> {
        receiver.recv_async().await.ok()
    }
}

/// kanal's bounded channel.
pub(crate) enum Kanal {}

impl Bounded for Kanal {
    type Sender = kanal::Sender<u64>;
    type Receiver = kanal::Receiver<u64>;

    fn open(bound: usize) -> (Self::Sender, Self::Receiver) {
        kanal::bounded(bound)
    }

    fn send(sender: &Self::Sender, item: u64) {
        sender.send(item).expect(OPEN);
    }

    fn recv(receiver: &mut Self::Receiver) -> Option<u64> {
        receiver.recv().ok()
    }
}

impl AsyncBounded for Kanal {
    type AsyncSender = kanal::AsyncSender<u64>;
    type AsyncReceiver = kanal::AsyncReceiver<u64>;

    fn open_async(bound: usize) -> (Self::AsyncSender, Self::AsyncReceiver) {
        kanal::bounded_async(bound)
    }

    async fn send_async(sender: &Self::AsyncSender, item: u64) {
        sender.send(item).await.expect(OPEN);
    }

    async fn recv_async(receiver: &mut Self::AsyncReceiver) -> Option<u64> {
        receiver.recv().await.ok()
    }
}
