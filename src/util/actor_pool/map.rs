//! The iterators of [`ActorPool::map`] and [`ActorPool::map_unordered`].

use std::collections::VecDeque;
use std::fmt;
use std::iter::{Fuse, Peekable};

use ray_core::__private::Actor;
use ray_core::{ActorHandle, ObjectRef, Result};

use super::{ActorPool, Index, Outcome, no_actor};

/// How many results an ordered map may keep for each actor while it waits for an earlier one.
const AHEAD: usize = 16;

/// The results of [`ActorPool::map`] or [`ActorPool::map_unordered`].
///
/// The item of a value is its result or its error. After the error of a wait, for example of a cancelled body, and after the error
/// that no actor is left, the iterator ends; the values that it has not taken then have no item.
#[must_use = "an iterator does nothing until it is used"]
pub struct ActorMap<'a, A: Actor, T: Clone + Send + Sync + 'static, I: Iterator, F> {
    pool: &'a mut ActorPool<A, T>,
    progress: Progress<I, F>,
}

/// How far a map is.
pub(in crate::util) struct Progress<I: Iterator, F> {
    values: Peekable<Fuse<I>>,
    f: F,
    ordered: bool,
    /// The calls whose results were not returned, in order.
    calls: VecDeque<Index>,
    is_over: bool,
}

impl<A: Actor, T: Clone + Send + Sync + 'static, I: Iterator, F> fmt::Debug for ActorMap<'_, A, T, I, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorMap({} calls, {:?})", self.progress.calls.len(), self.pool)
    }
}

/// What an iterator does next.
enum Step<T> {
    Item(Result<T>),
    Ended(Outcome<T>),
    Wait,
    Over,
}

impl<I: Iterator, F> Progress<I, F> {
    pub(in crate::util) fn new(values: I, f: F, ordered: bool) -> Self {
        Self { values: values.fuse().peekable(), f, ordered, calls: VecDeque::new(), is_over: false }
    }

    /// Gives values to the idle actors.
    fn start_calls<A, T>(&mut self, pool: &mut ActorPool<A, T>)
    where
        A: Actor,
        T: Clone + Send + Sync + 'static,
        F: FnMut(&ActorHandle<A>, I::Item) -> ObjectRef<T>,
    {
        pool.release_ended();
        loop {
            let most = AHEAD.saturating_mul(pool.idle.len() + pool.running.len());
            if self.calls.len() >= most {
                return;
            }
            if pool.idle.is_empty() {
                return;
            }
            // The iterator and the closure are the user's, and may panic: the actor and the index are entered after that.
            let Some(value) = self.values.next() else { return };
            let Some(actor) = pool.idle.pop() else { return };
            let index = pool.new_index();
            let f = &mut self.f;
            pool.start(index, actor, |actor| f(actor, value));
            self.calls.push_back(index);
        }
    }

    fn step<A, T>(&mut self, pool: &mut ActorPool<A, T>) -> Step<T>
    where
        A: Actor,
        T: Clone + Send + Sync + 'static,
        F: FnMut(&ActorHandle<A>, I::Item) -> ObjectRef<T>,
    {
        if self.is_over {
            return Step::Over;
        }
        self.start_calls(pool);
        let finished = &mut pool.finished;
        let place = if self.ordered {
            self.calls.front().and_then(|first| finished.contains_key(first).then_some(0))
        } else {
            self.calls.iter().position(|index| finished.contains_key(index))
        };
        if let Some(outcome) = place.and_then(|place| self.calls.remove(place)).and_then(|index| finished.remove(&index)) {
            // The next call of the actor runs while the caller handles this result.
            self.start_calls(pool);
            return Step::Ended(outcome);
        }
        if self.calls.is_empty() && self.values.peek().is_none() {
            self.is_over = true;
            return Step::Over;
        }
        if pool.is_empty() {
            self.is_over = true;
            return Step::Item(Err(no_actor()));
        }
        // Calls of this map run, or calls that were submitted before have all actors.
        Step::Wait
    }

    /// The next result.
    #[track_caller]
    pub(in crate::util) fn next<A, T>(&mut self, pool: &mut ActorPool<A, T>) -> Option<Result<T>>
    where
        A: Actor,
        T: Clone + Send + Sync + 'static,
        F: FnMut(&ActorHandle<A>, I::Item) -> ObjectRef<T>,
    {
        loop {
            match self.step(pool) {
                Step::Item(item) => return Some(item),
                Step::Ended(outcome) => return Some(outcome.get()),
                Step::Wait => {
                    if let Err(error) = pool.wait(None) {
                        self.is_over = true;
                        return Some(Err(error));
                    }
                }
                Step::Over => return None,
            }
        }
    }
}

