//! A queue of items between tasks, actors and threads.

mod asynchronous;
mod errors;
mod rules;

use std::marker::PhantomData;
use std::time::Duration;

use ray_core::__private::AnyValue;
use ray_core::{Error, ErrorKind, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::util::service::{Client, Owned, Ticket, handle};
pub use errors::{GetError, PutBatchError, PutError};
use rules::{Reply, Request, Rules};

/// The actor of a [`Queue`]. A program names it only to create a queue with the options of an actor, or to find one by its name:
///
/// ```
/// use ray::util::{Queue, QueueActor};
///
/// let jobs: Queue<u64> = QueueActor::options().name("jobs").num_cpus(0.5).remote(100).into();
/// jobs.put(7)?;
/// let found: Queue<u64> = ray::get_actor::<QueueActor>("jobs")?.upgrade().expect("`jobs` is a handle").into();
/// assert_eq!(found.get()?, 7);
/// # Ok::<(), ray::Error>(())
/// ```
#[ray::remote(max_concurrency = 1_000_000)]
#[derive(Debug)]
pub struct QueueActor {
    state: Owned<Rules>,
}

#[ray::remote]
impl QueueActor {
    /// A queue for at most `maxsize` items; 0 means without a limit, as in Ray.
    pub fn new(maxsize: usize) -> Self {
        QueueActor { state: Owned::new(Rules::new((maxsize > 0).then_some(maxsize))) }
    }

    #[doc(hidden)]
    pub fn ask(&self, request: Request) -> Result<Reply, Error> {
        self.state.ask(request)
    }

    #[doc(hidden)]
    pub async fn wait(&self, ticket: Ticket) {
        self.state.wait(ticket).await;
    }
}

handle!("Queue" [T] Queue<T>, QueueActor, items: PhantomData);

/// A first-in, first-out queue of items for any number of producers and consumers: threads, tasks and actors, on a cluster in any
/// process. [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.queue.Queue.html).
///
/// A `Queue` is a handle of an actor, which owns the items. Clones are the same queue. It can be passed to tasks and actors, be a
/// part of values, and be stored in objects. When the last handle is dropped, the actor ends and the items are dropped.
///
/// ```
/// use ray::remote;
/// use ray::util::Queue;
///
/// #[remote]
/// fn produce(queue: Queue<u64>, count: u64) -> ray::Result<()> {
///     (0..count).try_for_each(|item| queue.put(item)) // waits while the queue is full
/// }
///
/// let queue = Queue::bounded(10)?;
/// let producer = produce.remote(&queue, 100);
/// let mut sum = 0;
/// for _ in 0..100 {
///     sum += queue.get()?; // waits while the queue is empty
/// }
/// assert_eq!(sum, 4950);
/// ray::get(producer)?;
/// # Ok::<(), ray::Error>(())
/// ```
///
/// # Waiting
///
/// [`put`](Self::put) and [`get`](Self::get) wait as [`ray::get`](crate::get) does: a body that waits lends its CPU, and the wait
/// ends when the body is cancelled, its actor is killed, or the engine is shut down. Callers are served in the order in which they
/// began to wait. In async code use the methods with `async` in their names. In an async body, a method that would have to wait
/// for the queue or for a message of its actor returns the error `BlockingInAsync`. For the end of a stream of items, put an
/// `Option<T>` or send the number of items.
///
/// A caller that stops waiting takes no item with it: after a time-out, a cancel, or the drop of a future the item is there for
/// the next one.
///
/// # The end
///
/// [`shutdown`](Self::shutdown) ends the queue for all handles. Then, and if the actor was killed or its process has ended, every
/// call returns an error of kind `ActorDied`, also those that wait.
///
/// # On a cluster
///
/// Each call is a message to the actor, and the items are in its process. For large items make a queue of
/// [`ObjectRef`](crate::ObjectRef)s. If the process of a getter crashes while it receives an item, the item is lost, as in Ray.
/// Calls are messages in strict mode as well, which encode the items.
#[derive(Serialize, Deserialize)]
#[serde(bound = "", transparent)]
pub struct Queue<T> {
    client: Client<QueueActor>,
    #[serde(skip)]
    items: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), items: PhantomData }
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Queue<T> {
    /// A queue without a limit, so no put ever waits. It is Ray's `Queue()`.
    ///
    /// ```
    /// let queue = ray::util::Queue::new();
    /// queue.put("first".to_owned())?;
    /// assert_eq!(queue.get()?, "first");
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        QueueActor::remote(0).into()
    }

    /// A queue for at most `maxsize` items. It is Ray's `Queue(maxsize)`.
    ///
    /// # Errors
    /// `InvalidArgument` if `maxsize` is 0, because no item could ever be put. (In Ray 0 means without a limit: use
    /// [`new`](Self::new).)
    ///
    /// ```
    /// let queue = ray::util::Queue::bounded(1)?;
    /// queue.put(7)?;
    /// assert!(queue.is_full()?);
    /// assert!(ray::util::Queue::<u64>::bounded(0).unwrap_err().is_invalid_argument());
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn bounded(maxsize: usize) -> Result<Self> {
        if maxsize == 0 {
            let what = "a queue of capacity 0 can take no item: use at least 1, or `Queue::new()` for a queue without a limit";
            return Err(Error::of_kind(ErrorKind::InvalidArgument, what));
        }
        Ok(QueueActor::remote(maxsize).into())
    }

    /// Adds an item at the end. Waits while the queue is full.
    ///
    /// # Errors
    /// `ActorDied` if the queue was shut down or its actor has died; the errors of a wait, such as `Cancelled`, see
    /// [`ray::get`](crate::get).
    ///
    /// ```
    /// let queue = ray::util::Queue::bounded(2)?;
    /// queue.put(1)?;
    /// queue.put(2)?;
    /// assert_eq!((queue.get()?, queue.get()?), (1, 2));
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn put(&self, item: T) -> Result<()> {
        let item = AnyValue::new(item);
        put::<T>(self.client.wait(|ticket| Request::Put(item, Some(ticket)), None)).map_err(Error::from)
    }

    /// As [`put`](Self::put), but waits at most for `timeout`. Ray's `put(item, timeout=..)`.
    ///
    /// # Errors
    /// `Full` returns the item if there was no room until then; `Failed` has an error of [`put`](Self::put), or `GetTimeout` if
    /// the actor of the queue has not answered until then, nor within a second: it may put the item later.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let queue = ray::util::Queue::bounded(1)?;
    /// queue.put_timeout(1, Duration::from_millis(10))?;
    /// let refused = queue.put_timeout(2, Duration::from_millis(10));
    /// assert!(matches!(refused, Err(ray::util::PutError::Full(2))));
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), PutError<T>> {
        let item = AnyValue::new(item);
        put(self.client.wait(|ticket| Request::Put(item, Some(ticket)), Some(timeout)))
    }

    /// Adds an item at the end if there is room now. Ray's `put_nowait(item)` and `put(item, block=False)`.
    ///
    /// # Errors
    /// `Full` returns the item; `Failed` has an error of [`put`](Self::put).
    ///
    /// ```
    /// let queue = ray::util::Queue::bounded(1)?;
    /// queue.put_nowait(1)?;
    /// assert!(ray::Error::from(queue.put_nowait(2).unwrap_err()).is_queue_full());
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn put_nowait(&self, item: T) -> Result<(), PutError<T>> {
        put(self.client.now(Request::Put(AnyValue::new(item), None)))
    }

    /// Adds all items at the end, in their order, if there is room for all of them now. Otherwise it adds none.
    ///
    /// # Errors
    /// `Full` returns the items; `Failed` has an error of [`put`](Self::put).
    ///
    /// ```
    /// let queue = ray::util::Queue::bounded(3)?;
    /// queue.put_nowait_batch([1, 2])?;
    /// let refused = queue.put_nowait_batch([3, 4]).unwrap_err();
    /// assert_eq!(refused.to_string(), "the queue has no room for 2 items: it has 2");
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn put_nowait_batch(&self, items: impl IntoIterator<Item = T>) -> Result<(), PutBatchError<T>> {
        put_batch(self.client.now(Request::PutBatch(items.into_iter().map(AnyValue::new).collect())))
    }

    /// Removes the first item and returns it. Waits while the queue is empty.
    ///
    /// # Errors
    /// Those of [`put`](Self::put); `Serialization` if the item is not a `T`, which is possible with a queue that was found by name.
    ///
    /// ```
    /// let queue = ray::util::Queue::new();
    /// queue.put_nowait_batch([1, 2])?;
    /// assert_eq!((queue.get()?, queue.get()?), (1, 2));
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn get(&self) -> Result<T> {
        get(self.client.wait(|ticket| Request::Get(Some(ticket)), None)).map_err(Error::from)
    }

    /// As [`get`](Self::get), but waits at most for `timeout`. Ray's `get(timeout=..)`.
    ///
    /// # Errors
    /// `Empty` if no item came until then; `Failed` has an error of [`get`](Self::get).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let queue = ray::util::Queue::<u64>::new();
    /// let got = queue.get_timeout(Duration::from_millis(10));
    /// assert!(matches!(got, Err(ray::util::GetError::Empty)));
    /// ```
    #[track_caller]
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, GetError> {
        get(self.client.wait(|ticket| Request::Get(Some(ticket)), Some(timeout)))
    }

    /// Removes the first item if there is one now. Ray's `get_nowait()` and `get(block=False)`.
    ///
    /// # Errors
    /// `Empty`; `Failed` has an error of [`get`](Self::get).
    ///
    /// ```
    /// let queue = ray::util::Queue::<u64>::new();
    /// assert!(ray::Error::from(queue.get_nowait().unwrap_err()).is_queue_empty());
    /// ```
    #[track_caller]
    pub fn get_nowait(&self) -> Result<T, GetError> {
        get(self.client.now(Request::Get(None)))
    }

    /// Removes the first `count` items if there are as many now. Otherwise it removes none.
    ///
    /// # Errors
    /// `Empty` if there are fewer; `Failed` has an error of [`get`](Self::get).
    ///
    /// ```
    /// let queue = ray::util::Queue::new();
    /// queue.put_nowait_batch([1, 2, 3])?;
    /// assert_eq!(queue.get_nowait_batch(2)?, [1, 2]);
    /// assert!(queue.get_nowait_batch(2).is_err());
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn get_nowait_batch(&self, count: usize) -> Result<Vec<T>, GetError> {
        get_batch(self.client.now(Request::GetBatch(count)))
    }

    /// The number of items; with other users of the queue it may be out of date. Ray's `size()`, `qsize()` and `len`.
    ///
    /// # Errors
    /// Those of [`put`](Self::put).
    ///
    /// ```
    /// let queue = ray::util::Queue::bounded(2)?;
    /// queue.put(1)?;
    /// assert_eq!((queue.size()?, queue.is_empty()?, queue.is_full()?), (1, false, false));
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn size(&self) -> Result<usize> {
        Ok(size(self.client.now(Request::Size)?)?.0)
    }

    /// Whether the queue has no items. Ray's `empty()`.
    ///
    /// # Errors
    /// Those of [`size`](Self::size).
    #[track_caller]
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.size()? == 0)
    }

    /// Whether a put would wait now. Ray's `full()`.
    ///
    /// # Errors
    /// Those of [`size`](Self::size).
    #[track_caller]
    pub fn is_full(&self) -> Result<bool> {
        let (size, capacity) = size(self.client.now(Request::Size)?)?;
        Ok(capacity.is_some_and(|capacity| size >= capacity))
    }

    /// Ends the queue: kills its actor. The items are dropped, and every call returns an error of kind `ActorDied`, also those that
    /// wait. A second shutdown does nothing. Ray's `shutdown(force=True)`; there is no grace period, because the actor has no work
    /// of its own to finish.
    ///
    /// # Errors
    /// `RuntimeGone` if the engine was shut down.
    ///
    /// ```
    /// let queue = ray::util::Queue::new();
    /// queue.put(1)?;
    /// queue.shutdown()?;
    /// assert!(queue.get().unwrap_err().is_actor_died());
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn shutdown(&self) -> Result<()> {
        ray_core::kill(&self.client.actor)
    }
}

