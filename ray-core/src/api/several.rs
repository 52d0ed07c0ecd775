//! A get of several references: waits for all of them, or for the first failure.
//!
//! The references are settled from the last one to the first. This thread's own deque gives the newest task first, while other
//! threads steal the oldest, and an actor runs the last call last: when the last reference is settled, most others are. A value is
//! taken as soon as its entry and all later ones have been settled, so each entry is visited once.

use crate::base::epoch;
use crate::object::watch;
use crate::object::watch::Watching;
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use crate::api::until::{Until, timed_out};
use crate::base::error::{Error, Result};
use crate::engine::awaited::{Getter, MOST};
use crate::engine::blocking::last_resort::LastResort;
use crate::engine::blocking::park::Waited;
use crate::engine::blocking::{inline, last_resort, park};
use crate::engine::thread;
use crate::engine::thread_state::ThreadState;
use crate::object::entry::Header;
use crate::object::object_ref::ObjectRef;
use crate::object::state::Phase;
use crate::task::runner::Bodies;

/// The entries are prefetched so many places ahead, since another thread wrote them.
const AHEAD: usize = 8;

/// Up to this number of entries are watched for failures at once. Marking more entries costs a write each, to memory that their
/// running threads write too, and most waits end sooner.
const FEW: usize = 1024;
/// After this time all entries are watched.
const SOON: Duration = Duration::from_millis(5);

/// A value that keeps an entry alive while a getter waits for it.
pub(super) trait Awaited {
    fn entry(&self) -> NonNull<Header>;
}

impl<T> Awaited for ObjectRef<T> {
    #[inline]
    fn entry(&self) -> NonNull<Header> {
        self.entry()
    }
}

/// The state of a wait for several references.
pub(super) struct Several {
    until: Until,
    thread: Option<&'static ThreadState>,
    /// The entries from this index on were tried: this thread has run them or may not.
    helped: usize,
    /// The guard of the watch for failures, and the number of failures at the last look.
    watching: Option<(Watching, u64)>,
    /// Whether the wait has lasted for [`SOON`].
    waited: bool,
    /// Whether the entries were entered in the engine's awaited queue.
    announced: bool,
    last_resort: LastResort,
}

#[inline]
fn header(one: &impl Awaited) -> &Header {
    // SAFETY: an `Awaited` keeps its entry alive.
    unsafe { one.entry().as_ref() }
}

impl Several {
    pub(super) fn new(until: Until) -> Self {
        Self {
            until,
            thread: None,
            helped: usize::MAX,
            watching: None,
            waited: false,
            announced: false,
            last_resort: LastResort::default(),
        }
    }

    /// Waits until all are settled.
    ///
    /// # Errors
    /// Those of [`Self::settle_last`].
    pub(super) fn settle_all(mut self, all: &[impl Awaited]) -> Result<()> {
        (0..=all.len()).rev().try_for_each(|end| self.settle_last(&all[..end]))
    }

    /// Waits until the last reference is settled. The caller repeats this with one reference less each time.
    ///
    /// # Errors
    /// The error of any reference that has failed, not only of the last one; the errors of waiting.
    #[inline]
    pub(super) fn settle_last(&mut self, all: &[impl Awaited]) -> Result<()> {
        let Some(last) = all.last() else { return Ok(()) };
        if all.len() > AHEAD {
            crate::base::sync::prefetch(all[all.len() - 1 - AHEAD].entry().as_ptr());
        }
        if header(last).phase() == Phase::Ready { Ok(()) } else { self.settle(all, last) }
    }

    #[cold]
    fn settle<A: Awaited>(&mut self, all: &[A], last: &A) -> Result<()> {
        loop {
            let now = header(last).phase();
            if now == Phase::Failed {
                return Err(failure(header(last)));
            }
            if now.is_settled() {
                return Ok(());
            }
            epoch::check_object(header(last).epoch)?;
            let state = self.thread(header(last))?;
            if !self.help(state, all)? {
                self.park(state, all, last)?;
            }
        }
    }

