//! Iterators and streams of references in the order in which they become ready.

use crate::base::epoch;
use crate::base::error::{ErrorKind, Result};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;

use crate::api::wait::{Pending, Reference};
use crate::engine::blocking::may_block;

/// The references in the order in which they become ready; [`as_completed`] makes it.
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is used"]
pub struct AsCompleted<R: Reference> {
    pending: Pending<R>,
    site: &'static Location<'static>,
}

/// Iterates over references in the order in which they become ready, including failed ones.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.as_completed.html), where results come in batches.
///
/// In async code use [`AsCompleted::stream`]. If the engine is shut down meanwhile, the iterator returns the rest at once, and a
/// get of one of them returns the error.
///
/// # Panics
/// The iteration panics inside an `async fn` of the engine, where it would stall other futures; if a reference occurs twice; and if
/// no thread is left that could run the awaited work.
///
/// ```
/// # extern crate ray_core as ray;
/// let refs: Vec<_> = (0..4).map(|x| ray::task(move || x).remote()).collect();
/// let mut sum = 0;
/// for done in ray::as_completed(refs) {
///     sum += ray::get(done)?;
/// }
/// assert_eq!(sum, 6);
/// # Ok::<(), ray::Error>(())
/// ```
#[track_caller]
pub fn as_completed<R: Reference>(refs: impl Into<Pending<R>>) -> AsCompleted<R> {
    AsCompleted { pending: refs.into(), site: Location::caller() }
}

impl<R: Reference> AsCompleted<R> {
    /// Converts this into a stream, for async code.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use futures::StreamExt;
    /// let refs: Vec<_> = (0..4).map(|x| ray::task(move || x).remote()).collect();
    /// let sum = futures::executor::block_on(async {
    ///     let mut done = ray::as_completed(refs).stream();
    ///     let mut sum = 0;
    ///     while let Some(object) = done.next().await {
    ///         sum += object.await?;
    ///     }
    ///     Ok::<_, ray::Error>(sum)
    /// });
    /// assert_eq!(sum?, 6);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn stream(self) -> CompletedStream<R> {
        CompletedStream { pending: self.pending, site: self.site }
    }

    /// The number of references that are still to come.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether no reference is still to come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

impl<R: Reference> Pending<R> {
    /// Takes the first reference that is left; used when the engine has ended and there is no further order.
    fn take_any(&mut self) -> Option<R> {
        self.set = None;
        let object = self.first().and_then(|first| self.refs[first].take());
        self.left -= usize::from(object.is_some());
        // The references that are left are not registered any more and never will be, because the engine has ended.
        self.head = 0;
        object
    }

    /// Waits for the next reference that becomes ready; `None`: no reference is left.
    ///
    /// # Errors
    /// `InvalidArgument`: a reference occurs twice. `Threads`: no thread can run the work that the caller waits for, or gets nest too
    /// deeply. `BlockingInAsync`.
    pub(in crate::api) fn next_completed(&mut self, site: &'static Location<'static>) -> Result<Option<R>> {
        let pending = self;
        if pending.is_empty() {
            return Ok(None);
        }
        if pending.is_stale() {
            return Ok(pending.take_any());
        }
        let need = pending.head + 1;
        match pending.register() {
            Ok(set) if set.count() >= need => return Ok(pending.take(1).pop()),
            Ok(_) => {}
            Err(error) if error.is_runtime_gone() => return Ok(pending.take_any()),
            Err(error) => return Err(error),
        }
        let Ok(state) = pending.thread() else { return Ok(pending.take_any()) };
        may_block(state, site)?;
        pending.help(state, need);
        match pending.wait_for(state, need, None) {
            Ok(_) => Ok(pending.take(1).pop()),
            Err(error) if error.is_threads() => Err(error),
            // The engine has ended, or this body was stopped. A get of the reference returns that error.
            Err(_) => Ok(pending.take_any()),
        }
    }

    /// As [`next_completed`](Self::next_completed), in async code.
    pub(in crate::api) fn poll_completed(
        &mut self,
        context: &mut Context<'_>,
        site: &'static Location<'static>,
    ) -> Poll<Option<R>> {
        let pending = self;
        if pending.is_empty() {
            return Poll::Ready(None);
        }
        if pending.is_stale() {
            return Poll::Ready(pending.take_any());
        }
        let need = pending.head + 1;
        let set = match pending.register() {
            Ok(set) => set,
            Err(error) if error.is_runtime_gone() => return Poll::Ready(pending.take_any()),
            Err(error) => panic!("as_completed at {site}: {error}"),
        };
        if set.count() < need {
            let Ok(state) = pending.thread() else { return Poll::Ready(pending.take_any()) };
            let Ok(set) = pending.register() else { return Poll::Ready(pending.take_any()) };
            set.arm_task(need, context.waker(), state.epoch);
            if set.count() < need {
                pending.hand_over(state);
                // The engine may have ended before its shutdown could find the slot of the stream.
                return if pending.is_stale() { Poll::Ready(pending.take_any()) } else { Poll::Pending };
            }
            set.disarm();
        }
        Poll::Ready(pending.take(1).pop())
    }

    fn is_stale(&mut self) -> bool {
        let Some(first) = self.first() else { return false };
        self.refs[first].as_ref().is_some_and(|object| epoch::check_object(object.place().header.epoch).is_err())
    }
}

impl<R: Reference> Iterator for AsCompleted<R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        match self.pending.next_completed(self.site) {
            Ok(next) => next,
            Err(error) if error.kind() == ErrorKind::BlockingInAsync => {
                panic!("{error}; or iterate with `as_completed(..).stream()`")
            }
            Err(error) => panic!("as_completed at {}: {error}", self.site),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.pending.len(), Some(self.pending.len()))
    }
}

impl<R: Reference> ExactSizeIterator for AsCompleted<R> {}

/// [`AsCompleted`] as a stream.
///
/// If the engine is shut down meanwhile, the stream returns the remaining references at once, in the order of the input.
///
/// # Panics
/// A poll panics if a reference occurs twice.
#[derive(Debug)]
#[must_use = "a stream does nothing until it is polled"]
pub struct CompletedStream<R: Reference> {
    pending: Pending<R>,
    site: &'static Location<'static>,
}

impl<R: Reference> Unpin for CompletedStream<R> {}

impl<R: Reference> Stream for CompletedStream<R> {
    type Item = R;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<R>> {
        let Self { pending, site } = &mut *self;
        pending.poll_completed(context, site)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.pending.len(), Some(self.pending.len()))
    }
}
