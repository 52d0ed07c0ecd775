//! `get` and similar functions: the types that they accept, and their results.

use crate::api::until::{Until, timed_out};
use crate::api::wait::Pending;
use crate::base::epoch;
use std::ptr::NonNull;
use std::time::Duration;

use crate::api::several::{Awaited, Several};
use crate::base::error::{Error, ErrorKind, Result};
use crate::engine::blocking::last_resort::LastResort;
use crate::engine::blocking::park::Waited;
use crate::engine::blocking::{inline, last_resort, park};
use crate::engine::thread;
use crate::object::any::AnyRef;
use crate::object::entry::Header;
use crate::object::object_ref::ObjectRef;
use crate::object::part;
use crate::object::state::Phase;
use crate::object::view::{TakeError, View};
use crate::task::runner::Bodies;

/// The types that [`get`] and [`get_all_settled`] accept: an `ObjectRef<T>` or `&ObjectRef<T>`, a `Vec`, slice or array of them, a
/// [`Pending`](crate::Pending), or a tuple of references to objects of different types.
#[diagnostic::on_unimplemented(
    message = "`ray::get` takes references to objects that are `Clone`, not `{Self}`",
    label = "expected `ObjectRef<T>`, `&ObjectRef<T>`, or a `Vec`, slice, array or tuple of them",
    note = "for an iterator of references write `ray::get(iterator.collect::<Vec<_>>())`",
    note = "`get` hands out a value, which it must clone where references are shared: for a type without `Clone` use `reference.take()` or `reference.view()`"
)]
pub trait Get {
    /// The value, or the collection of values in the same order.
    type Output;
    /// The same with a `Result` in the place of each value.
    type Settled;
    /// Waits for the value and returns it.
    #[doc(hidden)]
    fn get_until(self, until: Until) -> Result<Self::Output>;
    /// Waits for all values, and returns what became of each.
    #[doc(hidden)]
    fn settled_until(self, until: Until) -> Self::Settled;
}

/// Returns the value of a reference, or the values of several in the order of the references; blocks until they are ready. The
/// value is moved out if this is the last reference, otherwise cloned.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.get.html).
///
/// Inside a task, other tasks may use the task's CPU during the wait. In async code write `reference.await`.
///
/// # Errors
/// The error of the task; [`Error::downcast_ref`] gives the user's own error. Of several references, the first one that fails,
/// without waiting for the others ([`get_all_settled`] waits). `Deadlock` if the wait would never end; `BlockingInAsync` inside an
/// `async fn` of the engine; `Threads` if no thread can be had to run the awaited work; `RuntimeGone` after a shutdown.
///
/// ```
/// # extern crate ray_core as ray;
/// let (one, two) = (ray::task(|| 1).remote(), ray::task(|| "two").remote());
/// assert_eq!(ray::get((one, two))?, (1, "two"));
/// let squares: Vec<_> = (0..4).map(|x| ray::task(move || x * x).remote()).collect();
/// assert_eq!(ray::get(&squares)?, [0, 1, 4, 9]);
/// # Ok::<(), ray::Error>(())
/// ```
#[track_caller]
#[inline]
pub fn get<G: Get>(objects: G) -> Result<G::Output> {
    objects.get_until(Until::forever())
}

/// Like [`get`], for at most `timeout`. With a zero time-out it returns the value if it is ready. In a body that holds CPUs it
/// returns when the body has its CPUs again, which may be later than the time-out.
///
/// # Errors
/// Those of [`get`]; `GetTimeout` when the time is over. The tasks go on.
///
/// ```
/// # extern crate ray_core as ray;
/// # use std::time::Duration;
/// let slow = ray::task(|| std::thread::sleep(Duration::from_millis(200))).remote();
/// assert!(ray::get_timeout(&slow, Duration::ZERO).unwrap_err().is_timeout());
/// assert!(ray::get_timeout(&slow, Duration::from_secs(60)).is_ok());
/// ```
#[track_caller]
pub fn get_timeout<G: Get>(objects: G, timeout: Duration) -> Result<G::Output> {
    objects.get_until(Until::within(timeout))
}

