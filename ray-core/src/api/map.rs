//! `f.map(items)`: a call for each item, with a limit on the calls that have not ended.
//!
//! Nothing is submitted before the first result is asked for. Then a window of calls is kept in flight: [`Map`] takes results in the
//! order of the items, [`MapUnordered`] in the order in which the calls end, and [`MapChunks`] puts the calls for several items into
//! one task.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::iter::Fuse;
use std::marker::PhantomData;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::Stream;

use crate::api::remote_function::RemoteFunction;
use crate::api::wait::Pending;
use crate::api::wait::call::Call;
use crate::base::call_options::CallOptions;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::resources::UNITS;
use crate::call::arg::{ArgList, Many};
use crate::call::chunk::Results;
use crate::call::function::{Function, FunctionCall, Outcome};
use crate::call::params::FromArgument;
use crate::call::refs::WholeRefs;
use crate::engine::blocking::may_block;
use crate::engine::chunk_body::ChunkBody;
use crate::engine::{submit, thread};
use crate::object::object_ref::ObjectRef;
use crate::object::view::TakeError;

/// How many calls are in flight if the caller sets no limit. Ray's `map_unordered` has the same.
const IN_FLIGHT: usize = 100;

/// The time that a chunk of automatic size should take.
const CHUNK_TIME: Duration = Duration::from_micros(500);
/// The largest chunk of automatic size.
const LARGEST_CHUNK: usize = 4096;
/// Before the first chunk has ended, so many chunks of one item are in flight.
const UNMEASURED: usize = 4;

/// The calls of a function for items, and an iterator over their results; `f.map(items)` and `f.map_unordered(items)` make it. In async
/// code use [`stream`](Self::stream).
///
/// It is lazy: the first calls are submitted when the first result is asked for. Then at most
/// [`max_in_flight`](Self::max_in_flight) calls are submitted and not yet taken. A call that fails gives an `Err`, and the iteration
/// goes on. When the iterator is dropped, calls that were submitted run to their end.
///
/// An item is what `f.remote(..)` takes: a value, or a reference to one.
///
/// # Panics
/// With `map_unordered`, an iteration panics if no thread is left that could run the calls; with `map` that is the error `Threads`.
#[must_use = "nothing is submitted before the first result is asked for"]
pub struct Map<F, I>
where
    I: Iterator,
    F: RemoteFunction<(I::Item,)>,
{
    function: F,
    items: Fuse<I>,
    calls: Window<F::Output>,
}

impl<F, I> fmt::Debug for Map<F, I>
where
    I: Iterator,
    F: RemoteFunction<(I::Item,)>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Map({} in flight)", self.calls.len())
    }
}

impl<F, I> Map<F, I>
where
    I: Iterator,
    F: RemoteFunction<(I::Item,)>,
{
    /// The results come in the order of the items, or in that in which the calls end; for the generated code.
    #[doc(hidden)]
    #[track_caller]
    pub fn new(function: F, items: impl IntoIterator<IntoIter = I>, ordered: bool) -> Self {
        Self { function, items: items.into_iter().fuse(), calls: Window::new(ordered, Location::caller()) }
    }

    /// Sets how many calls may be in flight: submitted, and their results not taken. The default is 100.
    ///
    /// # Panics
    /// If the number is 0.
    #[track_caller]
    pub fn max_in_flight(mut self, calls: usize) -> Self {
        self.calls.limit(calls);
        self
    }

    fn fill(&mut self) {
        while self.calls.has_room() {
            let Some(item) = self.items.next() else { return };
            self.calls.push(self.function.remote((item,)), 1);
        }
    }

    /// Converts this into a stream, for async code.
    pub fn stream(self) -> MapStream<Self> {
        MapStream(self)
    }
}

