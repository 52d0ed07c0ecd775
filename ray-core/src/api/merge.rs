//! Several streams as one, in the order in which their items become ready.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;

use crate::api::wait::completed::{CompletedStream, as_completed};
use crate::api::wait::wait;
use crate::base::epoch;
use crate::base::error::{Error, Result};
use crate::object::any::AnyRef;
use crate::object::object_ref::ObjectRef;
use crate::object::stream::ObjectRefStream;

/// The items of several streams; [`merge`] makes it. It is an iterator and a stream.
#[must_use = "an iterator does nothing until it is used"]
pub struct Merge<T> {
    streams: Vec<ObjectRefStream<T>>,
    /// The wait of a poll that has returned `Pending`.
    waiting: Option<CompletedStream<AnyRef>>,
}

impl<T> fmt::Debug for Merge<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Merge({} streams)", self.streams.len())
    }
}

/// Takes the items of several streams in the order in which they become ready; the items of each stream keep their order. It ends
/// when all streams have ended. A stream whose task fails ends with a reference to the error, and the other streams go on.
///
/// A wait that fails (see [`ObjectRefStream`]) is the last item.
///
/// ```
/// # extern crate ray_core as ray;
/// # use ray_macros::remote;
/// # fn main() -> ray::Result<()> {
/// #[remote]
/// fn range(from: u64, to: u64) -> impl Iterator<Item = u64> {
///     from..to
/// }
///
/// let mut sum = 0;
/// for item in ray::merge([range.remote(0, 3), range.remote(10, 13)]) {
///     sum += ray::get(item)?;
/// }
/// assert_eq!(sum, 36);
/// # Ok(())
/// # }
/// ```
pub fn merge<T: Send + Sync + 'static>(streams: impl IntoIterator<Item = ObjectRefStream<T>>) -> Merge<T> {
    Merge { streams: streams.into_iter().filter(|stream| !stream.ended).collect(), waiting: None }
}

impl<T: Send + Sync + 'static> Merge<T> {
    /// Takes the item that became ready first, if one is ready. Removes streams that have ended.
    fn take_ready(&mut self) -> Option<ObjectRef<T>> {
        loop {
            let signals = self.streams.iter().enumerate().map(|(at, stream)| (at, stream.signal().header()));
            let ready =
                signals.filter(|(_, signal)| signal.phase().is_settled()).min_by_key(|(at, signal)| (signal.stamp(), *at));
            let (at, _) = ready?;
            match self.streams[at].take_next() {
                Some(item) => return Some(item),
                None => drop(self.streams.remove(at)),
            }
        }
    }

    fn signals(&self) -> Vec<AnyRef> {
        self.streams.iter().map(|stream| stream.signal().any()).collect()
    }

    /// Ends all streams with the error of a wait.
    fn give_up(&mut self, error: Error) -> Option<ObjectRef<T>> {
        self.waiting = None;
        let epoch = self.streams.first()?.epoch;
        self.streams.clear();
        Some(ObjectRef::failed(error, epoch))
    }

    fn check(&self) -> Result<()> {
        self.streams.first().map_or(Ok(()), |stream| epoch::check_object(stream.epoch))
    }
}

impl<T: Send + Sync + 'static> Iterator for Merge<T> {
    type Item = ObjectRef<T>;

    #[track_caller]
    fn next(&mut self) -> Option<ObjectRef<T>> {
        self.waiting = None;
        loop {
            if let Some(item) = self.take_ready() {
                return Some(item);
            }
            if self.streams.is_empty() {
                return None;
            }
            if let Err(error) = wait(self.signals(), 1) {
                return self.give_up(error);
            }
        }
    }
}

impl<T: Send + Sync + 'static> std::iter::FusedIterator for Merge<T> {}

impl<T> Unpin for Merge<T> {}

impl<T: Send + Sync + 'static> Stream for Merge<T> {
    type Item = ObjectRef<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ObjectRef<T>>> {
        loop {
            if let Some(item) = self.take_ready() {
                self.waiting = None;
                return Poll::Ready(Some(item));
            }
            if self.streams.is_empty() {
                return Poll::Ready(None);
            }
            if let Err(stale) = self.check() {
                return Poll::Ready(self.give_up(stale));
            }
            let signals = self.waiting.is_none().then(|| as_completed(self.signals()).stream());
            let waiting = self.waiting.get_or_insert_with(|| signals.expect("made above"));
            match Pin::new(waiting).poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(_) => self.waiting = None,
            }
        }
    }
}
