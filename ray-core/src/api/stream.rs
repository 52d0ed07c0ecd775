//! Taking the items of a stream: as an iterator, as a stream of `futures`, in a `wait`.

use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;

use crate::api::future::poll_settled;
use crate::api::get::wait_one;
use crate::api::until::Until;
use crate::base::epoch;
use crate::base::error::{Error, Result};
use crate::base::id::TaskId;
use crate::call::refs::{Refs, StreamRefs};
use crate::engine::blocking::may_block;
use crate::engine::thread;
use crate::object::object_ref::ObjectRef;
use crate::object::parts;
use crate::object::stream::ObjectRefStream;
use crate::task::head::Extra;

impl<T> StreamRefs for ObjectRefStream<T> {}

impl<T: Send + Sync + 'static> Refs<()> for ObjectRefStream<T> {
    fn from_whole(whole: ObjectRef<()>) -> Self {
        let head = whole.header().task();
        let Some(items) = head.and_then(|head| head.extra()).and_then(Extra::items_of::<T>) else {
            return Self::failed(whole.seen_error(), whole.header().epoch);
        };
        let stream = Self::of_task(items.clone(), whole.header());
        parts::split(whole, items, |outcome, items| items.close(outcome));
        stream
    }
}

impl<T> fmt::Debug for ObjectRefStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = self.whole.as_ref().map(|whole| TaskId::from_raw(whole.id()));
        f.debug_struct("ObjectRefStream").field("task", &task).field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl<T: Send + Sync + 'static> ObjectRefStream<T> {
    /// Takes the next item, or finds the end, after a wait.
    ///
    /// # Errors
    /// Those of a [`get`](crate::get).
    fn take_until(&mut self, until: Until) -> Result<Option<ObjectRef<T>>> {
        loop {
            epoch::check_object(self.epoch)?;
            let next = self.take_next();
            if next.is_some() || self.ended {
                return Ok(next);
            }
            if let Some(state) = thread::existing() {
                may_block(state, until.site)?;
            }
            if until.deadline.is_some() || !self.comes_soon() {
                wait_one(self.signal().entry(), until)?;
            }
        }
    }

    /// A wait that failed is the last item.
    #[cold]
    fn failed_wait(&mut self, error: Error) -> Option<ObjectRef<T>> {
        self.give_up();
        Some(ObjectRef::failed(error, self.epoch))
    }

    /// Like [`next`](Iterator::next), for at most `timeout`. With a zero time-out it returns an item that is there.
    ///
    /// # Errors
    /// `GetTimeout` when the time is over: the next item can be taken later. The other errors of a [`get`](crate::get) end the stream.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// # use ray_macros::remote;
    /// # fn main() -> ray::Result<()> {
    /// use std::time::Duration;
    ///
    /// #[remote]
    /// fn numbers() -> impl Iterator<Item = u64> {
    ///     0..2
    /// }
    ///
    /// let mut stream = numbers.remote();
    /// let first = stream.next_timeout(Duration::from_secs(60))?.expect("there are two items");
    /// assert_eq!(ray::get(first)?, 0);
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<ObjectRef<T>>> {
        if self.ended {
            return Ok(None);
        }
        let next = self.take_until(Until::within(timeout));
        if next.as_ref().is_err_and(|error| !error.is_timeout()) {
            self.give_up();
        }
        next
    }

    /// Cancels the task, as [`cancel`](crate::cancel) does for a reference. Items that were yielded before can still be taken; then
    /// comes a last item with the error `Cancelled`.
    ///
    /// # Errors
    /// `RuntimeGone` if the engine was shut down.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// # use ray_macros::remote;
    /// # fn main() -> ray::Result<()> {
    /// #[remote]
    /// fn numbers() -> impl Iterator<Item = u64> {
    ///     0..
    /// }
    ///
    /// let stream = numbers.remote();
    /// stream.cancel()?;
    /// let last = stream.last().expect("the error is an item");
    /// assert!(ray::get(last).unwrap_err().is_cancelled());
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel(&self) -> Result<()> {
        if self.ended { Ok(()) } else { crate::api::cancel::cancel(self.signal()) }
    }
}