impl<A: Actor, T: Clone + Send + Sync + 'static> ActorPool<A, T> {
    /// The results of `f(actor, value)` for all values, in the order of the values.
    ///
    /// The iterator is lazy: it takes a value when an actor is idle, so nothing happens before its first `next`, and the values may be
    /// infinite. While the first result is waited for, the other actors go on with at most 16 further values for each actor. When
    /// the iterator is dropped, calls that run end, and their results are dropped.
    ///
    /// In async code use [`ActorMap::next_async`].
    ///
    /// ```
    /// # use ray::remote;
    /// # use ray::util::ActorPool;
    /// # #[remote]
    /// # struct Counter;
    /// # #[remote]
    /// # impl Counter {
    /// #     pub fn new() -> Self { Counter }
    /// #     pub fn check(&self, x: u64) -> Result<u64, String> {
    /// #         if x == 1 { Err("one is not allowed".to_owned()) } else { Ok(x) }
    /// #     }
    /// # }
    /// let mut pool = ActorPool::new([Counter::remote(), Counter::remote()]);
    /// let checked: Vec<ray::Result<u64>> = pool.map(|actor, x| actor.check.remote(x), 0..3).collect();
    /// assert!(checked[0].is_ok() && checked[1].is_err() && checked[2].is_ok()); // an error is an item
    /// ```
    pub fn map<I, F>(&mut self, f: F, values: I) -> ActorMap<'_, A, T, I::IntoIter, F>
    where
        I: IntoIterator,
        F: FnMut(&ActorHandle<A>, I::Item) -> ObjectRef<T>,
    {
        ActorMap { pool: self, progress: Progress::new(values.into_iter(), f, true) }
    }

    /// As [`map`](Self::map), but each result is returned as soon as it is there.
    ///
    /// ```
    /// # use ray::remote;
    /// # use ray::util::ActorPool;
    /// # #[remote]
    /// # struct Adder;
    /// # #[remote]
    /// # impl Adder {
    /// #     pub fn new() -> Self { Adder }
    /// #     pub fn add_one(&self, x: u64) -> u64 { x + 1 }
    /// # }
    /// let mut pool = ActorPool::new([Adder::remote(), Adder::remote()]);
    /// let sum: ray::Result<u64> = pool.map_unordered(|actor, x| actor.add_one.remote(x), 0..4).sum();
    /// assert_eq!(sum?, 10);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn map_unordered<I, F>(&mut self, f: F, values: I) -> ActorMap<'_, A, T, I::IntoIter, F>
    where
        I: IntoIterator,
        F: FnMut(&ActorHandle<A>, I::Item) -> ObjectRef<T>,
    {
        ActorMap { pool: self, progress: Progress::new(values.into_iter(), f, false) }
    }
}

impl<A, T, I, F> ActorMap<'_, A, T, I, F>
where
    A: Actor,
    T: Clone + Send + Sync + 'static,
    I: Iterator,
    F: FnMut(&ActorHandle<A>, I::Item) -> ObjectRef<T>,
{
    /// The next result, for async code. If the future is dropped, the result stays.
    ///
    /// ```
    /// # use ray::remote;
    /// # use ray::util::ActorPool;
    /// # #[remote]
    /// # struct Doubler;
    /// # #[remote]
    /// # impl Doubler {
    /// #     pub fn new() -> Self { Doubler }
    /// #     pub fn double(&self, x: u64) -> u64 { 2 * x }
    /// # }
    /// # futures::executor::block_on(async {
    /// let mut pool = ActorPool::new([Doubler::remote(), Doubler::remote()]);
    /// let mut results = pool.map(|actor, x| actor.double.remote(x), 0..4);
    /// let mut sum = 0;
    /// while let Some(result) = results.next_async().await {
    ///     sum += result?;
    /// }
    /// assert_eq!(sum, 12);
    /// # Ok::<(), ray::Error>(())
    /// # })?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub async fn next_async(&mut self) -> Option<Result<T>> {
        loop {
            match self.progress.step(self.pool) {
                Step::Item(item) => return Some(item),
                Step::Ended(outcome) => return Some(outcome.get_async().await),
                Step::Wait => self.pool.wait_async().await,
                Step::Over => return None,
            }
        }
    }
}

impl<A, T, I, F> Iterator for ActorMap<'_, A, T, I, F>
where
    A: Actor,
    T: Clone + Send + Sync + 'static,
    I: Iterator,
    F: FnMut(&ActorHandle<A>, I::Item) -> ObjectRef<T>,
{
    type Item = Result<T>;

    #[track_caller]
    fn next(&mut self) -> Option<Result<T>> {
        self.progress.next(self.pool)
    }
}

impl<A: Actor, T: Clone + Send + Sync + 'static, I: Iterator, F> Drop for ActorMap<'_, A, T, I, F> {
    fn drop(&mut self) {
        for index in self.progress.calls.drain(..) {
            self.pool.skip(index);
        }
    }
}
