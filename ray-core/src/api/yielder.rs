//! Yielding the items of a stream: what a stream function calls, and the loops that drive the iterators and streams of its body.

use std::fmt;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{Stream, StreamExt};

use crate::api::get::wait_one;
use crate::api::until::Until;
use crate::base::config::Mode;
use crate::base::error::{Error, ErrorKind, Result};
use crate::engine::blocking::park;
use crate::engine::thread;
use crate::object::items::{Given, Items};
use crate::object::object_ref::ObjectRef;
use crate::task::head::Extra;

/// A producer that has waited for so long checks whether the engine has threads left.
const SOON: Duration = Duration::from_secs(1);

/// Yields the items of a stream, from the body of a remote function or method that has it as its first parameter. The caller does
/// not pass it: the call returns an [`ObjectRefStream<T>`](crate::ObjectRefStream).
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/ray-generator.html), where a function yields with `yield`.
///
/// ```
/// # extern crate ray_core as ray;
/// # use ray_macros::remote;
/// # fn main() -> ray::Result<()> {
/// use ray::Yielder;
///
/// #[remote]
/// fn words(out: Yielder<String>, text: &str) -> ray::Result<()> {
///     for word in text.split(' ') {
///         out.push(word.to_owned())?;
///     }
///     Ok(())
/// }
///
/// let items: Vec<_> = words.remote("one two").collect();
/// assert_eq!(ray::get(items)?, ["one", "two"]);
/// # Ok(())
/// # }
/// ```
pub struct Yielder<T> {
    items: Arc<Items<T>>,
    attempt: u32,
    strict: bool,
}

impl<T> fmt::Debug for Yielder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Yielder").field("attempt", &self.attempt).finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> Yielder<T> {
    /// Yields an item. If the stream is full, this blocks until the consumer takes one; meanwhile other tasks use the CPU of this
    /// one. If the consumer has dropped the stream, the item is dropped.
    ///
    /// # Errors
    /// The error that ends this task: `Cancelled`, the death of its actor, `RuntimeGone` after a shutdown. `Serialization`, in strict
    /// mode, for an item that could not be sent to another process. `BlockingInAsync` in an `async fn`, where
    /// [`push_async`](Self::push_async) yields. `Threads` if the stream is full and the engine has no thread for other work.
    #[track_caller]
    pub fn push(&self, item: T) -> Result<()> {
        let site = Location::caller();
        may_block(site)?;
        let mut item = self.checked(item)?;
        loop {
            match self.items.give(item, self.attempt) {
                Given::Done => return Ok(()),
                Given::Refused(error) => return Err(error),
                Given::Full(back) => {
                    item = back;
                    if let Some(room) = self.items.room() {
                        wait_for_room(&room, site)?;
                    }
                }
            }
        }
    }

    /// Like [`push`](Self::push), for an `async fn`.
    ///
    /// # Errors
    /// Those of [`push`](Self::push).
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// # use ray_macros::remote;
    /// # fn main() -> ray::Result<()> {
    /// use ray::Yielder;
    ///
    /// #[remote]
    /// async fn numbers(out: Yielder<u64>, n: u64) -> ray::Result<()> {
    ///     for number in 0..n {
    ///         out.push_async(number).await?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// assert_eq!(numbers.remote(3).count(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn push_async(&self, item: T) -> Result<()> {
        let mut item = self.checked(item)?;
        loop {
            match self.items.give(item, self.attempt) {
                Given::Done => return Ok(()),
                Given::Refused(error) => return Err(error),
                Given::Full(back) => item = back,
            }
            if let Some(room) = self.items.room() {
                room.await?;
            }
        }
    }

    /// Whether further items would be dropped: the consumer has dropped the stream, or the task was cancelled. A body can ask this
    /// to stop early.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.items.is_closed()
    }

    fn checked(&self, item: T) -> Result<T> {
        if self.strict { self.items.renewed(item) } else { Ok(item) }
    }
}

/// Returns an error in an async body, also if there is no need to wait now: otherwise it would depend on the speed of the consumer.
///
/// # Errors
/// `BlockingInAsync`.
#[inline]
fn may_block(site: &'static Location<'static>) -> Result<()> {
    match thread::existing().and_then(|state| state.frame()) {
        Some(frame) if frame.is_async => Err(Error::new(
            ErrorKind::BlockingInAsync,
            format!(
                "`push` at {site} inside the async `{}` would stall every future of its thread: write `push_async(item).await`",
                frame.spec.name()
            ),
        )),
        _ => Ok(()),
    }
}

/// Waits until a full stream may have room.
///
/// # Errors
/// Those of a `get`, and `Threads`.
#[cold]
fn wait_for_room(room: &ObjectRef<()>, site: &'static Location<'static>) -> Result<()> {
    let state = thread::of(room.header().epoch)?;
    if let Some(frame) = state.frame()
        && (frame.below().is_some() || !state.is_worker)
    {
        // Another wait runs this body on its own thread, which may be that of the consumer.
        return Err(no_thread(frame.spec.name()));
    }
    let soon = Until { deadline: Some(Instant::now() + SOON), site };
    match wait_one(room.entry(), soon) {
        Err(error) if error.is_timeout() => {}
        waited => return waited,
    }
    // The consumer is slow, or it waits for work for which there is no thread.
    while !room.is_ready() {
        match park::on_entry(state, room.entry(), None, true, || false, || true, site) {
            Err(error) if error.is_threads() => {
                return Err(no_thread(state.frame().map_or("a stream", |frame| frame.spec.name())));
            }
            waited => waited?,
        };
    }
    Ok(())
}

fn no_thread(name: &str) -> Error {
    Error::new(
        ErrorKind::Threads,
        format!(
            "the stream of `{name}` is full, and the engine has no thread left for the work that its consumer may wait for: raise `Config::max_threads` (or the system's limit), raise `backpressure`, or return `impl Stream`, which needs no thread while it waits"
        ),
    )
}

/// The yielder of the body that this thread runs; for the generated code.
///
/// # Errors
/// `Cancelled` if the task was cancelled; `InvalidArgument` if the body is not that of a stream.
pub fn yielder<T: Send + Sync + 'static>() -> Result<Yielder<T>> {
    let state = thread::existing();
    let running = state.and_then(|state| Some((state, state.frame()?.header()?)));
    let items = running.and_then(|(state, header)| Some((state, header, Extra::items_of::<T>(header.task()?.extra()?)?)));
    let Some((state, header, items)) = items else {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "a function that makes a stream runs only as a task of the embedded engine: call it with `.remote(..)` there",
        ));
    };
    let attempt = items.begin_attempt(header)?;
    Ok(Yielder { items, attempt, strict: state.engine.settings.mode == Mode::Strict })
}

/// Yields the items of an iterator; for the generated code.
///
/// # Errors
/// Those of [`Yielder::push`].
pub fn yield_all<T: Send + Sync + 'static>(yielder: &Yielder<T>, items: impl IntoIterator<Item = T>) -> Result<()> {
    items.into_iter().try_for_each(|item| yielder.push(item))
}

/// Yields the items of a stream; for the generated code.
///
/// # Errors
/// Those of [`Yielder::push_async`].
pub async fn yield_all_async<T: Send + Sync + 'static>(yielder: &Yielder<T>, items: impl Stream<Item = T>) -> Result<()> {
    let mut items = pin!(items);
    while let Some(item) = items.next().await {
        yielder.push_async(item).await?;
    }
    Ok(())
}
