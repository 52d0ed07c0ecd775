//! The events of an entry's task: when the engine tells what, see [`event`](crate::base::event).
//!
//! Of a task that has not begun, and of a running body, an event is told only if the task is not settled: the lock of the entry
//! is held while the phase is looked at and the time is taken, and the thread that settles the task takes its time under that
//! lock, or is the thread that runs the body. So nothing is told that comes after `Settled`. The lock is open again before the
//! listener is called.

use std::ptr::NonNull;

use crate::base::event::{EventKind, Pending, is_heard};
use crate::base::id::TaskId;
use crate::object::entry::{Header, publish_then};
use crate::object::state::Phase;

/// A task was made; `ready`: it waits for no argument. To be called before another thread can reach the task.
///
/// # Safety
/// Both entries are alive.
#[inline(always)]
pub(crate) unsafe fn submitted(entry: NonNull<Header>, parent: Option<NonNull<Header>>, ready: bool) {
    if is_heard() {
        // SAFETY: the caller's promise.
        unsafe { tell_submitted(entry, parent, ready) };
    }
}

#[cold]
#[inline(never)]
unsafe fn tell_submitted(entry: NonNull<Header>, parent: Option<NonNull<Header>>, ready: bool) {
    // SAFETY: the caller's promise.
    let (entry, submission) = unsafe { (entry.as_ref(), submission(entry, parent)) };
    submission.tell();
    if ready {
        entry.event(EventKind::Ready, None).tell();
    }
}

/// As [`submitted`], to be told by the caller when it has opened its locks.
///
/// # Safety
/// As [`submitted`].
#[cold]
pub(crate) unsafe fn submission(entry: NonNull<Header>, parent: Option<NonNull<Header>>) -> Pending {
    if !is_heard() {
        return Pending::NONE;
    }
    // SAFETY: the caller's promise.
    let (entry, parent) = unsafe { (entry.as_ref(), parent.map(|parent| TaskId::from_raw(parent.as_ref().id()))) };
    entry.event(EventKind::Submitted, parent)
}

/// The body of an entry begins to wait. The end of the wait is told when what this returns is dropped.
///
/// # Safety
/// The body runs on this thread until then.
pub(crate) unsafe fn waiting(body: Option<NonNull<Header>>) -> Option<Waiting> {
    let body = body.filter(|_| is_heard())?;
    // SAFETY: an entry is alive while its body runs.
    unsafe { body.as_ref() }.tell_if(EventKind::Blocked, is_running).then_some(Waiting(body))
}

/// See [`waiting`].
pub(crate) struct Waiting(NonNull<Header>);

impl Drop for Waiting {
    fn drop(&mut self) {
        // SAFETY: an entry is alive while its body runs.
        unsafe { self.0.as_ref() }.tell_if(EventKind::Resumed, is_running);
    }
}

/// As [`publish`](crate::object::entry::publish), where somebody listens.
///
/// # Safety
/// As [`publish`](crate::object::entry::publish).
#[cold]
pub(super) unsafe fn publish_heard(entry: NonNull<Header>, hold: bool) {
    // SAFETY: alive by the caller's hold or ref.
    let event = unsafe { entry.as_ref() }.settling(false);
    // SAFETY: the caller's promise.
    unsafe { publish_then(entry, hold, || event.tell()) }
}

fn is_running(phase: Phase) -> bool {
    phase == Phase::Running
}

impl Header {
    /// Its arguments are there, and no thread can begin it before this returns.
    #[inline(always)]
    pub(crate) fn tell_ready(&self) {
        if is_heard() {
            self.tell_if(EventKind::Ready, |phase| matches!(phase, Phase::Waiting | Phase::Queued));
        }
    }

    /// Its body begins, on this thread.
    #[inline(always)]
    pub(crate) fn tell_started(&self) {
        if is_heard() {
            self.tell_if(EventKind::Started, is_running);
        }
    }

    /// Tells an event if the task is in such a phase; whether it was.
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

    /// It is about to be settled, by this thread.
    pub(super) fn settling(&self, failed: bool) -> Pending {
        if is_heard() { self.event(EventKind::Settled { failed }, None) } else { Pending::NONE }
    }

    /// An event of now; none of an entry that is no task's.
    fn event(&self, kind: EventKind, parent: Option<TaskId>) -> Pending {
        let Some(about) = self.vtable.task.and_then(|table| table.about(self)) else { return Pending::NONE };
        Pending::now(kind, TaskId::from_raw(self.id()), parent, about.name, about.actor)
    }
}
