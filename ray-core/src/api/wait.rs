//! `wait` and `as_completed`: the results that are there first.

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
use crate::task::runner::Bodies;
use set::Set;

/// A reference that can be waited for: an `ObjectRef<T>` or an `AnyRef`. Sealed.
pub trait Reference: sealed::Sealed {
    #[doc(hidden)]
    fn place(&self) -> Place;
}

/// An entry, for the engine's own use.
#[derive(Clone, Copy, Debug)]
pub struct Place(NonNull<Header>);

mod sealed {
    pub trait Sealed {}
    impl<T> Sealed for super::ObjectRef<T> {}
    impl Sealed for super::AnyRef {}
}

impl<T> Reference for ObjectRef<T> {
    fn place(&self) -> Place {
        Place(self.entry())
    }
}

impl Reference for AnyRef {
    fn place(&self) -> Place {
        Place(self.entry())
    }
}

/// References that are waited for, in their order; what [`wait`] takes and gives back. It keeps its registration, so
/// that a loop of waits costs the same for each result however many are left.
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
    /// Declared before the references: it unlinks its nodes from their entries.
    set: Option<Arc<Set>>,
    refs: Vec<Option<R>>,
    left: usize,
    /// Results handed out so far.
    head: usize,
    /// Those from here on have been offered to be run by the getter itself.
    offered: usize,
    /// None before it is left.
    first: usize,
    /// The engine knows that they are awaited.
    announced: bool,
}

// SAFETY: the set is only touched through the references' entries, which are Sync, and by its owner.
unsafe impl<R: Reference + Send> Send for Pending<R> {}
// SAFETY: a shared one can only be counted and iterated.
unsafe impl<R: Reference + Sync> Sync for Pending<R> {}

impl<R: Reference> std::fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pending({} references)", self.left)
    }
}

impl<R: Reference> Pending<R> {
    /// How many are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.left
    }

    /// None is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Those that are left, in the order they were given.
    pub fn iter(&self) -> impl Iterator<Item = &R> {
        self.refs.iter().flatten()
    }

    /// The place of the first that is left. It only grows, so that a loop of calls looks at each place once.
    fn first(&mut self) -> Option<usize> {
        while self.refs.get(self.first)?.is_none() {
            self.first += 1;
        }
        Some(self.first)
    }

    /// Registers with every entry, once.
    fn register(&mut self) -> Result<&Set> {
        if self.set.is_none() {
            let entries: Vec<NonNull<Header>> = self.refs.iter().flatten().map(|object| object.place().0).collect();
            if set::has_duplicates(&entries) {
                return Err(Error::new(
                    ErrorKind::InvalidArgument,
                    "the same reference stands twice among those to wait for; give each object once",
                ));
            }
            for entry in &entries {
                // SAFETY: the references keep their entries alive.
                epoch::check_object(unsafe { entry.as_ref() }.epoch)?;
            }
            self.offered = entries.len();
            // SAFETY: the set is dropped before the references (field order, and `take` below leaves nodes done).
            self.set = Some(unsafe { Set::new(&entries) });
        }
        self.set.as_deref().ok_or_else(epoch::stale_object)
    }

    /// The state of this thread, for the engine that the references are of.
    fn thread(&mut self) -> Result<&'static ThreadState> {
        let first = self.first().ok_or_else(epoch::stale_object)?;
        let first = self.refs[first].as_ref().ok_or_else(epoch::stale_object)?.place().0;
        // SAFETY: the reference keeps its entry alive.
        thread::of(unsafe { first.as_ref() }.epoch)
    }

    /// The next `count` that are there, in input order.
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

    /// This thread is about to wait for them: they go before fresh work.
    fn announce(&mut self, state: &ThreadState) {
        let getter = if state.frame().is_some() { Getter::InABody } else { Getter::Outside };
        if !std::mem::replace(&mut self.announced, true) {
            for object in self.refs.iter().flatten().take(MOST) {
                // SAFETY: the reference keeps its entry alive.
                state.engine.awaited.enter(unsafe { object.place().0.as_ref() }, getter);
            }
        }
    }

    /// A future is about to wait for them: they are begun soon, here if no worker can be had.
    fn hand_over(&mut self, state: &ThreadState) {
        self.announce(state);
        crate::engine::wake::kick(&state.engine);
        while state.engine.has_no_worker()
            && self.set.as_deref().is_some_and(|set| set.count() <= self.head)
            && crate::engine::worker::run_one_here(state)
        {}
    }

    /// Waits until `need` are there.
    fn wait_for(&mut self, state: &ThreadState, need: usize, deadline: Option<Instant>) -> Result<Waited> {
        self.announce(state);
        let mut last_resort = LastResort::default();
        loop {
            let set = self.register()?;
            if set.count() >= need {
                return Ok(Waited::Done);
            }
            let waited = park_for(state, set, need, deadline);
            let open = self.refs.iter().flatten().map(|object| object.place().0).filter(|entry| {
                // SAFETY: the reference keeps its entry alive.
                !unsafe { entry.as_ref() }.phase().is_settled()
            });
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

    /// Runs short unstarted work here until `need` are there; each is offered once.
    fn help(&mut self, state: &ThreadState, need: usize) {
        while self.offered > 0 && self.set.as_deref().is_some_and(|set| set.count() < need) {
            self.offered -= 1;
            if let Some(object) = &self.refs[self.offered] {
                inline::run(state, object.place().0, Bodies::Short);
            }
        }
    }
}

impl<R: Reference> From<Vec<R>> for Pending<R> {
    fn from(refs: Vec<R>) -> Self {
        let left = refs.len();
        Self { set: None, refs: refs.into_iter().map(Some).collect(), left, head: 0, offered: 0, first: 0, announced: false }
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

impl<R: Reference> FromIterator<R> for Pending<R> {
    fn from_iter<I: IntoIterator<Item = R>>(refs: I) -> Self {
        refs.into_iter().collect::<Vec<_>>().into()
    }
}

impl<R: Reference> IntoIterator for Pending<R> {
    type Item = R;
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Option<R>>>;
    /// Those that are left, in the order they were given.
    fn into_iter(mut self) -> Self::IntoIter {
        // The nodes leave the entries first; then the references may go one by one.
        self.set = None;
        std::mem::take(&mut self.refs).into_iter().flatten()
    }
}

/// Waits until `n` of the references are ready, and returns exactly that many and the rest, both in the order of the
/// input. Which ones is decided by the order in which they became ready. A failed or cancelled task counts as ready.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.wait.html).
///
/// Takes a slice, a `Vec`, an array, or the [`Pending`] that the last wait gave back, and `n` or
/// [`first(n).timeout(..)`](crate::first), with which fewer come back when the time is over.
///
/// # Errors
/// `InvalidArgument`: a reference stands there twice, `n` is 0, or more than there are (an empty input gives two
/// empties). `BlockingInAsync`, `RuntimeGone` as [`get`](crate::get). The references are dropped then: wait for a slice
/// to keep them.
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
            format!("wait for at least 1 and at most as many as there are ({}), not {count}", pending.len()),
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
    set.alert_thread(need);
    let waited = park::until(state, deadline, || set.count() >= need);
    set.calm();
    waited
}
