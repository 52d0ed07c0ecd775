//! The state of one stream: the items that a task has given and its consumer has not taken.
//!
//! # States and rules
//!
//! 1. Each item is an entry of its own. The *tail* is the entry of the next item: it is made before the item exists, so that a
//!    consumer can wait for it like for any object. [`give`](Items::give) makes the next tail, enters it in the queue, and then
//!    settles the old one. The order of the items is that of the queue.
//! 2. The consumer ([`ObjectRefStream`]) has the first entry, its *front*; the queue has the entries after it. When the front is
//!    settled, [`take`](Items::take) exchanges it for the next entry of the queue. A front that is settled and has no successor is
//!    the end, which is no item.
//! 3. [`close`](Items::close) is called once, when the task is settled: however it ends, also if it never begins. It settles the
//!    tail as the end or, if the task has failed, as the last item, with another entry as the end. Later items are refused.
//! 4. The *bound* is the largest number of items that were given and not taken. A producer that finds the stream full waits for the
//!    entry `room`, which is settled when the consumer takes an item, the bound is lifted, the consumer goes, or the stream is
//!    closed. Then it tries again.
//! 5. When the consumer goes ([`abandon`](Items::abandon)) the bound is lifted and the items are dropped, also those that are given
//!    later.
//! 6. Each attempt of the task begins with [`begin_attempt`](Items::begin_attempt). It skips as many items as were given before, and
//!    items of an earlier attempt are refused from then on.
//! 7. The lock is held only while the state changes. Entries are settled and dropped after it is released, since both may run code of
//!    the user.
//! 8. The state and the task's entry hold each other, until the stream is closed.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::base::epoch;
use crate::base::error::{Error, ErrorKind, Result};
use crate::object::entry::{Header, Hold};
use crate::object::object_ref::ObjectRef;
use crate::object::parts::Promise;

/// The items of one stream.
pub(crate) struct Items<T> {
    state: Mutex<State<T>>,
    /// Encodes and decodes an item, for strict mode; none for a `local` function.
    renew: Option<fn(T) -> Result<T>>,
}

struct State<T> {
    /// The entry of the task, until the stream is closed.
    whole: Option<Hold>,
    epoch: u32,
    /// The entries after the consumer's front (rule 2).
    queue: VecDeque<ObjectRef<T>>,
    tail: Option<Promise<T>>,
    given: u64,
    taken: u64,
    /// None: no bound.
    bound: Option<u64>,
    abandoned: bool,
    /// Whether a failure of the task is not logged although no consumer reads it.
    quiet: bool,
    /// Why further items are refused.
    closed: Option<Error>,
    attempt: u32,
    /// How many items the current attempt still skips.
    skip: u64,
    room: Option<(Promise<()>, ObjectRef<()>)>,
    /// The object of [`ObjectRefStream::completed`], and its promise until the task is settled.
    completion: Option<(Option<Promise<()>>, ObjectRef<()>)>,
    /// Set when the task was settled: with its error, if it has failed.
    outcome: Option<Option<Error>>,
}

/// What became of an item.
pub(crate) enum Given<T> {
    /// It is in the stream, or was dropped because it is not needed.
    Done,
    /// The stream is full. The object is settled when there may be room.
    Full(T, ObjectRef<()>),
    Refused(Error),
}

impl<T> State<T> {
    fn is_full(&self) -> bool {
        self.bound.is_some_and(|bound| self.given - self.taken >= bound)
    }

    /// Makes the entry of the next item.
    fn extend(&mut self) -> Option<Promise<T>>
    where
        T: Send + Sync + 'static,
    {
        let next = Promise::of(self.whole.clone(), self.epoch);
        self.queue.push_back(next.object());
        self.tail.replace(next)
    }
}

