//! The state of one stream: the items that a task has given and its consumer has not taken.
//!
//! # States and rules
//!
//! 1. The *queue* has the items that were given, with their stamps. The consumer ([`ObjectRefStream`]) takes all of them at once into
//!    its *batch*, which is its own, and takes items from there without the lock. An item becomes an object when it is taken.
//! 2. The *signal* is an entry that the consumer waits for, and makes only then. It is settled by the first item or by the end. So
//!    each stream, also one in a `wait`, has at most one open entry, and a stream whose consumer does not wait has none.
//! 3. [`close`](Items::close) is called once, when the task is settled: however it ends, also if it never begins. If the task has
//!    failed, its error is the last item. Later items are refused.
//! 4. The *bound* is the largest number of items that were given and not taken. A producer that finds the stream full waits for the
//!    entry `room`, which is settled when the consumer takes an item, the bound is lifted, the consumer goes, or the stream is
//!    closed. Then it tries again. [`room`](crate::object::room) has the count of the taken items, which the consumer changes
//!    without the lock.
//! 5. When the consumer goes ([`abandon`](Items::abandon)) the bound is lifted and the items are dropped, also those that are given
//!    later.
//! 6. Each attempt of the task begins with [`begin_attempt`](Items::begin_attempt). It skips as many items as were given before, and
//!    items of an earlier attempt are refused from then on.
//! 7. The lock is held only while the state changes. Entries are settled and items dropped after it is released, since both may run
//!    code of the user.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::base::epoch;
use crate::base::error::{Error, ErrorKind, Result};
use crate::object::entry::{Header, Hold};
use crate::object::object_ref::ObjectRef;
use crate::object::parts::{self, Promise};
use crate::object::patience::Patience;
use crate::object::room::Room;
use crate::object::stamp;

/// Items with their stamps.
type Queue<T> = VecDeque<(T, u64)>;

/// The items of one stream.
pub(crate) struct Items<T> {
    state: Mutex<State<T>>,
    /// The number of given items, or the largest number if the stream is closed. For looks without the lock.
    news: AtomicU64,
    room: Room,
    /// Encodes and decodes an item, for strict mode; none for a `local` function.
    renew: Option<fn(T) -> Result<T>>,
}

struct State<T> {
    /// 0 until the task has begun, or its consumer was made.
    epoch: u32,
    queue: Queue<T>,
    given: u64,
    /// The number of taken items when a producer last looked.
    taken: u64,
    /// That of the producers.
    patience: Patience,
    /// None: no bound.
    bound: Option<u64>,
    abandoned: bool,
    /// Whether a failure of the task is not logged although no consumer reads it.
    quiet: bool,
    /// Why further items are refused.
    closed: Option<Error>,
    /// The error that is the last item, until it is taken; and whether it need not be read, since the completion has it.
    last: Option<(Error, bool)>,
    /// When the stream was closed.
    closed_at: u64,
    attempt: u32,
    /// How many items the current attempt still skips.
    skip: u64,
    signal: Option<Promise<()>>,
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
    /// The stream is full.
    Full(T),
    Refused(Error),
}

/// What a consumer finds.
enum Next {
    /// The batch has items now.
    Batch,
    /// The error that is the last item, and whether it need not be read.
    Failed(Error, bool),
    End,
    Nothing,
}

impl<T> State<T> {
    fn is_full(&mut self, room: &Room) -> bool {
        let Some(bound) = self.bound else { return false };
        if self.given - self.taken < bound {
            return false;
        }
        self.taken = room.taken();
        self.given - self.taken >= bound
    }
}