/// Waits for all references, and returns the value or the error of each, in the shape in which [`get`] returns the values: a `Vec` of
/// `Result`s for a `Vec` of references, one `Result` for one reference.
///
/// ```
/// # extern crate ray_core as ray;
/// let refs = vec![ray::task(|| 1).remote(), ray::task(|| panic!("no")).remote()];
/// let results = ray::get_all_settled(refs);
/// assert!(results[0].is_ok() && results[1].as_ref().unwrap_err().is_panic());
/// let (number, text) = ray::get_all_settled((ray::put(7), ray::put("seven".to_owned())));
/// assert_eq!((number?, text?.len()), (7, 5));
/// # Ok::<(), ray::Error>(())
/// ```
#[track_caller]
pub fn get_all_settled<G: Get>(objects: G) -> G::Settled {
    objects.settled_until(Until::forever())
}

/// Waits until all are settled, before the first value is taken, from the last to the first, so that this thread runs short tasks from
/// its own deque. It ends at the first wait that fails.
fn settle_each(entries: impl DoubleEndedIterator<Item = NonNull<Header>>, until: Until) {
    for entry in entries.rev() {
        if wait_one(entry, until).is_err() {
            break;
        }
    }
}

/// Waits until the entry is settled.
#[inline]
pub(crate) fn wait_one(entry: NonNull<Header>, until: Until) -> Result<()> {
    // SAFETY: the caller has a ref to the entry, so it is alive.
    let header = unsafe { entry.as_ref() };
    epoch::check_object(header.epoch)?;
    let mut last_resort = LastResort::default();
    while !header.phase().is_settled() {
        let state = thread::of(header.epoch)?;
        crate::engine::blocking::may_block(state, until.site)?;
        if until.deadline.is_none() && inline::run(state, entry, Bodies::Short) {
            continue;
        }
        // A part is in `Running` from the start.
        let task = part::producer(header).map_or(header, |whole| whole);
        let unstarted = || task.phase() != Phase::Running;
        let waited = match park::on_entry(state, entry, until.deadline, true, || false, unstarted, until.site) {
            Err(error) if error.is_threads() && until.deadline.is_none() => {
                if last_resort.helps(state, std::iter::once(entry)) {
                    continue;
                }
                return Err(error);
            }
            waited => waited?,
        };
        epoch::check_object(header.epoch)?;
        if waited == Waited::Called {
            last_resort::answer(state, std::iter::once(entry));
        }
        if waited == Waited::TimedOut && !header.phase().is_settled() {
            return Err(timed_out());
        }
    }
    Ok(())
}

impl<T: Clone> ObjectRef<T> {
    /// The value of a settled entry.
    #[inline]
    fn settled(self) -> Result<T> {
        let header = self.header();
        match header.phase() {
            Phase::Ready => {
                epoch::check_object(header.epoch)?;
                Ok(self.take_ready())
            }
            _ => Err(self.unready()),
        }
    }
}

impl<T> ObjectRef<T> {
    #[cold]
    fn unready(&self) -> Error {
        match self.header().phase() {
            Phase::Failed => match epoch::check_object(self.header().epoch) {
                Ok(()) => self.seen_error(),
                Err(stale) => stale,
            },
            _ => Error::new(ErrorKind::InvalidArgument, "the value was taken out of this reference already"),
        }
    }
}

impl<T: Clone> Get for ObjectRef<T> {
    type Output = T;
    type Settled = Result<T>;
    fn settled_until(self, until: Until) -> Result<T> {
        self.get_until(until)
    }
    #[inline]
    fn get_until(self, until: Until) -> Result<T> {
        let entry = self.entry();
        tip(entry, until);
        wait_one(entry, until)?;
        self.settled()
    }
}

#[inline]
fn tip(entry: NonNull<Header>, until: Until) {
    if let Some(state) = thread::existing()
        && state.engine.settings.tips
        && state.tip.got(entry, until.site)
        // SAFETY: the caller has a ref to the entry, so it is alive.
        && let Some(head) = unsafe { entry.as_ref() }.task()
    {
        crate::engine::tips::warn(head.vtable().definition(), until.site, state.tip.enough());
    }
}

