//! `wait` and `as_completed`: references in the order in which they become ready.

pub(super) mod call;
pub(crate) mod completed;
mod set;

use crate::base::epoch;
use std::panic::Location;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Instant;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::options::WaitOptions;
use crate::engine::awaited::{Getter, MOST};
use crate::engine::blocking::last_resort::LastResort;
use crate::engine::blocking::park::Waited;
use crate::engine::blocking::{inline, last_resort, may_block, park};
use crate::engine::thread;
use crate::engine::thread_state::ThreadState;
use crate::object::any::AnyRef;
use crate::object::entry::Header;
use crate::object::object_ref::ObjectRef;
use crate::object::stream::ObjectRefStream;
use crate::task::runner::Bodies;
use set::Set;

/// What can be waited for: an `ObjectRef<T>`, an `AnyRef`, or an `ObjectRefStream<T>`, of which the next item is waited for. Sealed.
pub trait Reference: sealed::Sealed {
    #[doc(hidden)]
    fn place(&self) -> Place<'_>;
}

/// The entry of a reference, for internal use.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    entry: NonNull<Header>,
    header: &'a Header,
}

impl std::fmt::Debug for Place<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Place({:?})", self.entry)
    }
}

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for super::ObjectRef<T> {}
    impl Sealed for super::AnyRef {}
    impl<T> Sealed for super::ObjectRefStream<T> {}
}

impl<T> Reference for ObjectRef<T> {
    fn place(&self) -> Place<'_> {
        Place { entry: self.entry(), header: self.header() }
    }
}

/// A stream is ready when its next item is there, or when it has ended.
impl<T> Reference for ObjectRefStream<T> {
    fn place(&self) -> Place<'_> {
        Place { entry: self.signal().entry(), header: self.signal().header() }
    }
}

impl Reference for AnyRef {
    fn place(&self) -> Place<'_> {
        Place { entry: self.entry(), header: self.header() }
    }
}

/// References to wait for, in order; [`wait`] takes them and returns the rest. [`push`](Self::push) adds further ones. It keeps its registration with the objects, so in a
/// loop of waits each result costs the same, whatever the number of references.
///
/// ```
/// # extern crate ray_core as ray;
/// let mut rest = ray::Pending::from((0..4).map(|x| ray::task(move || x).remote()).collect::<Vec<_>>());
/// let mut sum = 0;
/// while !rest.is_empty() {
///     let (mut done, others) = ray::wait(rest, 1)?;
///     sum += ray::get(done.remove(0))?;
///     rest = others;
/// }
/// assert_eq!(sum, 6);
/// # Ok::<(), ray::Error>(())
/// ```
pub struct Pending<R: Reference> {
    /// Declared before the references, since dropping it unlinks its nodes from the entries that the references keep alive.
    set: Option<Arc<Set>>,
    refs: Vec<Option<R>>,
    left: usize,
    /// The number of results that were handed out.
    head: usize,
    /// The getter itself has tried to run the references from this index on.
    offered: usize,
    /// No reference before this index is left.
    first: usize,
    /// The references before this index were entered in the engine's awaited queue.
    announced: usize,
    /// Whether a reference was pushed, so that the set gets room for more.
    grows: bool,
}

// SAFETY: only the owner and the firing threads use the set, by its rules (`set`), and the references, which are Send, keep the
// entries alive.
unsafe impl<R: Reference + Send> Send for Pending<R> {}
// SAFETY: `&Pending` gives access to the number and to the references, which are Sync, but not to the set.
unsafe impl<R: Reference + Sync> Sync for Pending<R> {}

impl<R: Reference> std::fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pending({} references)", self.left)
    }
}