impl<F, I, P> Map<F, I>
where
    F: Function<Args = (P,), Refs: WholeRefs>,
    I: Iterator,
    P: FromArgument<I::Item>,
{
    /// Puts the calls for several items into one task, which runs them one after the other: a task costs more than a short body. With
    /// [`Chunk::Auto`] the engine measures the bodies, and makes chunks of half a millisecond. An item that is a reference has a task of
    /// its own, which starts when the object is ready. [`max_in_flight`](MapChunks::max_in_flight) counts tasks.
    ///
    /// A call that fails does not keep the later calls of its chunk from running. Retries of the attribute (`retry_exceptions`) call
    /// the function again for that item.
    ///
    /// # Panics
    /// If the number of items is 0; for an `async fn`, whose calls take no CPU while they wait; and if results were asked for before.
    #[track_caller]
    pub fn chunk(self, size: impl Into<Chunk>) -> MapChunks<F, I, P> {
        let size = size.into();
        assert!(self.calls.len() == 0, "call `chunk` before the first result is asked for");
        assert!(!matches!(size, Chunk::Items(0)), "the number of items in a chunk must be at least 1");
        assert!(
            matches!(F::CALL, FunctionCall::Sync(_)),
            "`{}` is an async fn: call `map` without `chunk`, its calls run side by side",
            F::SPEC.name()
        );
        let calls = Window::new(self.calls.is_ordered(), self.calls.site);
        let calls = Window { most: self.calls.most, ..calls };
        MapChunks {
            function: PhantomData,
            items: self.items,
            next: None,
            calls,
            size,
            per_item: None,
            outcomes: Vec::new().into_iter(),
        }
    }
}

impl<F, I> Iterator for Map<F, I>
where
    I: Iterator,
    F: RemoteFunction<(I::Item,)>,
{
    type Item = Result<F::Output>;

    fn next(&mut self) -> Option<Result<F::Output>> {
        self.fill();
        Some(self.calls.next()?.0)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.calls.hint(self.items.size_hint())
    }
}

/// How many calls a task of [`Map::chunk`] makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chunk {
    /// This number of calls.
    Items(usize),
    /// As many as take half a millisecond.
    Auto,
}

impl From<usize> for Chunk {
    fn from(items: usize) -> Self {
        Chunk::Items(items)
    }
}

/// [`Map`] with tasks that make several calls each; [`Map::chunk`] makes it.
#[must_use = "nothing is submitted before the first result is asked for"]
pub struct MapChunks<F: Function, I: Iterator, P> {
    function: PhantomData<fn(P) -> F>,
    items: Fuse<I>,
    /// Arguments that the last chunk has no place for.
    next: Option<(P,)>,
    calls: Window<Results<F::Output>>,
    size: Chunk,
    /// The measured time of a call.
    per_item: Option<Duration>,
    outcomes: std::vec::IntoIter<Outcome<F::Output>>,
}

impl<F: Function, I: Iterator, P> fmt::Debug for MapChunks<F, I, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MapChunks({:?}, {} in flight)", self.size, self.calls.len())
    }
}