impl<T: Clone> Get for &ObjectRef<T> {
    type Output = T;
    type Settled = Result<T>;
    fn settled_until(self, until: Until) -> Result<T> {
        self.get_until(until)
    }
    #[inline]
    fn get_until(self, until: Until) -> Result<T> {
        let entry = self.entry();
        tip(entry, until);
        wait_one(entry, until)?;
        match self.header().phase() {
            Phase::Ready => Ok(self.ready_value().clone()),
            _ => Err(self.unready()),
        }
    }
}

impl<T: Clone> Get for Vec<ObjectRef<T>> {
    type Output = Vec<T>;
    type Settled = Vec<Result<T>>;
    fn settled_until(self, until: Until) -> Vec<Result<T>> {
        settle_each(self.iter().map(ObjectRef::entry), until);
        self.into_iter().map(|object| object.get_until(until)).collect()
    }
    fn get_until(mut self, until: Until) -> Result<Vec<T>> {
        let mut several = Several::new(until);
        let mut values = Vec::with_capacity(self.len());
        loop {
            several.settle_last(&self)?;
            let Some(object) = self.pop() else { break };
            values.push(object.settled()?);
        }
        values.reverse();
        Ok(values)
    }
}

impl<T: Clone> Get for &[ObjectRef<T>] {
    type Output = Vec<T>;
    type Settled = Vec<Result<T>>;
    fn settled_until(self, until: Until) -> Vec<Result<T>> {
        settle_each(self.iter().map(ObjectRef::entry), until);
        self.iter().map(|object| object.get_until(until)).collect()
    }
    fn get_until(self, until: Until) -> Result<Vec<T>> {
        let mut several = Several::new(until);
        let mut values = Vec::with_capacity(self.len());
        for end in (1..=self.len()).rev() {
            several.settle_last(&self[..end])?;
            values.push((&self[end - 1]).get_until(until)?);
        }
        values.reverse();
        Ok(values)
    }
}

impl<T: Clone> Get for &Vec<ObjectRef<T>> {
    type Output = Vec<T>;
    type Settled = Vec<Result<T>>;
    fn settled_until(self, until: Until) -> Vec<Result<T>> {
        self.as_slice().settled_until(until)
    }
    fn get_until(self, until: Until) -> Result<Vec<T>> {
        self.as_slice().get_until(until)
    }
}

impl<T: Clone, const N: usize> Get for [ObjectRef<T>; N] {
    type Output = [T; N];
    type Settled = [Result<T>; N];
    fn settled_until(self, until: Until) -> [Result<T>; N] {
        settle_each(self.iter().map(ObjectRef::entry), until);
        self.map(|object| object.get_until(until))
    }
    fn get_until(self, until: Until) -> Result<[T; N]> {
        Several::new(until).settle_all(&self)?;
        let mut failed = None;
        let values = self.map(|object| object.settled().map_err(|error| failed = Some(error)).ok());
        match failed {
            Some(error) => Err(error),
            None => Ok(values.map(|value| value.expect("none has failed"))),
        }
    }
}

impl<T: Clone, const N: usize> Get for &[ObjectRef<T>; N] {
    type Output = [T; N];
    type Settled = [Result<T>; N];
    fn settled_until(self, until: Until) -> [Result<T>; N] {
        self.clone().settled_until(until)
    }
    fn get_until(self, until: Until) -> Result<[T; N]> {
        self.clone().get_until(until)
    }
}

/// The references that are left, in the order of the input.
impl<T: Clone> Get for Pending<ObjectRef<T>> {
    type Output = Vec<T>;
    type Settled = Vec<Result<T>>;
    fn settled_until(self, until: Until) -> Vec<Result<T>> {
        Vec::from(self).settled_until(until)
    }
    fn get_until(self, until: Until) -> Result<Vec<T>> {
        Vec::from(self).get_until(until)
    }
}

/// A reference that may be in a tuple for [`get`].
pub trait GetOne: Get {
    /// The entry of the reference.
    #[doc(hidden)]
    fn one(&self) -> Entry;
}