type Items<T> = Result<Vec<T>, Error>;

fn typed<T: DeserializeOwned + Send + Sync + 'static>(items: Vec<AnyValue>) -> Items<T> {
    items.into_iter().map(AnyValue::typed).collect()
}

fn put<T: DeserializeOwned + Send + Sync + 'static>(reply: Result<Reply>) -> Result<(), PutError<T>> {
    match reply? {
        Reply::Done => Ok(()),
        Reply::Full(item) => Err(PutError::Full(item.typed()?)),
        other => Err(unexpected(&other).into()),
    }
}

fn put_batch<T: DeserializeOwned + Send + Sync + 'static>(reply: Result<Reply>) -> Result<(), PutBatchError<T>> {
    match reply? {
        Reply::Done => Ok(()),
        Reply::BatchFull(items, size) => Err(PutBatchError::Full { items: typed(items)?, size }),
        other => Err(unexpected(&other).into()),
    }
}

fn get<T: DeserializeOwned + Send + Sync + 'static>(reply: Result<Reply>) -> Result<T, GetError> {
    match reply {
        Ok(Reply::Item(item)) => Ok(item.typed()?),
        Ok(Reply::Empty(_)) => Err(GetError::Empty),
        // The actor has not answered. If it has removed an item, it puts it back.
        Err(error) if error.is_timeout() => Err(GetError::Empty),
        Err(error) => Err(error.into()),
        Ok(other) => Err(unexpected(&other).into()),
    }
}

fn get_batch<T: DeserializeOwned + Send + Sync + 'static>(reply: Result<Reply>) -> Result<Vec<T>, GetError> {
    match reply? {
        Reply::Items(items) => Ok(typed(items)?),
        Reply::Empty(_) => Err(GetError::Empty),
        other => Err(unexpected(&other).into()),
    }
}

fn size(reply: Reply) -> Result<(usize, Option<usize>)> {
    match reply {
        Reply::Size(size, capacity) => Ok((size, capacity)),
        other => Err(unexpected(&other)),
    }
}

/// The error of a reply that does not belong to the request: the actor was restarted, and has forgotten the request.
fn unexpected(_: &Reply) -> Error {
    Error::of_kind(
        ErrorKind::ActorUnavailable,
        "the actor of the queue was restarted while the call waited, and its items are lost: make the call again",
    )
}