impl<F, I, P> MapChunks<F, I, P>
where
    F: Function<Args = (P,), Refs: WholeRefs>,
    I: Iterator,
    P: FromArgument<I::Item>,
    (P,): ArgList,
{
    /// Sets how many tasks may be in flight: submitted, and their results not taken. The default is 100.
    ///
    /// # Panics
    /// If the number is 0.
    #[track_caller]
    pub fn max_in_flight(mut self, tasks: usize) -> Self {
        self.calls.limit(tasks);
        self
    }

    /// How many items the next chunk has at most; `None`: the first chunks have to end first.
    fn length(&self) -> Option<usize> {
        match (self.size, self.per_item) {
            (Chunk::Items(items), _) => Some(items),
            (Chunk::Auto, None) => (self.calls.len() < UNMEASURED).then_some(1),
            (Chunk::Auto, Some(per_item)) => {
                let fitting = CHUNK_TIME.as_nanos() / per_item.as_nanos().max(1);
                let items = usize::try_from(fitting).unwrap_or(usize::MAX).clamp(1, LARGEST_CHUNK);
                // Towards the end the chunks become smaller, so that all CPUs have work to the end.
                let left = self.items.size_hint().1.map_or(usize::MAX, |left| left / 8);
                Some(items.min(left.max(1)))
            }
        }
    }

    fn fill(&mut self) {
        while self.calls.has_room() {
            let Some(length) = self.length() else { return };
            let mut chunk = Vec::with_capacity(length.min(self.items.size_hint().1.unwrap_or(length)));
            while chunk.len() < length {
                let args = self.next.take().or_else(|| Some((P::from_argument(self.items.next()?),)));
                let Some(args) = args else { break };
                if args.is_plain() {
                    chunk.push(args);
                    continue;
                }
                if chunk.is_empty() {
                    chunk.push(args);
                } else {
                    self.next = Some(args);
                }
                break;
            }
            if chunk.is_empty() {
                return;
            }
            let items = chunk.len();
            self.calls.push(submit_chunk::<F>(chunk), items);
        }
    }

    fn take(&mut self, ended: (Result<Results<F::Output>>, usize)) {
        let outcomes = match ended {
            (Ok(results), items) => {
                let per_item = results.took / u32::try_from(items).unwrap_or(u32::MAX).max(1);
                self.per_item = Some(match self.per_item {
                    // A moving mean: items may differ.
                    Some(before) => (before * 3 + per_item) / 4,
                    None => per_item,
                });
                results.outcomes
            }
            (Err(error), items) => (0..items).map(|_| Err(error.clone())).collect(),
        };
        self.outcomes = outcomes.into_iter();
    }

    /// Converts this into a stream, for async code.
    pub fn stream(self) -> MapStream<Self> {
        MapStream(self)
    }
}

fn submit_chunk<F: Function>(chunk: Vec<F::Args>) -> ObjectRef<Results<F::Output>> {
    let mut options = CallOptions::new();
    if F::OPTIONS.name.is_none() {
        options.name(F::SPEC.name());
    }
    match options.over_task(&F::OPTIONS, UNITS) {
        Ok(settings) => submit::submit_settings::<ChunkBody<F>>(Many(chunk), settings, None),
        Err(error) => ObjectRef::failed(error, crate::base::epoch::current()),
    }
}

impl<F, I, P> Iterator for MapChunks<F, I, P>
where
    F: Function<Args = (P,), Refs: WholeRefs>,
    I: Iterator,
    P: FromArgument<I::Item>,
    (P,): ArgList,
{
    type Item = Result<F::Output>;

    fn next(&mut self) -> Option<Result<F::Output>> {
        loop {
            if let Some(outcome) = self.outcomes.next() {
                return Some(outcome);
            }
            self.fill();
            let ended = self.calls.next()?;
            self.take(ended);
        }
    }
}

/// [`Map`] or [`MapChunks`] as a stream; [`Map::stream`] makes it.
#[derive(Debug)]
#[must_use = "nothing is submitted before the first result is asked for"]
pub struct MapStream<M>(M);

// Nothing in it is pinned: items and calls are polled in place only through types that are `Unpin`.
impl<M> Unpin for MapStream<M> {}

impl<F, I> Stream for MapStream<Map<F, I>>
where
    I: Iterator,
    F: RemoteFunction<(I::Item,)>,
    F::Output: Clone,
{
    type Item = Result<F::Output>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<F::Output>>> {
        let map = &mut self.0;
        map.fill();
        map.calls.poll_next(context).map(|ended| ended.map(|(result, _)| result))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        Iterator::size_hint(&self.0)
    }
}

impl<F, I, P> Stream for MapStream<MapChunks<F, I, P>>
where
    F: Function<Args = (P,), Refs: WholeRefs>,
    I: Iterator,
    P: FromArgument<I::Item>,
    (P,): ArgList,
    F::Output: Clone,
{
    type Item = Result<F::Output>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<F::Output>>> {
        let map = &mut self.0;
        loop {
            if let Some(outcome) = map.outcomes.next() {
                return Poll::Ready(Some(outcome));
            }
            map.fill();
            match ready!(map.calls.poll_next(context)) {
                Some(ended) => map.take(ended),
                None => return Poll::Ready(None),
            }
        }
    }
}

