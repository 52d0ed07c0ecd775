//! The items that a task has given to a stream and that its consumer has not taken.
//!
//! # States and rules
//!
//! 1. The *queue* has the items that were given, with their stamps. The consumer ([`ObjectRefStream`](crate::object::stream::ObjectRefStream)) takes all of them at once into
//!    its *batch*, which is its own, and takes items from there without the lock. An item becomes an object when it is taken.
//! 2. The *signal* is an entry that the consumer waits for, and makes only then. It is settled by the first item or by the end. So
//!    each stream, also one in a `wait`, has at most one open entry, and a stream whose consumer does not wait has none.
//! 3. [`close`](Items::close) is called once, when the task is settled: however it ends, also if it never begins. If the task has
//!    failed, its error is the last item. Later items are refused.
//! 4. The *bound* is the largest number of items that were given and not taken. A producer that finds the stream full waits for the
//!    entry `room`. That is settled when the consumer takes an item, the bound is lifted, the consumer goes, or the stream is
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
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
pub(super) type Queue<T> = VecDeque<(T, u64)>;

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
    /// The patience of the producers.
    patience: Patience,
    /// None: no bound.
    bound: Option<u64>,
    abandoned: bool,
    /// Whether a failure of the task that no consumer reads stays out of the log.
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
    /// The promise of [`ObjectRefStream::completed`](crate::object::stream::ObjectRefStream::completed), until the task is settled. The
    /// consumer has the object: here it would hold the entry of the task, which holds these items.
    completion: Option<Promise<()>>,
    /// Whether the consumer has that object.
    has_completion: bool,
    /// Set when the task was settled: with its error, if it has failed.
    outcome: Option<Option<Error>>,
}

/// The outcome of [`Items::give`].
pub(crate) enum Given<T> {
    /// It is in the stream, or was dropped because it is not needed.
    Done,
    /// The stream is full.
    Full(T),
    Refused(Error),
}

/// The outcome of [`Items::next`].
pub(super) enum Next {
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
    pub(super) fn new(bound: Option<u64>, renew: Option<fn(T) -> Result<T>>) -> Arc<Self> {
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
            has_completion: false,
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
        let completed = state.has_completion;
        if !state.abandoned {
            state.last = error.clone().map(|error| (error, completed));
        }
        self.news.store(u64::MAX, Ordering::Release);
        let (signal, room) = (state.signal.take(), state.room.take());
        let completion = state.completion.take();
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

    /// Makes the object that is settled when the task is. Its first waiter lifts the bound.
    pub(super) fn completion(self: &Arc<Self>, whole: Option<Hold>) -> ObjectRef<()> {
        let mut state = self.state.lock();
        let items = Arc::downgrade(self);
        let wanted = move || {
            if let Some(items) = items.upgrade() {
                items.lift();
            }
        };
        let whole = whole.filter(|_| state.outcome.is_none());
        let promise = Promise::watched(whole, state.epoch, Box::new(wanted));
        let object = promise.object();
        state.has_completion = true;
        match state.outcome.clone() {
            None => state.completion = Some(promise),
            Some(outcome) => {
                drop(state);
                settle(promise, outcome);
            }
        }
        object
    }
}

impl<T> Items<T> {
    /// Looks for items; moves all of them to the batch, which is empty.
    pub(super) fn next(&self, batch: &mut Queue<T>) -> Next {
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

    /// For the consumer.
    pub(super) fn set_epoch(&self, epoch: u32) {
        self.state.lock().epoch = epoch;
    }

    /// Whether the queue has items or the error that is the last one; and whether the stream is closed.
    pub(super) fn look(&self) -> (bool, bool) {
        let state = self.state.lock();
        (!state.queue.is_empty() || state.last.is_some(), state.closed.is_some())
    }

    /// Whether a consumer that has taken everything finds something soon.
    pub(super) fn has_news_soon(&self, patience: &mut Patience) -> bool {
        let taken = self.room.taken();
        patience.look(|| self.news.load(Ordering::Acquire) > taken)
    }

    /// The consumer has taken an item.
    pub(super) fn took(&self) {
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
    pub(super) fn signal(&self, first: Option<u64>, whole: Option<Hold>, epoch: u32) -> ObjectRef<()> {
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
pub(super) fn drop_all<T>(items: Queue<T>) {
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
