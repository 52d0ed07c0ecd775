//! The events of an entry's task, and when the engine tells them; see [`event`](crate::base::event).
//!
//! No event comes after `Settled`. A thread that tells another event takes the time under the entry's lock, if the task is not
//! settled then. A thread that fails the task takes the time of `Settled` under the same lock. The thread that publishes the value
//! is the thread that runs the body, so its events are in order. The lock is open again when the listener is called.

use std::ptr::NonNull;

use crate::base::event::{EventKind, Pending, is_heard};
use crate::base::id::TaskId;
use crate::object::entry::{Header, publish_then};
use crate::object::state::Phase;

/// Tells that a task was made and, if it waits for no argument, that it is `ready`. The caller calls this before another thread
/// can reach the task.
///
/// # Safety
/// Both entries are alive.
#[inline(always)]
pub(crate) unsafe fn submitted(entry: NonNull<Header>, parent: Option<NonNull<Header>>, ready: bool) {
    if is_heard() {
        // SAFETY: the caller guarantees that both entries are alive.
        unsafe { tell_submitted(entry, parent, ready) };
    }
}

/// # Safety
/// As of [`submitted`].
#[cold]
#[inline(never)]
unsafe fn tell_submitted(entry: NonNull<Header>, parent: Option<NonNull<Header>>, ready: bool) {
    // SAFETY: the caller guarantees that both entries are alive.
    let (entry, submission) = unsafe { (entry.as_ref(), submission(entry, parent)) };
    submission.tell();
    if ready {
        entry.event(EventKind::Ready, None).tell();
    }
}

/// As [`submitted`], for a caller that tells the event later, when it has opened its locks.
///
/// # Safety
/// As of [`submitted`].
#[cold]
pub(crate) unsafe fn submission(entry: NonNull<Header>, parent: Option<NonNull<Header>>) -> Pending {
    if !is_heard() {
        return Pending::NONE;
    }
    // SAFETY: the caller guarantees that both entries are alive.
    let (entry, parent) = unsafe { (entry.as_ref(), parent.map(|parent| TaskId::from_raw(parent.as_ref().id()))) };
    entry.event(EventKind::Submitted, parent)
}

/// Tells that the body of an entry begins to wait, and tells the end of the wait when the returned guard is dropped.
///
/// # Safety
/// The body runs on this thread until the guard is dropped.
pub(crate) unsafe fn waiting(body: Option<NonNull<Header>>) -> Option<Waiting> {
    let body = body.filter(|_| is_heard())?;
    // SAFETY: the caller guarantees that the body runs on this thread, and an entry is alive while its body runs.
    unsafe { body.as_ref() }.tell_if(EventKind::Blocked, is_running).then_some(Waiting(body))
}

/// The guard of [`waiting`].
pub(crate) struct Waiting(NonNull<Header>);

impl Drop for Waiting {
    fn drop(&mut self) {
        // SAFETY: the body runs until the guard is dropped (see `waiting`), and an entry is alive while its body runs.
        unsafe { self.0.as_ref() }.tell_if(EventKind::Resumed, is_running);
    }
}

fn is_running(phase: Phase) -> bool {
    phase == Phase::Running
}

impl Header {
    /// Tells that all arguments are ready. No thread begins the task before this returns.
    #[inline(always)]
    pub(crate) fn tell_ready(&self) {
        if is_heard() {
            self.tell_if(EventKind::Ready, |phase| matches!(phase, Phase::Waiting | Phase::Queued));
        }
    }

    /// Tells that the body begins, on this thread.
    #[inline(always)]
    pub(crate) fn tell_started(&self) {
        if is_heard() {
            self.tell_if(EventKind::Started, is_running);
        }
    }

    /// Tells an event if the task is in a phase for which `open` returns `true`; returns whether it did.
    #[cold]
    #[inline(never)]
    fn tell_if(&self, kind: EventKind, open: fn(Phase) -> bool) -> bool {
        if self.state.lock_if(open).is_err() {
            return false;
        }
        let event = self.event(kind, None);
        self.state.unlock_keeping();
        event.tell();
        true
    }

    /// As [`publish`](crate::object::entry::publish), where a listener is set.
    ///
    /// # Safety
    /// As of `publish`.
    #[cold]
    pub(super) unsafe fn publish_heard(entry: NonNull<Header>, hold: bool) {
        // SAFETY: the caller's hold or ref keeps the entry alive.
        let event = unsafe { entry.as_ref() }.settling(false);
        // SAFETY: `publish_then` requires what the caller of `publish` guarantees: the value is written, and the hold or ref is valid.
        unsafe { publish_then(entry, hold, || event.tell()) }
    }

    /// The event that this thread settles the task.
    pub(super) fn settling(&self, failed: bool) -> Pending {
        if is_heard() { self.event(EventKind::Settled { failed }, None) } else { Pending::NONE }
    }

    /// An event of now; none if the entry is not that of a task.
    fn event(&self, kind: EventKind, parent: Option<TaskId>) -> Pending {
        let Some(table) = self.vtable.task else { return Pending::NONE };
        // SAFETY: the table is that of this entry, which is alive.
        let about = unsafe { table.about(NonNull::from(self).cast()) };
        Pending::now(kind, TaskId::from_raw(self.id()), parent, about.name, about.actor)
    }
}