impl<T: Send + Sync + 'static> Items<T> {
    fn new(bound: Option<u64>, renew: Option<fn(T) -> Result<T>>) -> Arc<Self> {
        let state = State {
            whole: None,
            epoch: 0,
            queue: VecDeque::new(),
            tail: None,
            given: 0,
            taken: 0,
            bound,
            abandoned: false,
            quiet: false,
            closed: None,
            attempt: 0,
            skip: 0,
            room: None,
            completion: None,
            outcome: None,
        };
        Arc::new(Self { state: Mutex::new(state), renew })
    }

    /// Records the task and makes the first tail, unless that was done.
    fn begin(state: &mut State<T>, task: Option<&Header>, epoch: u32) {
        if state.epoch == 0 {
            state.epoch = epoch;
            state.whole = task.map(Hold::of);
            state.extend();
        }
    }

    /// Begins an attempt of the task, and returns its number.
    ///
    /// # Errors
    /// The error of the task, if it was cancelled meanwhile.
    pub(crate) fn begin_attempt(&self, task: &Header) -> Result<u32> {
        let mut state = self.state.lock();
        if let Some(error) = &state.closed {
            return Err(error.clone());
        }
        Self::begin(&mut state, Some(task), task.epoch);
        state.attempt += 1;
        state.skip = state.given;
        Ok(state.attempt)
    }

    /// The item as it would arrive in another process.
    ///
    /// # Errors
    /// `Serialization`.
    pub(crate) fn renewed(&self, item: T) -> Result<T> {
        match self.renew {
            Some(renew) => renew(item),
            None => Ok(item),
        }
    }

    /// Adds an item.
    pub(crate) fn give(&self, item: T, attempt: u32) -> Given<T> {
        let mut state = self.state.lock();
        if let Some(error) = &state.closed {
            return Given::Refused(error.clone());
        }
        if let Err(stale) = epoch::check_object(state.epoch) {
            return Given::Refused(stale);
        }
        if attempt != state.attempt {
            let what = "this attempt of the task was replaced by another one, which gives the items of its stream now";
            return Given::Refused(Error::new(ErrorKind::Cancelled, what));
        }
        if state.skip > 0 || state.abandoned {
            state.skip = state.skip.saturating_sub(1);
            drop(state);
            crate::base::users_code::quietly(|| drop(item));
            return Given::Done;
        }
        if state.is_full() {
            let epoch = state.epoch;
            let (_, room) = state.room.get_or_insert_with(|| {
                let promise = Promise::of(None, epoch);
                let object = promise.object();
                (promise, object)
            });
            return Given::Full(item, room.clone());
        }
        state.given += 1;
        let next = state.extend();
        drop(state);
        if let Some(next) = next {
            next.fulfil(item);
        }
        Given::Done
    }

    /// Whether the consumer is gone, or the task was settled.
    pub(crate) fn is_closed(&self) -> bool {
        let state = self.state.lock();
        state.abandoned || state.closed.is_some()
    }

    /// Exchanges a settled front for its successor, and returns it as an item; none: the front is the end.
    fn take(&self, front: &mut ObjectRef<T>) -> Option<ObjectRef<T>> {
        let mut state = self.state.lock();
        let next = state.queue.pop_front()?;
        state.taken += 1;
        let room = if state.is_full() { None } else { state.room.take() };
        drop(state);
        if let Some((room, _)) = room {
            room.fulfil(());
        }
        Some(std::mem::replace(front, next))
    }

    /// Whether the front has a successor: if it is settled, it is an item and not the end.
    fn has_more(&self) -> bool {
        !self.state.lock().queue.is_empty()
    }

    /// The task was settled, with this outcome.
    pub(crate) fn close(&self, outcome: Result<()>) {
        let error = outcome.err();
        let mut state = self.state.lock();
        state.outcome = Some(error.clone());
        state.closed = Some(error.clone().unwrap_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "the task of this stream has ended: its `Yielder` takes no more items")
        }));
        let failed = match &error {
            Some(_) if state.tail.is_some() => {
                // The task is over, so nothing can be run for the end.
                state.whole = None;
                state.given += 1;
                state.extend()
            }
            _ => None,
        };
        let (end, whole) = (state.tail.take(), state.whole.take());
        let room = state.room.take();
        // An error that the completion has is not logged for the item too, nor the reverse.
        let completed = state.completion.is_some();
        let completion = state.completion.as_mut().and_then(|(promise, _)| promise.take());
        let unread = error.as_ref().filter(|_| state.abandoned && !state.quiet && !completed);
        drop(state);
        if let Some(error) = unread {
            crate::base::unread::unhandled(error);
        }
        if let (Some(failed), Some(error)) = (failed, &error) {
            if completed { failed.fail_quietly(error.clone()) } else { failed.fail(error.clone()) }
        }
        if let Some(end) = end {
            end.fail_quietly(the_end());
        }
        if let Some((room, _)) = room {
            room.fulfil(());
        }
        if let Some(completion) = completion {
            settle(completion, error);
        }
        drop(whole);
    }

    /// The object that is settled when the task is. Its first waiter lifts the bound.
    fn completion(self: &Arc<Self>) -> ObjectRef<()> {
        let mut state = self.state.lock();
        if let Some((_, object)) = &state.completion {
            return object.clone();
        }
        let items = Arc::downgrade(self);
        let wanted = move || {
            if let Some(items) = items.upgrade() {
                items.lift();
            }
        };
        let promise = Promise::watched(state.whole.clone(), state.epoch, Box::new(wanted));
        let object = promise.object();
        let Some(outcome) = state.outcome.clone() else {
            state.completion = Some((Some(promise), object.clone()));
            return object;
        };
        state.completion = Some((None, object.clone()));
        drop(state);
        settle(promise, outcome);
        object
    }
}