impl<R: Reference> Pending<R> {
    /// The number of references that are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.left
    }

    /// Whether no reference is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The references that are left, in the order of the input.
    pub fn iter(&self) -> impl Iterator<Item = &R> {
        self.refs.iter().flatten()
    }

    /// Adds a reference behind the others. It keeps the registration, so in a window that moves over many references each one costs
    /// the same, whatever the size of the window. If the object is in the list already, the next wait may not report the duplicate.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let submit = |x: u64| ray::task(move || x).remote();
    /// let mut window: ray::Pending<_> = (0..10).map(submit).collect();
    /// let mut sum = 0;
    /// for x in 10..1000 {
    ///     let (done, rest) = ray::wait(window, 1)?;
    ///     sum += ray::get(done)?[0];
    ///     window = rest;
    ///     window.push(submit(x));
    /// }
    /// sum += ray::get(window)?.iter().sum::<u64>();
    /// assert_eq!(sum, 499_500);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn push(&mut self, object: R) {
        let header = object.place().header;
        let (readiness, is_stale) = (NonNull::from(header.readiness()), epoch::check_object(header.epoch).is_err());
        self.refs.push(Some(object));
        self.left += 1;
        self.offered = self.refs.len();
        self.grows = true;
        // SAFETY: `self.refs` keeps the entry alive until the set is dropped or the reference is taken, when its node is done. This
        // thread has the set for itself.
        if self.set.as_deref().is_some_and(|set| is_stale || !unsafe { set.add(readiness) }) {
            self.forget_registration();
        }
    }

    /// Ends the registration; the next wait makes another one. The places of references that were taken are given up.
    fn forget_registration(&mut self) {
        self.set = None;
        self.refs.retain(Option::is_some);
        (self.head, self.first, self.announced, self.offered) = (0, 0, 0, self.refs.len());
    }

    /// The index of the first reference that is left. It never decreases, so a loop of calls looks at each index once.
    fn first(&mut self) -> Option<usize> {
        while self.refs.get(self.first)?.is_none() {
            self.first += 1;
        }
        Some(self.first)
    }

    /// Registers with every entry when it is called for the first time.
    fn register(&mut self) -> Result<&Set> {
        if self.set.is_none() {
            if self.refs.len() > self.left {
                self.forget_registration();
            }
            let entries: Vec<NonNull<Header>> = self.refs.iter().flatten().map(|object| object.place().entry).collect();
            if set::has_duplicates(&entries) {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "the same reference occurs twice in the input of a wait; pass each object once",
                ));
            }
            for object in self.refs.iter().flatten() {
                epoch::check_object(object.place().header.epoch)?;
            }
            self.offered = entries.len();
            // A wait needs no values.
            let readiness = self.refs.iter().flatten().map(|object| NonNull::from(object.place().header.readiness()));
            let entries: Vec<NonNull<Header>> = readiness.collect();
            // SAFETY: the references keep the entries, and with them the entries of their readiness, alive until the set is dropped:
            // it is declared before them, and `take` removes only a reference whose node is done.
            self.set = Some(unsafe { Set::new(&entries, if self.grows { (2 * entries.len()).max(16) } else { entries.len() }) });
        }
        self.set.as_deref().ok_or_else(epoch::stale_object)
    }

    /// The state of this thread for the engine of the references.
    fn thread(&mut self) -> Result<&'static ThreadState> {
        let first = self.first().ok_or_else(epoch::stale_object)?;
        let first = self.refs[first].as_ref().ok_or_else(epoch::stale_object)?;
        thread::of(first.place().header.epoch)
    }

    /// Takes the next `count` references that are ready, in the order of the input.
    fn take(&mut self, count: usize) -> Vec<R> {
        let Some(set) = self.set.as_deref() else { return Vec::new() };
        if count == 1 {
            let index = set.index(self.head);
            self.head += 1;
            self.left -= 1;
            return self.refs[index].take().into_iter().collect();
        }
        let mut picked: Vec<usize> = (self.head..self.head + count).map(|at| set.index(at)).collect();
        picked.sort_unstable();
        self.head += count;
        self.left -= count;
        picked.into_iter().filter_map(|index| self.refs[index].take()).collect()
    }

    /// Enters the references in the awaited queue, so that their tasks go before new work.
    fn announce(&mut self, state: &ThreadState) {
        let getter = if state.frame().is_some() { Getter::InABody } else { Getter::Outside };
        let from = std::mem::replace(&mut self.announced, self.refs.len());
        for object in self.refs[from..].iter().flatten().take(MOST) {
            state.engine.awaited.enter(object.place().header, getter);
        }
    }

    /// Makes a worker begin the work soon, for a future that is about to wait; runs it here if no worker can be had.
    fn hand_over(&mut self, state: &ThreadState) {
        self.announce(state);
        crate::engine::wake::kick(&state.engine);
        while state.engine.has_no_worker()
            && self.set.as_deref().is_some_and(|set| set.count() <= self.head)
            && crate::engine::worker::run_one_here(state)
        {}
    }

    /// Waits until `need` references are ready.
    fn wait_for(&mut self, state: &ThreadState, need: usize, deadline: Option<Instant>) -> Result<Waited> {
        self.announce(state);
        let mut last_resort = LastResort::default();
        loop {
            let set = self.register()?;
            if set.count() >= need {
                return Ok(Waited::Done);
            }
            let waited = park_for(state, set, need, deadline);
            let open = self.refs.iter().flatten().map(Reference::place);
            let open = open.filter(|place| !place.header.phase().is_settled()).map(|place| place.entry);
            match waited {
                Err(error) if error.is_threads() && deadline.is_none() => {
                    if !last_resort.helps(state, open) {
                        return Err(error);
                    }
                }
                Ok(Waited::Called) => last_resort::answer(state, open),
                waited => return waited,
            }
        }
    }

    /// Runs short unstarted work on this thread until `need` references are ready; each reference is tried once.
    fn help(&mut self, state: &ThreadState, need: usize) {
        while self.offered > 0 && self.set.as_deref().is_some_and(|set| set.count() < need) {
            self.offered -= 1;
            if let Some(object) = &self.refs[self.offered] {
                inline::run(state, object.place().entry, Bodies::Short);
            }
        }
    }
}