impl<T: Send + Sync + 'static> Items<T> {
    fn new(bound: Option<u64>, renew: Option<fn(T) -> Result<T>>) -> Arc<Self> {
        let state = State {
            epoch: 0,
            queue: VecDeque::new(),
            given: 0,
            taken: 0,
            patience: Patience::default(),
            bound,
            abandoned: false,
            quiet: false,
            closed: None,
            last: None,
            closed_at: 0,
            attempt: 0,
            skip: 0,
            signal: None,
            room: None,
            completion: None,
            outcome: None,
        };
        Arc::new(Self { state: Mutex::new(state), news: AtomicU64::new(0), room: Room::new(), renew })
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
        state.epoch = task.epoch;
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
        if state.is_full(&self.room) {
            return Given::Full(item);
        }
        state.given += 1;
        state.queue.push_back((item, stamp::next()));
        self.news.store(state.given, Ordering::Release);
        let signal = state.signal.take();
        drop(state);
        if let Some(signal) = signal {
            signal.fulfil(());
        }
        Given::Done
    }

    /// The object that is settled when a full stream may have room; none: it has room, or takes no more items.
    pub(crate) fn room(&self) -> Option<ObjectRef<()>> {
        let state = self.state.lock();
        let (taken, mut patience) = (state.taken, state.patience);
        drop(state);
        let found = patience.look(|| self.room.taken() != taken);
        let mut state = self.state.lock();
        state.patience = patience;
        if found {
            return None;
        }
        if state.abandoned || state.closed.is_some() || !state.is_full(&self.room) {
            return None;
        }
        state.taken = self.room.want();
        if !state.is_full(&self.room) {
            if state.room.is_none() {
                self.room.forget();
            }
            return None;
        }
        let epoch = state.epoch;
        let (_, room) = state.room.get_or_insert_with(|| {
            let promise = Promise::of(None, epoch);
            let object = promise.object();
            (promise, object)
        });
        Some(room.clone())
    }

    /// Whether the consumer is gone, or the task was settled.
    pub(crate) fn is_closed(&self) -> bool {
        let state = self.state.lock();
        state.abandoned || state.closed.is_some()
    }

    /// The task was settled, with this outcome.
    pub(crate) fn close(&self, outcome: Result<()>) {
        let error = outcome.err();
        let mut state = self.state.lock();
        state.outcome = Some(error.clone());
        state.closed = Some(error.clone().unwrap_or_else(|| {
            Error::new(ErrorKind::InvalidArgument, "the task of this stream has ended: its `Yielder` takes no more items")
        }));
        state.closed_at = stamp::next();
        // An error that the completion has is not logged for the item too, nor the reverse.
        let completed = state.completion.is_some();
        if !state.abandoned {
            state.last = error.clone().map(|error| (error, completed));
        }
        self.news.store(u64::MAX, Ordering::Release);
        let (signal, room) = (state.signal.take(), state.room.take());
        let completion = state.completion.as_mut().and_then(|(promise, _)| promise.take());
        let unread = error.as_ref().filter(|_| state.abandoned && !state.quiet && !completed);
        drop(state);
        if let Some(error) = unread {
            crate::base::unread::unhandled(error);
        }
        if let Some(signal) = signal {
            signal.fulfil(());
        }
        if let Some((room, _)) = room {
            room.fulfil(());
        }
        if let Some(completion) = completion {
            settle(completion, error);
        }
    }

    /// The object that is settled when the task is. Its first waiter lifts the bound.
    fn completion(self: &Arc<Self>, whole: Option<Hold>) -> ObjectRef<()> {
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
        let whole = whole.filter(|_| state.outcome.is_none());
        let promise = Promise::watched(whole, state.epoch, Box::new(wanted));
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
    /// Looks for items; moves all of them to the batch, which is empty.
    fn next(&self, batch: &mut Queue<T>) -> Next {
        let mut state = self.state.lock();
        if !state.queue.is_empty() {
            std::mem::swap(&mut state.queue, batch);
            return Next::Batch;
        }
        match state.last.take() {
            Some((error, quiet)) => Next::Failed(error, quiet),
            None if state.closed.is_some() => Next::End,
            None => Next::Nothing,
        }
    }

    /// The consumer has taken an item.
    fn took(&self) {
        if self.room.take() {
            self.tell_producer();
        }
    }

    #[cold]
    fn tell_producer(&self) {
        let mut state = self.state.lock();
        self.room.forget();
        let room = state.room.take();
        drop(state);
        if let Some((room, _)) = room {
            room.fulfil(());
        }
    }

    /// An object that is settled when there is an item or the end; `first`: the stamp of an item that is there.
    fn signal(&self, first: Option<u64>, whole: Option<Hold>, epoch: u32) -> ObjectRef<()> {
        let mut state = self.state.lock();
        let there = first.or_else(|| state.queue.front().map(|(_, stamp)| *stamp));
        let there = there.or_else(|| state.closed.is_some().then_some(state.closed_at));
        if let Some(stamp) = there {
            return parts::settled((), whole, epoch, stamp);
        }
        let promise = Promise::of(whole, epoch);
        let object = promise.object();
        let former = state.signal.replace(promise);
        drop(state);
        if let Some(former) = former {
            former.fulfil(());
        }
        object
    }

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
        let (queue, last) = (std::mem::take(&mut state.queue), state.last.take());
        let (signal, room) = (state.signal.take(), state.room.take());
        drop(state);
        if let Some((error, false)) = &last {
            crate::base::unread::unhandled(error);
        }
        if let Some(signal) = signal {
            signal.fulfil(());
        }
        if let Some((room, _)) = room {
            room.fulfil(());
        }
        drop_all(queue);
    }
}

/// Drops items, whose drops may panic.
fn drop_all<T>(items: Queue<T>) {
    for item in items {
        crate::base::users_code::quietly(|| drop(item));
    }
}

fn settle(completion: Promise<()>, error: Option<Error>) {
    match error {
        None => completion.fulfil(()),
        Some(error) => completion.fail_quietly(error),
    }
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
    /// Items that were given and not taken (rule 1).
    batch: Queue<T>,
    /// The entry that a wait for the next item waits for, if there was one since the last item (rule 2).
    signal: OnceLock<ObjectRef<()>>,
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

    /// As [`signal`](Self::signal), for a future.
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
        items.state.lock().epoch = epoch;
        Self {
            batch: VecDeque::new(),
            signal: OnceLock::new(),
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
        let (items, taken) = (&*self.items, self.items.room.taken());
        self.patience.look(|| items.news.load(Ordering::Acquire) > taken)
    }

    /// Whether all items were taken, and the end was found.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        if self.ended || !self.batch.is_empty() {
            return self.ended;
        }
        let state = self.items.state.lock();
        state.closed.is_some() && state.queue.is_empty() && state.last.is_none()
    }

    /// Whether the next item is there: taking it and getting it would not wait. `false` also at the end. Never blocks.
    #[must_use]
    pub fn next_ready(&self) -> bool {
        if self.ended || !self.batch.is_empty() {
            return !self.ended;
        }
        let state = self.items.state.lock();
        !state.queue.is_empty() || state.last.is_some()
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
        self.items.completion(self.whole.clone())
    }
}