    fn thread(&mut self, header: &Header) -> Result<&'static ThreadState> {
        if let Some(state) = self.thread {
            return Ok(state);
        }
        let state = thread::of(header.epoch)?;
        crate::engine::blocking::may_block(state, self.until.site)?;
        Ok(self.thread.insert(state))
    }

    /// Runs unstarted work, that of the last reference first; each is tried once. `true`: something was run, so the caller looks
    /// again.
    fn help<A: Awaited>(&mut self, state: &ThreadState, all: &[A]) -> Result<bool> {
        if self.until.deadline.is_some() {
            return Ok(false);
        }
        let from = self.helped.min(all.len());
        for at in (0..from).rev() {
            let header = header(&all[at]);
            let now = header.phase();
            if now == Phase::Failed {
                return Err(failure(header));
            }
            self.helped = at;
            if now.is_settled() {
                continue;
            }
            epoch::check_object(header.epoch)?;
            if inline::run(state, all[at].entry(), Bodies::Short) {
                // The same reference may have work again: another attempt, or the calls before it.
                self.helped = at + 1;
                return Ok(true);
            }
            if header.task().is_some_and(|head| !head.vtable().kind.in_class_queue) {
                // The threads that run a busy actor also run this call. Asking again for each call would hold them up. The
                // references before this one are tried when this one is settled.
                return Ok(false);
            }
        }
        Ok(false)
    }

    fn park<A: Awaited>(&mut self, state: &ThreadState, all: &[A], last: &A) -> Result<()> {
        let getter = if state.frame().is_some() { Getter::InABody } else { Getter::Outside };
        if !std::mem::replace(&mut self.announced, true) {
            for one in all.iter().rev().take(MOST) {
                state.engine.awaited.enter(header(one), getter);
            }
            if state.engine.executor.is_some() {
                // The wait below links a waiter to one entry after the other, but all values are to come at the same time.
                all.iter().for_each(|one| header(one).want());
            }
        }
        let mut deadline = self.until.deadline;
        let mut brief = false;
        if self.watching.is_none() {
            if all.len() <= FEW || self.waited {
                self.watch(all)?;
            } else {
                let soon = Instant::now() + SOON;
                brief = deadline.is_none_or(|deadline| soon < deadline);
                deadline = if brief { Some(soon) } else { deadline };
            }
        }
        let seen = self.watching.as_ref().map(|(_, seen)| *seen);
        let failed = || seen.is_some_and(|seen| watch::failures() != seen);
        let unstarted = || {
            let mut phases = all.iter().rev().map(|one| header(one).phase());
            phases.any(|phase| phase != Phase::Running && !phase.is_settled())
        };
        match park::on_entry(state, last.entry(), deadline, true, failed, unstarted, self.until.site) {
            Ok(waited) => {
                epoch::check_object(header(last).epoch)?;
                if waited == Waited::Called {
                    last_resort::answer(state, all.iter().rev().map(Awaited::entry));
                }
                if waited == Waited::TimedOut && !header(last).phase().is_settled() {
                    if !brief {
                        return Err(timed_out());
                    }
                    self.waited = true;
                }
            }
            Err(error) if error.is_threads() && self.until.deadline.is_none() => {
                if !self.last_resort.helps(state, all.iter().rev().map(Awaited::entry)) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
        if failed() {
            self.watching = self.watching.take().map(|(watching, _)| (watching, watch::failures()));
            any_failed(all)?;
        }
        Ok(())
    }

    /// Marks all entries that are not settled, so that a failure wakes this thread.
    fn watch(&mut self, all: &[impl Awaited]) -> Result<()> {
        let watching = Watching::new();
        let seen = watch::failures();
        for one in all {
            if !header(one).phase().is_settled() {
                header(one).state.set_watched();
            }
        }
        self.watching = Some((watching, seen));
        // An entry may have failed before it was marked.
        any_failed(all)
    }
}

fn any_failed(all: &[impl Awaited]) -> Result<()> {
    match all.iter().map(header).find(|header| header.phase() == Phase::Failed) {
        Some(failed) => Err(failure(failed)),
        None => Ok(()),
    }
}

fn failure(header: &Header) -> Error {
    if let Err(stale) = epoch::check_object(header.epoch) {
        return stale;
    }
    header.state.set_seen();
    header.error()
}
