//! The consumer of a stream. [`items`](crate::object::items) has the rules.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

use crate::base::error::Error;
use crate::object::entry::{Header, Hold};
use crate::object::items::{Items, Next, Queue, drop_all};
use crate::object::object_ref::ObjectRef;
use crate::object::parts::{self, Promise};
use crate::object::patience::Patience;

/// The items that a remote function yields, as references in the order in which it yields them: an [`Iterator`] and a
/// [`Stream`](futures::Stream) of [`ObjectRef<T>`].
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/ray-generator.html).
///
/// A call of a remote function that returns `impl Iterator<Item = T>`, `impl Stream<Item = T>` or a `Result` of one of them, or
/// whose first parameter is a [`Yielder<T>`](crate::Yielder), returns an `ObjectRefStream<T>` at once. The next item can be taken as
/// soon as it is yielded, while the task goes on. In async code take the items with `stream.next().await`, after `let mut stream = f.remote(..).`[`stream()`](Self::stream).
///
/// **The bound.** A stream holds at most 64 items that were not taken, or as many as `#[remote(backpressure = n)]` or
/// `.options().backpressure(n)` say. A task that yields one more waits until an item is taken. Meanwhile other tasks use its CPU.
///
/// **The end.** If the task fails, panics or is cancelled, the last item is a reference to that error. Then the stream ends.
///
/// **Dropping** the stream drops the items that were not taken. The task goes on to its end, its further items are dropped as it
/// yields them, and it does not wait any more. [`cancel_on_drop`](Self::cancel_on_drop) makes the drop cancel the task.
///
/// A stream can be sent to another thread. It is not `Clone` and cannot be an argument of a remote call: each item is taken once.
///
/// ```
/// # extern crate ray_core as ray;
/// # use ray_macros::remote;
/// # fn main() -> ray::Result<()> {
///
/// #[remote]
/// fn halves(mut n: u64) -> impl Iterator<Item = u64> {
///     std::iter::from_fn(move || {
///         n /= 2;
///         (n > 0).then_some(n)
///     })
/// }
///
/// let mut values = Vec::new();
/// for item in halves.remote(20) {
///     values.push(ray::get(item)?);
/// }
/// assert_eq!(values, [10, 5, 2, 1]);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a stream drops its items; call `.tell(..)` if the items are not needed"]
pub struct ObjectRefStream<T> {
    /// Items that were given and not taken (rule 1 of `items`).
    batch: Queue<T>,
    /// The entry that a wait for the next item waits for, if there was one since the last item (rule 2 of `items`).
    signal: OnceLock<ObjectRef<()>>,
    /// The object of [`completed`](Self::completed), if it was asked for.
    completion: OnceLock<ObjectRef<()>>,
    /// The task; none if the call has failed before it became one.
    pub(crate) whole: Option<Hold>,
    pub(crate) epoch: u32,
    pub(crate) items: Arc<Items<T>>,
    patience: Patience,
    /// Whether the end was found.
    pub(crate) ended: bool,
    /// Whether a drop of the stream cancels its task.
    pub(crate) cancels: bool,
}

impl<T> Unpin for ObjectRefStream<T> {}

impl<T> ObjectRefStream<T> {
    /// The object that is settled when there is an item or the end.
    pub(crate) fn signal(&self) -> &ObjectRef<()> {
        self.signal.get_or_init(|| {
            let first = self.batch.front().map(|(_, stamp)| *stamp);
            self.items.signal(first, self.whole.clone(), self.epoch)
        })
    }

    /// As [`signal`](Self::signal), for a future, which needs `&mut`.
    pub(crate) fn signal_mut(&mut self) -> &mut ObjectRef<()> {
        self.signal();
        self.signal.get_mut().expect("made above")
    }

    /// Ends the stream for its consumer.
    pub(crate) fn give_up(&mut self) {
        self.ended = true;
        self.abandon(false);
    }

    /// Drops what was not taken.
    pub(crate) fn abandon(&mut self, quiet: bool) {
        self.items.abandon(quiet);
        drop_all(std::mem::take(&mut self.batch));
    }
}

impl<T: Send + Sync + 'static> ObjectRefStream<T> {
    /// The consumer of a task's items; called once.
    pub(crate) fn of_task(items: Arc<Items<T>>, task: &Header) -> Self {
        Self::new(items, Some(Hold::of(task)), task.epoch)
    }

    /// A stream of a call that has failed before it became a task.
    pub(crate) fn failed(error: Error, epoch: u32) -> Self {
        let items = Items::new(None, None);
        let stream = Self::new(Arc::clone(&items), None, epoch);
        items.close(Err(error));
        stream
    }

    fn new(items: Arc<Items<T>>, whole: Option<Hold>, epoch: u32) -> Self {
        items.set_epoch(epoch);
        Self {
            batch: VecDeque::new(),
            signal: OnceLock::new(),
            completion: OnceLock::new(),
            whole,
            epoch,
            items,
            patience: Patience::default(),
            ended: false,
            cancels: false,
        }
    }

    /// Takes the next item, if it is there. It finds the end, too: then [`ended`](Self::ended) is set.
    #[inline]
    pub(crate) fn take_next(&mut self) -> Option<ObjectRef<T>> {
        if self.ended {
            return None;
        }
        let (item, stamp) = match self.batch.pop_front() {
            Some(item) => item,
            None => match self.items.next(&mut self.batch) {
                Next::Batch => self.batch.pop_front()?,
                Next::Failed(error, quiet) => {
                    self.signal.take();
                    let promise = Promise::of(self.whole.clone(), self.epoch);
                    let object = promise.object();
                    if quiet {
                        promise.fail_quietly(error)
                    } else {
                        promise.fail(error)
                    }
                    return Some(object);
                }
                Next::End => {
                    self.ended = true;
                    return None;
                }
                Next::Nothing => return None,
            },
        };
        self.items.took();
        if self.signal.get().is_some() {
            self.signal.take();
        }
        Some(parts::settled(item, self.whole.clone(), self.epoch, stamp))
    }

    /// Whether the next item or the end comes soon.
    pub(crate) fn comes_soon(&mut self) -> bool {
        self.items.has_news_soon(&mut self.patience)
    }

    /// Whether all items were taken, and the end was found.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        if self.ended || !self.batch.is_empty() {
            return self.ended;
        }
        let (has_items, is_closed) = self.items.look();
        is_closed && !has_items
    }

    /// Whether the next item is there: taking it and getting it would not wait. `false` also at the end. Never blocks.
    #[must_use]
    pub fn next_ready(&self) -> bool {
        if self.ended || !self.batch.is_empty() {
            return !self.ended;
        }
        self.items.look().0
    }

    /// A reference that becomes ready when the task has ended, and that fails if the task fails. A get, an await or a wait of it lifts
    /// the bound of the stream, so that the task can end although no item is taken.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// # use ray_macros::remote;
    /// # fn main() -> ray::Result<()> {
    /// #[remote(backpressure = 1)]
    /// fn numbers() -> impl Iterator<Item = u64> {
    ///     0..1000
    /// }
    ///
    /// let stream = numbers.remote();
    /// ray::get(stream.completed())?;
    /// assert_eq!(stream.count(), 1000);
    /// # Ok(())
    /// # }
    /// ```
    pub fn completed(&self) -> ObjectRef<()> {
        self.completion.get_or_init(|| self.items.completion(self.whole.clone())).clone()
    }
}
