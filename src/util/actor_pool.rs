//! A pool of actors that share work.

pub(super) mod map;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;
use std::time::{Duration, Instant};

use futures::StreamExt;
use ray_core::__private::Actor;
use ray_core::{ActorHandle, ActorState, AnyRef, Error, ErrorKind, ObjectRef, Result};

/// A number of actors of one class that share work: each call goes to an actor that is idle.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/actors/actor-utils.html#actor-pool).
///
/// A call is made by a closure of an actor's handle and a value, so it can be a call of any method. All calls of one pool have
/// results of one type, `T`; two pools may contain the same actors.
///
/// ```
/// use ray::remote;
/// use ray::util::ActorPool;
///
/// #[remote]
/// struct Model {
///     factor: u64,
/// }
///
/// #[remote]
/// impl Model {
///     pub fn new(factor: u64) -> Self {
///         Model { factor }
///     }
///     pub fn predict(&self, x: u64) -> u64 {
///         self.factor * x
///     }
/// }
///
/// let mut pool = ActorPool::new([Model::remote(2), Model::remote(2)]);
/// let doubled: ray::Result<Vec<u64>> = pool.map(|actor, x| actor.predict.remote(x), 1..=4).collect();
/// assert_eq!(doubled?, [2, 4, 6, 8]);
/// # Ok::<(), ray::Error>(())
/// ```
///
/// # When an actor dies
///
/// The error of a call is the item of its value: the other values go on. An actor that is dead after a call leaves the pool, and an
/// actor that restarts stays. When no actor is left, the values that still wait get an error of kind `ActorDied`;
/// [`push`](Self::push) adds another actor before.
///
/// # Differences to Ray
///
/// An actor is idle as soon as its call has ended; in Ray it is idle when the result was got. [`get_next`](Self::get_next) may be used
/// after [`get_next_unordered`](Self::get_next_unordered). [`map`](Self::map) does not drop the results of earlier
/// [`submit`](Self::submit)s. "No more results" is `None`.
pub struct ActorPool<A: Actor, T> {
    idle: Vec<ActorHandle<A>>,
    running: Vec<Running<A, T>>,
    /// Submissions for which no actor is idle, in order.
    waiting: VecDeque<(Index, Work<A, T>)>,
    /// Ended calls whose results were not taken.
    finished: BTreeMap<Index, Outcome<T>>,
    /// Submissions whose results were not taken, in order.
    submitted: VecDeque<Index>,
    /// Calls whose results nobody wants.
    skipped: HashSet<Index>,
    next: Index,
}

/// The number of a call.
type Index = u64;

type Work<A, T> = Box<dyn FnOnce(&ActorHandle<A>) -> ObjectRef<T> + Send>;

struct Running<A: Actor, T> {
    index: Index,
    actor: ActorHandle<A>,
    object: ObjectRef<T>,
}

/// The end of a call.
enum Outcome<T> {
    Ended(ObjectRef<T>),
    /// It was never made, because no actor was left.
    NoActor,
}

impl<A: Actor, T> fmt::Debug for ActorPool<A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (idle, running, waiting) = (self.idle.len(), self.running.len(), self.waiting.len());
        write!(f, "ActorPool({idle} idle actors, {running} calls running, {waiting} waiting)")
    }
}