impl<T> Items<T> {
    /// Removes the bound.
    fn lift(&self) {
        let mut state = self.state.lock();
        state.bound = None;
        let room = state.room.take();
        drop(state);
        if let Some((room, _)) = room {
            room.fulfil(());
        }
    }

    /// The consumer is gone. `quiet`: a failure of the task is not logged.
    pub(crate) fn abandon(&self, quiet: bool) {
        let mut state = self.state.lock();
        state.abandoned = true;
        state.quiet |= quiet;
        state.bound = None;
        let (queue, tail, room) = (std::mem::take(&mut state.queue), state.tail.take(), state.room.take());
        drop(state);
        if let Some(tail) = tail {
            tail.fail_quietly(the_end());
        }
        if let Some((room, _)) = room {
            room.fulfil(());
        }
        drop(queue);
    }
}

fn settle(completion: Promise<()>, error: Option<Error>) {
    match error {
        None => completion.fulfil(()),
        Some(error) => completion.fail_quietly(error),
    }
}

#[cold]
fn the_end() -> Error {
    Error::new(ErrorKind::InvalidArgument, "the stream has no more items")
}

/// The items of a stream, without their type, as its task keeps them.
#[derive(Clone)]
pub(crate) struct AnyItems(Arc<dyn Any + Send + Sync>);

impl AnyItems {
    pub(crate) fn new<T: Send + Sync + 'static>(bound: Option<u64>, renew: Option<fn(T) -> Result<T>>) -> Self {
        Self(Items::new(bound, renew))
    }

    /// The items, if they are of this type.
    pub(crate) fn typed<T: Send + Sync + 'static>(&self) -> Option<Arc<Items<T>>> {
        Arc::clone(&self.0).downcast().ok()
    }
}

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
    /// The entry of the next item, or the end.
    pub(crate) front: ObjectRef<T>,
    pub(crate) items: Arc<Items<T>>,
    /// Whether the end was found.
    pub(crate) ended: bool,
    /// Whether a drop of the stream cancels its task.
    pub(crate) cancels: bool,
}

impl<T> Unpin for ObjectRefStream<T> {}

impl<T: Send + Sync + 'static> ObjectRefStream<T> {
    /// The consumer of a task's items; called once.
    pub(crate) fn of_task(items: Arc<Items<T>>, task: &Header) -> Self {
        Self::new(items, Some(task), task.epoch)
    }

    /// A stream of a call that has failed before it became a task.
    pub(crate) fn failed(error: Error, epoch: u32) -> Self {
        let items = Items::new(None, None);
        let stream = Self::new(Arc::clone(&items), None, epoch);
        items.close(Err(error));
        stream
    }

    fn new(items: Arc<Items<T>>, task: Option<&Header>, epoch: u32) -> Self {
        let mut state = items.state.lock();
        Items::begin(&mut state, task, epoch);
        let front = state.queue.pop_front().expect("the queue has an entry until the consumer takes it");
        drop(state);
        Self { front, items, ended: false, cancels: false }
    }

    /// Takes the next item, after the front was settled; none: the stream has ended.
    pub(crate) fn advance(&mut self) -> Option<ObjectRef<T>> {
        let item = self.items.take(&mut self.front);
        self.ended |= item.is_none();
        item
    }

    /// Ends the stream for its consumer.
    pub(crate) fn give_up(&mut self) {
        self.ended = true;
        self.items.abandon(false);
    }

    /// Whether all items were taken, and the end was found.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.ended || (self.front.header().phase().is_settled() && !self.items.has_more())
    }

    /// Whether the next item is there: taking it and getting it would not wait. `false` also at the end. Never blocks.
    #[must_use]
    pub fn next_ready(&self) -> bool {
        !self.ended && self.front.header().phase().is_settled() && self.items.has_more()
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
        self.items.completion()
    }
}