/// The calls in flight.
struct Window<T> {
    calls: Calls<T>,
    /// A call that has ended, whose value is on its way.
    arriving: Option<Call<T>>,
    most: usize,
    /// A wait is not possible here, so no further call is submitted.
    is_over: bool,
    site: &'static Location<'static>,
}

enum Calls<T> {
    /// In the order of the items.
    Ordered(VecDeque<Call<T>>),
    Unordered(Pending<Call<T>>),
}

/// The result of a call, and the number of its items.
type Ended<T> = (Result<T>, usize);

impl<T: Send + Sync + 'static> Window<T> {
    fn new(ordered: bool, site: &'static Location<'static>) -> Self {
        let calls = if ordered { Calls::Ordered(VecDeque::new()) } else { Calls::Unordered(Pending::from(Vec::new())) };
        Self { calls, arriving: None, most: IN_FLIGHT, is_over: false, site }
    }

    fn is_ordered(&self) -> bool {
        matches!(self.calls, Calls::Ordered(_))
    }

    #[track_caller]
    fn limit(&mut self, most: usize) {
        assert!(most > 0, "max_in_flight must be at least 1");
        self.most = most;
    }

    fn len(&self) -> usize {
        let calls = match &self.calls {
            Calls::Ordered(calls) => calls.len(),
            Calls::Unordered(calls) => calls.len(),
        };
        calls + usize::from(self.arriving.is_some())
    }

    fn has_room(&self) -> bool {
        !self.is_over && self.len() < self.most
    }

    fn push(&mut self, object: ObjectRef<T>, items: usize) {
        let call = Call { object, items };
        match &mut self.calls {
            Calls::Ordered(calls) => calls.push_back(call),
            Calls::Unordered(calls) => calls.push(call),
        }
    }

    /// The size of the iterator over the results, where one item is one call.
    fn hint(&self, (least, most): (usize, Option<usize>)) -> (usize, Option<usize>) {
        (least.saturating_add(self.len()), most.and_then(|most| most.checked_add(self.len())))
    }

    /// Waits for the next call; `None`: no call is in flight.
    fn next(&mut self) -> Option<Ended<T>> {
        if self.len() > 0
            && let Ok(state) = thread::current()
            && let Err(error) = may_block(state, self.site)
        {
            return Some(self.end_with(error));
        }
        let call = match &mut self.calls {
            Calls::Ordered(calls) => Ok(calls.pop_front()),
            Calls::Unordered(calls) => calls.next_completed(self.site),
        };
        let Call { object, items } = match call {
            Ok(call) => call?,
            Err(error) => return Some(self.end_with(error)),
        };
        let value = object.take().map_err(|error| match error {
            TakeError::Failed(error) => error,
            TakeError::Shared(_) => {
                Error::new(ErrorKind::InvalidArgument, "another reference to the object of a mapped call exists")
            }
        });
        Some((value, items))
    }

    /// Drops all calls: the caller cannot wait for any of them, so a loop that goes on after this error ends.
    fn end_with(&mut self, error: Error) -> Ended<T> {
        self.calls = Window::new(self.is_ordered(), self.site).calls;
        self.is_over = true;
        (Err(error), 1)
    }

    /// As [`next`](Self::next), in async code.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Ended<T>>>
    where
        T: Clone,
    {
        if self.arriving.is_none() {
            self.arriving = match &mut self.calls {
                Calls::Ordered(calls) => calls.pop_front(),
                Calls::Unordered(calls) => ready!(calls.poll_completed(context, self.site)),
            };
        }
        let Some(call) = &mut self.arriving else { return Poll::Ready(None) };
        let value = ready!(Pin::new(&mut call.object).poll(context));
        let items = call.items;
        self.arriving = None;
        Poll::Ready(Some((value, items)))
    }
}
