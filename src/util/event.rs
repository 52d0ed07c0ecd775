//! A flag that tasks, actors and threads wait for.

mod rules;

use std::time::Duration;

use ray_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::util::service::{Client, Owned, Ticket, handle};
use rules::{Reply, Request, Rules};

/// The actor of an [`Event`]. A program names it only to create an event with the options of an actor, or to find one by its name,
/// as it does with [`QueueActor`](super::QueueActor).
#[ray::remote(max_concurrency = 1_000_000)]
#[derive(Debug)]
pub struct EventActor {
    state: Owned<Rules>,
}

#[ray::remote]
#[allow(clippy::new_without_default, reason = "a class of an actor is not made by its default")]
impl EventActor {
    /// An event that is not set.
    pub fn new() -> Self {
        EventActor { state: Owned::new(Rules::default()) }
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

handle!("Event" [] Event, EventActor);

/// A flag that any number of threads, tasks and actors can wait for, on a cluster in all processes. It is Python's
/// `threading.Event`; in a Python program on Ray an actor with an `asyncio.Event` does this
/// ([Ray's page](https://docs.ray.io/en/latest/ray-core/actors.html#synchronization)).
///
/// An `Event` is a handle of an actor, as a [`Queue`](super::Queue) is: clones are the same event, it travels in arguments and values,
/// its waits behave as those of a queue, and after [`shutdown`](Self::shutdown) or the death of the actor every call returns an error
/// of kind `ActorDied`.
///
/// ```
/// use ray::remote;
/// use ray::util::Event;
///
/// #[remote]
/// fn work(start: Event, part: u64) -> ray::Result<u64> {
///     start.wait()?;
///     Ok(part * part)
/// }
///
/// let start = Event::new();
/// let parts: Vec<_> = (0..4).map(|part| work.remote(&start, part)).collect();
/// start.set()?; // all of them go on
/// assert_eq!(ray::get(parts)?, [0, 1, 4, 9]);
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Event {
    client: Client<EventActor>,
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl Event {
    /// An event that is not set.
    ///
    /// ```
    /// let done = ray::util::Event::new();
    /// assert!(!done.is_set()?);
    /// done.set()?;
    /// assert!(done.is_set()?);
    /// done.clear()?;
    /// assert!(!done.is_set()?);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn new() -> Self {
        EventActor::remote().into()
    }

    /// Sets the event. All callers that wait for it go on, and later ones do not wait.
    ///
    /// # Errors
    /// `ActorDied` if the event was shut down or its actor has died.
    #[track_caller]
    pub fn set(&self) -> Result<()> {
        self.client.now(Request::Set(true)).map(drop)
    }

    /// Resets the event: later callers wait again.
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    #[track_caller]
    pub fn clear(&self) -> Result<()> {
        self.client.now(Request::Set(false)).map(drop)
    }

    /// Whether the event is set.
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    #[track_caller]
    pub fn is_set(&self) -> Result<bool> {
        is_set(&self.client.now(Request::IsSet)?)
    }

    /// Waits until the event is set.
    ///
    /// # Errors
    /// Those of [`set`](Self::set), and those of a wait, such as `Cancelled`, see [`ray::get`](crate::get).
    #[track_caller]
    pub fn wait(&self) -> Result<()> {
        is_set(&self.client.wait(Request::Wait, None)?).map(drop)
    }

    /// Waits until the event is set, but at most for `timeout`; `false`: it was not set until then.
    ///
    /// # Errors
    /// Those of [`wait`](Self::wait).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let never = ray::util::Event::new();
    /// assert!(!never.wait_timeout(Duration::from_millis(10))?);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<bool> {
        match self.client.wait(Request::Wait, Some(timeout)) {
            Err(error) if error.is_timeout() => Ok(false),
            reply => is_set(&reply?),
        }
    }

    /// As [`wait`](Self::wait), for async code. The future may be dropped at any time.
    ///
    /// # Errors
    /// Those of [`wait`](Self::wait).
    ///
    /// ```
    /// let done = ray::util::Event::new();
    /// futures::executor::block_on(async {
    ///     done.set_async().await?;
    ///     done.wait_async().await
    /// })?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub async fn wait_async(&self) -> Result<()> {
        is_set(&self.client.wait_async(Request::Wait).await?).map(drop)
    }

    /// As [`set`](Self::set), for async code.
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    pub async fn set_async(&self) -> Result<()> {
        self.client.now_async(Request::Set(true)).await.map(drop)
    }

    /// As [`clear`](Self::clear), for async code.
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    pub async fn clear_async(&self) -> Result<()> {
        self.client.now_async(Request::Set(false)).await.map(drop)
    }

    /// As [`is_set`](Self::is_set), for async code.
    ///
    /// # Errors
    /// Those of [`set`](Self::set).
    pub async fn is_set_async(&self) -> Result<bool> {
        is_set(&self.client.now_async(Request::IsSet).await?)
    }

    /// Ends the event: kills its actor. Every call returns an error of kind `ActorDied`, also those that wait.
    ///
    /// # Errors
    /// `RuntimeGone` if the engine was shut down.
    pub fn shutdown(&self) -> Result<()> {
        ray_core::kill(&self.client.actor)
    }
}

fn is_set(reply: &Reply) -> Result<bool> {
    match reply {
        Reply::IsSet(is_set) => Ok(*is_set),
        _ => Err(Error::of_kind(
            ErrorKind::ActorUnavailable,
            "the actor of the event was restarted while the call waited, and the event is not set: make the call again",
        )),
    }
}
