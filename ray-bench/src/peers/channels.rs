//! The channel libraries, as mailboxes of hand-written actors.
//!
//! tokio's channel comes with tokio's oneshot, as in its tutorial. kanal and flume come with the `oneshot` crate, the
//! fastest of its kind. [`KanalReply`] also replies through a kanal channel, whose receiver spins before it parks.

use std::future::Future;

use tokio::sync::{mpsc, oneshot as tokio_oneshot};

use super::by_hand::{Mailbox, Message};

/// Defines the replies with the `oneshot` crate.
macro_rules! reply_by_oneshot {
    () => {
        type Reply = oneshot::Sender<u64>;
        type Pending = oneshot::Receiver<u64>;

        fn reply() -> (Self::Reply, Self::Pending) {
            oneshot::channel()
        }

        fn reply_async() -> (Self::Reply, impl Future<Output = u64> + Send + 'static) {
            let (sender, receiver) = oneshot::async_channel();
            (sender, async { receiver.await.expect("the actor replies") })
        }

        fn answer(reply: Self::Reply, value: u64) {
            reply.send(value).expect("the caller waits");
        }

        fn wait(pending: Self::Pending) -> u64 {
            pending.recv().expect("the actor replies")
        }
    };
}

/// tokio's unbounded mpsc channel and its oneshot.
pub(crate) enum Tokio {}

impl Mailbox for Tokio {
    type Reply = tokio_oneshot::Sender<u64>;
    type Pending = tokio_oneshot::Receiver<u64>;
    type Sender = mpsc::UnboundedSender<Message<Self::Reply>>;
    type Receiver = mpsc::UnboundedReceiver<Message<Self::Reply>>;

    fn open() -> (Self::Sender, Self::Receiver) {
        mpsc::unbounded_channel()
    }

    fn send(sender: &Self::Sender, message: Message<Self::Reply>) {
        assert!(sender.send(message).is_ok());
    }

    fn recv(receiver: &mut Self::Receiver) -> Option<Message<Self::Reply>> {
        receiver.blocking_recv()
    }

    async fn recv_async(receiver: &mut Self::Receiver) -> Option<Message<Self::Reply>> {
        receiver.recv().await
    }

    fn reply() -> (Self::Reply, Self::Pending) {
        tokio_oneshot::channel()
    }

    fn reply_async() -> (Self::Reply, impl Future<Output = u64> + Send + 'static) {
        let (sender, receiver) = tokio_oneshot::channel();
        (sender, async { receiver.await.expect("the actor replies") })
    }

    fn answer(reply: Self::Reply, value: u64) {
        reply.send(value).expect("the caller waits");
    }

    fn wait(pending: Self::Pending) -> u64 {
        pending.blocking_recv().expect("the actor replies")
    }
}

/// flume's unbounded channel and the `oneshot` crate.
pub(crate) enum Flume {}

impl Mailbox for Flume {
    type Sender = flume::Sender<Message<Self::Reply>>;
    type Receiver = flume::Receiver<Message<Self::Reply>>;

    fn open() -> (Self::Sender, Self::Receiver) {
        flume::unbounded()
    }

    fn send(sender: &Self::Sender, message: Message<Self::Reply>) {
        assert!(sender.send(message).is_ok());
    }

    fn recv(receiver: &mut Self::Receiver) -> Option<Message<Self::Reply>> {
        receiver.recv().ok()
    }

    async fn recv_async(receiver: &mut Self::Receiver) -> Option<Message<Self::Reply>> {
        receiver.recv_async().await.ok()
    }

    reply_by_oneshot!();
}

/// kanal's unbounded channel and the `oneshot` crate.
pub(crate) enum Kanal {}

impl Mailbox for Kanal {
    type Sender = kanal::Sender<Message<Self::Reply>>;
    type Receiver = kanal::Receiver<Message<Self::Reply>>;

    fn open() -> (Self::Sender, Self::Receiver) {
        kanal::unbounded()
    }

    fn send(sender: &Self::Sender, message: Message<Self::Reply>) {
        assert!(sender.send(message).is_ok());
    }

    fn recv(receiver: &mut Self::Receiver) -> Option<Message<Self::Reply>> {
        receiver.recv().ok()
    }

    async fn recv_async(receiver: &mut Self::Receiver) -> Option<Message<Self::Reply>> {
        receiver.as_async().recv().await.ok()
    }

    reply_by_oneshot!();
}

/// kanal's unbounded channel, and a kanal channel of one for each reply.
pub(crate) enum KanalReply {}

impl Mailbox for KanalReply {
    type Reply = kanal::Sender<u64>;
    type Pending = kanal::Receiver<u64>;
    type Sender = kanal::Sender<Message<Self::Reply>>;
    type Receiver = kanal::Receiver<Message<Self::Reply>>;

    fn open() -> (Self::Sender, Self::Receiver) {
        kanal::unbounded()
    }

    fn send(sender: &Self::Sender, message: Message<Self::Reply>) {
        assert!(sender.send(message).is_ok());
    }

    fn recv(receiver: &mut Self::Receiver) -> Option<Message<Self::Reply>> {
        receiver.recv().ok()
    }

    async fn recv_async(receiver: &mut Self::Receiver) -> Option<Message<Self::Reply>> {
        receiver.as_async().recv().await.ok()
    }

    fn reply() -> (Self::Reply, Self::Pending) {
        kanal::bounded(1)
    }

    fn reply_async() -> (Self::Reply, impl Future<Output = u64> + Send + 'static) {
        let (sender, receiver) = kanal::bounded(1);
        let receiver = receiver.to_async();
        (sender, async move { receiver.recv().await.expect("the actor replies") })
    }

    fn answer(reply: Self::Reply, value: u64) {
        reply.send(value).expect("the caller waits");
    }

    fn wait(pending: Self::Pending) -> u64 {
        pending.recv().expect("the actor replies")
    }
}