/// Waits until the object is settled in this process, for an executor. It does not wait where [`get`] returns an error without
/// waiting.
#[track_caller]
pub fn fetch(object: &AnyRef) {
    let _ = Several::new(Until::forever()).settle_all(&[Entry(object.entry())]);
}

/// Checks whether this thread may block, before a request that only a wait can answer.
///
/// # Errors
/// `BlockingInAsync` in an async body; `Threads` if gets nest too deep.
#[track_caller]
pub fn check_may_block() -> Result<()> {
    let site = std::panic::Location::caller();
    thread::existing().map_or(Ok(()), |state| crate::engine::blocking::may_block(state, site))
}

/// A pointer to an entry, for internal use.
#[derive(Clone, Copy, Debug)]
pub struct Entry(NonNull<Header>);

impl Awaited for Entry {
    fn entry(&self) -> NonNull<Header> {
        self.0
    }
}

impl<T: Clone> GetOne for ObjectRef<T> {
    fn one(&self) -> Entry {
        Entry(self.entry())
    }
}

impl<T: Clone> GetOne for &ObjectRef<T> {
    fn one(&self) -> Entry {
        Entry(self.entry())
    }
}

macro_rules! tuples {
    () => {};
    ($($T:ident)*) => {
        #[allow(non_snake_case)]
        impl<$($T: GetOne),*> Get for ($($T,)*) {
            type Output = ($($T::Output,)*);
            type Settled = ($($T::Settled,)*);
            fn settled_until(self, until: Until) -> Self::Settled {
                let ($($T,)*) = self;
                settle_each([$($T.one().0),*].into_iter(), until);
                ($($T.settled_until(until),)*)
            }
            fn get_until(self, until: Until) -> Result<Self::Output> {
                let ($($T,)*) = self;
                Several::new(until).settle_all(&[$($T.one()),*])?;
                Ok(($($T.get_until(until)?,)*))
            }
        }
    };
}
crate::base::arity::for_each_arity!(tuples);

impl<T> ObjectRef<T> {
    /// Returns a clone of the value if it is ready, and `None` if the task has not ended. It does not wait for the task. If the value
    /// is ready in another process of a cluster, it waits until the value is here; in an async body, where it must not wait, it asks
    /// for the value and returns `None` until then.
    ///
    /// # Errors
    /// Those of [`get`].
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// assert_eq!(ray::put(7).try_get()?, Some(7));
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn try_get(&self) -> Result<Option<T>>
    where
        T: Clone,
    {
        epoch::check_object(self.header().epoch)?;
        match self.header().phase() {
            Phase::Ready => Ok(Some(self.ready_value().clone())),
            Phase::Failed | Phase::Taken => Err(self.unready()),
            _ if self.header().is_ready_elsewhere() => match get(self) {
                Err(error) if error.kind() == ErrorKind::BlockingInAsync => {
                    self.header().want();
                    Ok(None)
                }
                got => got.map(Some),
            },
            _ => Ok(None),
        }
    }

    /// Waits, then moves the value out, for types without `Clone`. If this is the only reference, the only possible errors are
    /// those of the wait and the task's own.
    ///
    /// # Errors
    /// `Shared` returns the reference if there are others; `Failed` has an error of [`get`].
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// struct Unclonable(u32);
    /// let object = ray::task(|| Unclonable(7)).remote();
    /// assert_eq!(object.take().unwrap().0, 7);
    /// ```
    #[track_caller]
    pub fn take(self) -> Result<T, TakeError<T>> {
        wait_one(self.entry(), Until::forever()).map_err(TakeError::Failed)?;
        if self.header().phase() != Phase::Ready {
            return Err(TakeError::Failed(self.unready()));
        }
        self.take_sole().map_err(TakeError::Shared)
    }

    /// Waits, then returns a view of the value in place, without a clone. The object lives at least as long as the view.
    ///
    /// # Errors
    /// Those of [`get`].
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let text = ray::put("read me".to_owned());
    /// assert_eq!(text.view()?.len(), 7);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn view(&self) -> Result<View<T>> {
        wait_one(self.entry(), Until::forever())?;
        match self.header().phase() {
            Phase::Ready => Ok(View(self.clone())),
            _ => Err(self.unready()),
        }
    }
}