impl<T> ObjectRefStream<T> {
    /// The same items as a stream that is no iterator. Where `futures::StreamExt` is imported, `next` and `map` could be those of either
    /// trait, and rustc reports an error; of this stream they are those of `StreamExt`.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// # use ray_macros::remote;
    /// use futures::StreamExt;
    ///
    /// #[remote]
    /// fn numbers(n: u64) -> impl Iterator<Item = u64> {
    ///     0..n
    /// }
    ///
    /// #[remote]
    /// async fn total(n: u64) -> ray::Result<u64> {
    ///     let mut items = numbers.remote(n).stream();
    ///     let mut sum = 0;
    ///     while let Some(item) = items.next().await {
    ///         sum += item.await?;
    ///     }
    ///     Ok(sum)
    /// }
    /// # fn main() -> ray::Result<()> {
    /// assert_eq!(ray::get(total.remote(4))?, 6);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(self) -> ItemStream<T> {
        ItemStream(self)
    }

    /// Makes the drop of the stream cancel its task, if that has not ended. (Otherwise the task goes on to its end.)
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// # use ray_macros::remote;
    /// # fn main() -> ray::Result<()> {
    /// #[remote]
    /// fn numbers() -> impl Iterator<Item = u64> {
    ///     0..
    /// }
    ///
    /// let first: Vec<_> = numbers.remote().cancel_on_drop().take(3).collect();
    /// assert_eq!(ray::get(first)?, [0, 1, 2]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn cancel_on_drop(mut self) -> Self {
        self.cancels = true;
        self
    }
}

/// Blocks until the next item is there, and takes it. If the wait fails, its error is the last item: `BlockingInAsync` inside an
/// `async fn` of the engine, where the items are taken with `stream.next().await` of `futures::StreamExt`; `Cancelled` if the body
/// that waits was cancelled; `Deadlock`; `RuntimeGone`.
impl<T: Send + Sync + 'static> Iterator for ObjectRefStream<T> {
    type Item = ObjectRef<T>;

    #[track_caller]
    fn next(&mut self) -> Option<ObjectRef<T>> {
        if self.ended {
            return None;
        }
        match self.take_until(Until { deadline: None, site: Location::caller() }) {
            Ok(next) => next,
            Err(error) => self.failed_wait(error),
        }
    }
}

impl<T: Send + Sync + 'static> std::iter::FusedIterator for ObjectRefStream<T> {}

impl<T: Send + Sync + 'static> Stream for ObjectRefStream<T> {
    type Item = ObjectRef<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ObjectRef<T>>> {
        while !self.ended {
            if let Err(stale) = epoch::check_object(self.epoch) {
                return Poll::Ready(self.failed_wait(stale));
            }
            let next = self.take_next();
            if next.is_some() {
                return Poll::Ready(next);
            }
            if !self.ended
                && !self.comes_soon()
                && let Err(error) = ready!(poll_settled(&mut self.signal_mut().target, context))
            {
                return Poll::Ready(self.failed_wait(error));
            }
        }
        Poll::Ready(None)
    }
}

/// The items of an [`ObjectRefStream`] as a stream that is no iterator; [`ObjectRefStream::stream`] makes it.
#[derive(Debug)]
#[must_use = "a stream does nothing until it is polled"]
pub struct ItemStream<T>(ObjectRefStream<T>);

impl<T: Send + Sync + 'static> Stream for ItemStream<T> {
    type Item = ObjectRef<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ObjectRef<T>>> {
        Pin::new(&mut self.0).poll_next(context)
    }
}

impl<T> Drop for ObjectRefStream<T> {
    fn drop(&mut self) {
        self.abandon(self.cancels);
        if self.cancels && !self.ended {
            let _ = crate::api::cancel::cancel(self.signal());
        }
    }
}