impl<A: Actor, T: Clone + Send + Sync + 'static> ActorPool<A, T> {
    /// A pool of these actors. An actor that occurs twice is in the pool once.
    pub fn new(actors: impl IntoIterator<Item = ActorHandle<A>>) -> Self {
        let mut known = HashSet::new();
        let mut idle: Vec<_> = actors.into_iter().filter(|actor| known.insert(actor.clone())).collect();
        // The first actor gets the first call.
        idle.reverse();
        Self {
            idle,
            running: Vec::new(),
            waiting: VecDeque::new(),
            finished: BTreeMap::new(),
            submitted: VecDeque::new(),
            skipped: HashSet::new(),
            next: 0,
        }
    }

    /// Calls `f(actor, value)` with an idle actor; if there is none, as soon as one is idle and a method of the pool is called.
    /// [`get_next`](Self::get_next) and [`get_next_unordered`](Self::get_next_unordered) return the results.
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
    /// let mut pool = ActorPool::new([Doubler::remote()]);
    /// pool.submit(|actor, x| actor.double.remote(x), 1);
    /// pool.submit(|actor, x| actor.double.remote(x), 2);
    /// while let Some(result) = pool.get_next() {
    ///     println!("{}", result?); // 2, then 4
    /// }
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn submit<V: Send + 'static>(&mut self, f: impl FnOnce(&ActorHandle<A>, V) -> ObjectRef<T> + Send + 'static, value: V) {
        self.release_ended();
        let index = self.new_index();
        self.submitted.push_back(index);
        self.waiting.push_back((index, Box::new(move |actor| f(actor, value))));
        self.start_waiting();
    }

    /// Whether a submission has a result that was not taken yet.
    #[must_use]
    pub fn has_next(&self) -> bool {
        !self.submitted.is_empty()
    }

    /// The next result in the order of the submissions; `None`: all results were taken. Waits until the call has ended.
    ///
    /// # Errors
    /// The error of the call; `ActorDied` if no actor was left for it. If the wait itself fails, for example because the calling body
    /// was cancelled, that error, and the result stays.
    #[track_caller]
    pub fn get_next(&mut self) -> Option<Result<T>> {
        self.get_until(true, None)
    }

    /// As [`get_next`](Self::get_next), but waits at most for `timeout`. After that the error is of kind `GetTimeout`, and the result
    /// stays; [`skip_next`](Self::skip_next) gives it up. Ray's `get_next(timeout=..)`.
    ///
    /// # Errors
    /// Those of [`get_next`](Self::get_next), and `GetTimeout`.
    #[track_caller]
    pub fn get_next_timeout(&mut self, timeout: Duration) -> Option<Result<T>> {
        self.get_until(true, Instant::now().checked_add(timeout))
    }

    /// The result of any submission whose call has ended; `None`: all results were taken. Waits until a call has ended.
    ///
    /// # Errors
    /// Those of [`get_next`](Self::get_next).
    #[track_caller]
    pub fn get_next_unordered(&mut self) -> Option<Result<T>> {
        self.get_until(false, None)
    }

    /// As [`get_next_unordered`](Self::get_next_unordered), but waits at most for `timeout`.
    ///
    /// # Errors
    /// Those of [`get_next`](Self::get_next), and `GetTimeout`.
    #[track_caller]
    pub fn get_next_unordered_timeout(&mut self, timeout: Duration) -> Option<Result<T>> {
        self.get_until(false, Instant::now().checked_add(timeout))
    }

    /// As [`get_next`](Self::get_next), for async code. If the future is dropped, the result stays.
    ///
    /// # Errors
    /// Those of [`get_next`](Self::get_next).
    pub async fn get_next_async(&mut self) -> Option<Result<T>> {
        self.get_async(true).await
    }

    /// As [`get_next_unordered`](Self::get_next_unordered), for async code. If the future is dropped, the result stays.
    ///
    /// # Errors
    /// Those of [`get_next`](Self::get_next).
    pub async fn get_next_unordered_async(&mut self) -> Option<Result<T>> {
        self.get_async(false).await
    }

    /// Gives up the next result in the order of the submissions; `false`: there is none. If its call runs, it runs on, and its actor is
    /// idle when it has ended. Ray's `get_next(timeout=.., ignore_if_timedout=True)` does this after the time-out.
    pub fn skip_next(&mut self) -> bool {
        let Some(index) = self.submitted.pop_front() else { return false };
        self.skip(index);
        true
    }

    /// Whether an actor is idle and no submission waits.
    #[must_use]
    pub fn has_free(&mut self) -> bool {
        self.release_ended();
        !self.idle.is_empty() && self.waiting.is_empty()
    }

    /// Adds an actor.
    ///
    /// # Errors
    /// `InvalidArgument`: the actor is in the pool already.
    pub fn push(&mut self, actor: ActorHandle<A>) -> Result<()> {
        if self.idle.contains(&actor) || self.running.iter().any(|running| running.actor == actor) {
            let what = format!("the actor {actor:?} is in the pool already: push each actor once");
            return Err(Error::of_kind(ErrorKind::InvalidArgument, what));
        }
        self.idle.push(actor);
        self.start_waiting();
        Ok(())
    }

    /// Removes an idle actor from the pool; `None`: none is idle, or a submission waits.
    pub fn pop_idle(&mut self) -> Option<ActorHandle<A>> {
        if self.has_free() { self.idle.pop() } else { None }
    }

    #[track_caller]
    fn get_until(&mut self, ordered: bool, deadline: Option<Instant>) -> Option<Result<T>> {
        loop {
            match self.next_ended(ordered)? {
                Some(outcome) => return Some(outcome.get()),
                None => {
                    if let Err(error) = self.wait(deadline) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }

    async fn get_async(&mut self, ordered: bool) -> Option<Result<T>> {
        loop {
            match self.next_ended(ordered)? {
                Some(outcome) => return Some(outcome.get_async().await),
                None => self.wait_async().await,
            }
        }
    }

    /// Takes the result of a submission that has ended. The outer `None`: no submission is left.
    fn next_ended(&mut self, ordered: bool) -> Option<Option<Outcome<T>>> {
        self.release_ended();
        self.fail_stranded();
        let first = self.submitted.front()?;
        let place = if ordered {
            self.finished.contains_key(first).then_some(0)
        } else {
            self.submitted.iter().position(|index| self.finished.contains_key(index))
        };
        let index = place.and_then(|place| self.submitted.remove(place));
        Some(index.and_then(|index| self.finished.remove(&index)))
    }

    fn new_index(&mut self) -> Index {
        self.next += 1;
        self.next
    }

    /// Makes a call with an idle actor.
    fn start(&mut self, index: Index, actor: ActorHandle<A>, f: impl FnOnce(&ActorHandle<A>) -> ObjectRef<T>) {
        match catch_unwind(AssertUnwindSafe(|| f(&actor))) {
            Ok(object) => self.running.push(Running { index, actor, object }),
            Err(panic) => {
                // The panic is the caller's; the pool goes on as if there had been no submission.
                self.idle.push(actor);
                self.submitted.retain(|submitted| *submitted != index);
                resume_unwind(panic)
            }
        }
    }

    fn start_waiting(&mut self) {
        while !self.waiting.is_empty()
            && let Some(actor) = self.idle.pop()
        {
            if let Some((index, work)) = self.waiting.pop_front() {
                self.start(index, actor, work);
            }
        }
    }

    /// Moves the calls that have ended to `finished`, and gives their actors the next work.
    fn release_ended(&mut self) {
        for place in (0..self.running.len()).rev() {
            if !self.running[place].object.is_ready() {
                continue;
            }
            let Running { index, actor, object } = self.running.swap_remove(place);
            if !has_died(&actor, &object) {
                self.idle.push(actor);
            }
            if !self.skipped.remove(&index) {
                self.finished.insert(index, Outcome::Ended(object));
            }
        }
        self.start_waiting();
    }

    /// Whether the pool has no actor, so that nothing can be waited for.
    fn is_empty(&self) -> bool {
        self.idle.is_empty() && self.running.is_empty()
    }

    /// Ends the submissions for which no actor is left.
    fn fail_stranded(&mut self) {
        if self.is_empty() {
            let stranded = self.waiting.drain(..).map(|(index, _)| (index, Outcome::NoActor));
            self.finished.extend(stranded);
        }
    }

    /// Drops the result of a call.
    fn skip(&mut self, index: Index) {
        if self.running.iter().any(|running| running.index == index) {
            self.skipped.insert(index);
        }
        self.waiting.retain(|(waiting, _)| *waiting != index);
        self.finished.remove(&index);
    }

    /// The results of the running calls, each object once.
    fn running(&self) -> Vec<AnyRef> {
        let mut known = HashSet::new();
        self.running.iter().map(|running| running.object.any()).filter(|object| known.insert(object.clone())).collect()
    }

    /// Waits until a running call has ended.
    #[track_caller]
    fn wait(&self, deadline: Option<Instant>) -> Result<()> {
        let first = ray_core::first(1);
        let options = match deadline {
            Some(deadline) => first.timeout(deadline.saturating_duration_since(Instant::now())),
            None => first,
        };
        let (ended, _) = ray_core::wait(self.running(), options)?;
        if ended.is_empty() {
            return Err(Error::of_kind(ErrorKind::GetTimeout, "no call of the pool has ended within the time-out"));
        }
        Ok(())
    }

    async fn wait_async(&mut self) {
        let mut ended = pin!(ray_core::as_completed(self.running()).stream());
        ended.next().await;
    }
}

/// Whether the actor has died, if its call has ended so.
fn has_died<A: Actor, T>(actor: &ActorHandle<A>, object: &ObjectRef<T>) -> bool {
    match object.view() {
        Ok(_) => false,
        // Another actor's death may be the error of the call. On a cluster, in async code, the value may still be elsewhere.
        Err(error) => (error.is_actor_died() || error.is_blocking_in_async()) && actor.state() == ActorState::Dead,
    }
}

fn no_actor() -> Error {
    Error::of_kind(ErrorKind::ActorDied, "no actor is left in the pool: all of them have died; `push` another one")
}

impl<T: Clone> Outcome<T> {
    #[track_caller]
    fn get(self) -> Result<T> {
        match self {
            Self::Ended(object) => ray_core::get(object),
            Self::NoActor => Err(no_actor()),
        }
    }

    async fn get_async(self) -> Result<T> {
        match self {
            Self::Ended(object) => object.await,
            Self::NoActor => Err(no_actor()),
        }
    }
}