impl<R: Reference> From<Vec<R>> for Pending<R> {
    fn from(refs: Vec<R>) -> Self {
        let left = refs.len();
        let refs = refs.into_iter().map(Some).collect();
        Self { set: None, refs, left, head: 0, offered: 0, first: 0, announced: 0, grows: false }
    }
}

impl<R: Reference + Clone> From<&[R]> for Pending<R> {
    fn from(refs: &[R]) -> Self {
        refs.to_vec().into()
    }
}

impl<R: Reference + Clone> From<&Vec<R>> for Pending<R> {
    fn from(refs: &Vec<R>) -> Self {
        refs.clone().into()
    }
}

impl<R: Reference, const N: usize> From<[R; N]> for Pending<R> {
    fn from(refs: [R; N]) -> Self {
        Vec::from(refs).into()
    }
}

impl<R: Reference + Clone, const N: usize> From<&[R; N]> for Pending<R> {
    fn from(refs: &[R; N]) -> Self {
        refs.as_slice().into()
    }
}

/// The references that are left, in the order of the input.
impl<R: Reference> From<Pending<R>> for Vec<R> {
    fn from(pending: Pending<R>) -> Self {
        pending.into_iter().collect()
    }
}

impl<R: Reference> FromIterator<R> for Pending<R> {
    fn from_iter<I: IntoIterator<Item = R>>(refs: I) -> Self {
        refs.into_iter().collect::<Vec<_>>().into()
    }
}

/// Adds each reference as [`Pending::push`] does.
impl<R: Reference> Extend<R> for Pending<R> {
    fn extend<I: IntoIterator<Item = R>>(&mut self, refs: I) {
        refs.into_iter().for_each(|object| self.push(object));
    }
}

impl<R: Reference> IntoIterator for Pending<R> {
    type Item = R;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Option<R>>>;
    /// The references that are left, in the order of the input.
    fn into_iter(mut self) -> Self::IntoIter {
        // The nodes are unlinked first; then the references may be dropped one by one.
        self.set = None;
        std::mem::take(&mut self.refs).into_iter().flatten()
    }
}

/// Waits until `n` of the references are ready, and returns exactly `n` of them and the rest, both in the order of the input. The
/// references that became ready first are returned. A failed or cancelled task counts as ready.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.wait.html).
///
/// The input is a slice, a `Vec`, an array, or the [`Pending`] that the last wait returned. `n` is a number, or
/// [`first(n).timeout(..)`](crate::first), with which fewer are returned when the time is over.
///
/// # Errors
/// `InvalidArgument` if a reference occurs twice, or if `n` is 0 or more than the number of references (for an empty input the
/// result is empty). `BlockingInAsync` and `RuntimeGone` as for [`get`](crate::get). After an error the references are dropped:
/// pass a slice to keep them.
///
/// ```
/// # extern crate ray_core as ray;
/// use std::time::Duration;
/// let refs: Vec<_> = (0..4).map(|x| ray::task(move || x).remote()).collect();
/// let (ready, rest) = ray::wait(&refs, 2)?;
/// assert_eq!((ready.len(), rest.len()), (2, 2));
/// let (ready, rest) = ray::wait(rest, ray::first(2).timeout(Duration::from_secs(60)))?;
/// assert_eq!((ready.len(), rest.is_empty()), (2, true));
/// # Ok::<(), ray::Error>(())
/// ```
#[track_caller]
pub fn wait<R: Reference>(refs: impl Into<Pending<R>>, n: impl Into<WaitOptions>) -> Result<(Vec<R>, Pending<R>)> {
    let site = Location::caller();
    let mut pending = refs.into();
    let WaitOptions { count, timeout } = n.into();
    if pending.is_empty() {
        return Ok((Vec::new(), pending));
    }
    if count == 0 || count > pending.len() {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "the number of references to wait for must be at least 1 and at most the number of references ({}), and is {count}",
                pending.len()
            ),
        ));
    }
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let need = pending.head + count;
    if pending.register()?.count() < need {
        let state = pending.thread()?;
        may_block(state, site)?;
        if timeout.is_none() {
            pending.help(state, need);
        }
        if pending.wait_for(state, need, deadline)? == Waited::TimedOut {
            let set = pending.register()?;
            let there = set.count().saturating_sub(pending.head).min(count);
            return Ok((pending.take(there), pending));
        }
    }
    Ok((pending.take(count), pending))
}

fn park_for(state: &ThreadState, set: &Set, need: usize, deadline: Option<Instant>) -> Result<Waited> {
    for _ in 0..park::LOOKS {
        if set.count() >= need {
            return Ok(Waited::Done);
        }
        std::hint::spin_loop();
    }
    set.arm_thread(need);
    let waited = park::until(state, deadline, || set.count() >= need);
    set.disarm();
    waited
}
