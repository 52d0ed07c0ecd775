//! A semaphore between tasks, actors and threads.

mod rules;

use std::time::Duration;

use ray_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use crate::util::service::{Client, Owned, Ticket, handle};
use rules::{Reply, Request, Rules};

/// The actor of a [`Semaphore`]. A program names it only to create a semaphore with the options of an actor, or to find one by its
/// name, as it does with [`QueueActor`](super::QueueActor).
#[ray::remote(max_concurrency = 1_000_000)]
#[derive(Debug)]
pub struct SemaphoreActor {
    state: Owned<Rules>,
}

#[ray::remote]
impl SemaphoreActor {
    /// A semaphore with so many permits.
    pub fn new(permits: usize) -> Self {
        SemaphoreActor { state: Owned::new(Rules::new(permits)) }
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

handle!("Semaphore" [] Semaphore, SemaphoreActor);

/// A number of permits that threads, tasks and actors share, on a cluster in all processes. It limits how many of them do something
/// at the same time. Ray has none; in a Python program on Ray an actor with an `asyncio.Semaphore` does this.
///
/// A `Semaphore` is a handle of an actor, as a [`Queue`](super::Queue) is: clones are the same semaphore, it travels in arguments
/// and values, its waits behave as those of a queue, and after [`shutdown`](Self::shutdown) or the death of the actor every call
/// returns an error of kind `ActorDied`.
///
/// Permits are given in the order in which the callers began to wait. A [`Permit`] returns to the semaphore when it is dropped. If a
/// process of a cluster crashes, its permits are lost. If the actor of the semaphore restarts, which only `max_restarts` in its options
/// allows, all permits are free again, and those that callers still have are worth nothing.
///
/// ```
/// use ray::remote;
/// use ray::util::Semaphore;
///
/// #[remote]
/// fn download(page: u64, connections: Semaphore) -> ray::Result<u64> {
///     let _permit = connections.acquire()?; // at most two tasks are here
///     Ok(page * page)
/// }
///
/// let connections = Semaphore::new(2);
/// let pages: Vec<_> = (0..10).map(|page| download.remote(page, &connections)).collect();
/// assert_eq!(ray::get(pages)?.iter().sum::<u64>(), 285);
/// assert_eq!(connections.available_permits()?, 2);
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Semaphore {
    client: Client<SemaphoreActor>,
}

/// A permit of a [`Semaphore`]. Its drop gives it back; it waits for nothing.
#[derive(Debug)]
#[must_use = "dropped at once, it gives the permit back at once"]
pub struct Permit(Option<(Semaphore, u64)>);

impl Permit {
    /// Ends this guard without giving the permit back; [`Semaphore::add_permits`] replaces it.
    ///
    /// ```
    /// let tickets = ray::util::Semaphore::new(1);
    /// tickets.acquire()?.forget();
    /// assert_eq!(tickets.available_permits()?, 0);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((semaphore, instance)) = self.0.take() {
            semaphore.client.send(Request::Return(instance));
        }
    }
}

impl Semaphore {
    /// A semaphore with so many permits. With 0 every acquire waits for [`add_permits`](Self::add_permits).
    ///
    /// ```
    /// let one = ray::util::Semaphore::new(1);
    /// let permit = one.acquire()?;
    /// assert!(one.try_acquire()?.is_none());
    /// drop(permit);
    /// assert!(one.try_acquire()?.is_some());
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn new(permits: usize) -> Self {
        SemaphoreActor::remote(permits).into()
    }

    /// Takes a permit. Waits while there is none.
    ///
    /// # Errors
    /// `ActorDied` if the semaphore was shut down or its actor has died; the errors of a wait, such as `Cancelled`, see
    /// [`ray::get`](crate::get).
    #[track_caller]
    pub fn acquire(&self) -> Result<Permit> {
        self.permit(self.client.wait(Request::acquire, None)?)?.ok_or_else(unexpected)
    }

    /// As [`acquire`](Self::acquire), but waits at most for `timeout`; `None`: there was no permit until then.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let none = ray::util::Semaphore::new(0);
    /// assert!(none.acquire_timeout(Duration::from_millis(10))?.is_none());
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Option<Permit>> {
        match self.client.wait(Request::acquire, Some(timeout)) {
            // The actor has not answered. If it has given a permit, it takes it back.
            Err(error) if error.is_timeout() => Ok(None),
            reply => self.permit(reply?),
        }
    }

    /// Takes a permit if there is one now.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    #[track_caller]
    pub fn try_acquire(&self) -> Result<Option<Permit>> {
        self.permit(self.client.now(Request::Acquire(None))?)
    }

    /// The number of permits that are free; with other users of the semaphore it may be out of date.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    #[track_caller]
    pub fn available_permits(&self) -> Result<usize> {
        available(&self.client.now(Request::Available)?)
    }

    /// Adds permits.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    ///
    /// ```
    /// let tickets = ray::util::Semaphore::new(0);
    /// tickets.add_permits(3)?;
    /// assert_eq!(tickets.available_permits()?, 3);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn add_permits(&self, permits: usize) -> Result<()> {
        self.client.now(Request::Add(permits)).map(drop)
    }

    /// As [`acquire`](Self::acquire), for async code. If the future is dropped while it waits, no permit is lost.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    ///
    /// ```
    /// let one = ray::util::Semaphore::new(1);
    /// futures::executor::block_on(async {
    ///     let permit = one.acquire_async().await?;
    ///     assert_eq!(one.available_permits_async().await?, 0);
    ///     drop(permit);
    ///     Ok::<(), ray::Error>(())
    /// })?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub async fn acquire_async(&self) -> Result<Permit> {
        self.permit(self.client.wait_async(Request::acquire).await?)?.ok_or_else(unexpected)
    }

    /// As [`try_acquire`](Self::try_acquire), for async code.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    pub async fn try_acquire_async(&self) -> Result<Option<Permit>> {
        self.permit(self.client.now_async(Request::Acquire(None)).await?)
    }

    /// As [`available_permits`](Self::available_permits), for async code.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    pub async fn available_permits_async(&self) -> Result<usize> {
        available(&self.client.now_async(Request::Available).await?)
    }

    /// As [`add_permits`](Self::add_permits), for async code.
    ///
    /// # Errors
    /// Those of [`acquire`](Self::acquire).
    pub async fn add_permits_async(&self, permits: usize) -> Result<()> {
        self.client.now_async(Request::Add(permits)).await.map(drop)
    }

    /// Ends the semaphore: kills its actor. Every call returns an error of kind `ActorDied`, also those that wait.
    ///
    /// # Errors
    /// `RuntimeGone` if the engine was shut down.
    pub fn shutdown(&self) -> Result<()> {
        ray_core::kill(&self.client.actor)
    }

    fn permit(&self, reply: Reply) -> Result<Option<Permit>> {
        match reply {
            Reply::Acquired(instance) => Ok(Some(Permit(Some((self.clone(), instance))))),
            Reply::None => Ok(None),
            _ => Err(unexpected()),
        }
    }
}

fn available(reply: &Reply) -> Result<usize> {
    match reply {
        Reply::Available(permits) => Ok(*permits),
        _ => Err(unexpected()),
    }
}

/// The error of a reply that does not belong to the request: the actor was restarted, and has forgotten the request.
fn unexpected() -> Error {
    Error::of_kind(
        ErrorKind::ActorUnavailable,
        "the actor of the semaphore was restarted while the call waited, with all its permits: make the call again",
    )
}
