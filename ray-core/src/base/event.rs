//! What happens to tasks and to calls of actors, told to one listener of the process. Nothing here logs: that is
//! [`log`](crate::base::log).
//!
//! # Order
//!
//! No two events have the same time, and an event that another one made possible has the later time. So, by their times:
//!
//! 1. The events of a task are `Submitted`, `Ready`, `Started`, any number of `Blocked` and `Resumed` in turn, and `Settled`.
//!    `Submitted` and `Settled` come once. A further attempt of a task is a further `Started`. A task that fails before it
//!    starts, for an argument or a cancel, has no `Started`, and perhaps no `Ready`.
//! 2. `Submitted` of a parent comes before `Submitted` of its children, and `Settled` of an argument before `Ready` of the task.
//! 3. Nothing comes after `Settled`. If another thread settles a task while its body runs (a cancel, a kill, a shutdown), the
//!    rest of the body is not told: no `Resumed` follows its `Blocked`.
//!
//! The listener is called on the thread that an event happens on. One thread calls it in the order of the times. Calls on two
//! threads may overlap, and the call for the earlier event may come second: a listener that needs the order sorts by time.
//! `Settled` is told just after the task is settled, so a `get` on another thread may return before the listener has heard
//! it.
//!
//! # What is told
//!
//! - Tasks of functions and closures, calls of methods, and creations of actors. Of a task with several returns the task is
//!   told, not the parts. Work that a getter runs itself is told like any other: `Started` on the getter's thread, which is not
//!   `Blocked` meanwhile.
//! - An `async` body starts with its first poll. Its awaits are not told.
//! - `Blocked` and `Resumed` are the parking of a body's thread in a `get`, `wait` or the like. A wait that finds its result
//!   within the first microseconds is not told.
//! - A submission that is refused is not told: its reference comes back failed, and there is no task. A call that is sent to a
//!   dead actor is told: `Submitted`, `Ready`, `Settled`.
//! - A call that is told without a reference has no entry. While somebody listens it gets one, so it is told as well.
//! - The constructor of an actor that starts anew is told like a further attempt until the actor was there once, and then no
//!   longer.
//! - Work that was submitted before the listener was set is told from there on.
//!
//! # Rules
//!
//! 1. Where nobody listens, the engine pays for one load and one branch.
//! 2. No thread holds a lock of the engine while it calls the listener. A serial actor's thread has the run right, and the
//!    engine goes on only when the listener returns.
//! 3. The listener must not call into `ray`. A submission, a `put` and a `get` fail there, see
//!    [`detached`](crate::engine::thread::detached). What it does in spite of this is not told.
//! 4. A panic of the listener is caught, and the listener is called again for the next event.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::base::clock;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::{ActorId, TaskId};
use crate::base::users_code;

/// What has happened to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// It was made, on the thread that submits it.
    Submitted,
    /// Its arguments are there. It may still wait for resources, for its actor, or for a thread.
    Ready,
    /// Its body begins. A further one is a further attempt.
    Started,
    /// Its body begins to wait for an object.
    Blocked,
    /// Its body goes on.
    Resumed,
    /// Its result is there, or its error.
    Settled {
        /// It is an error.
        failed: bool,
    },
}

/// An event; see the module.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// What has happened.
    pub kind: EventKind,
    /// The task, as `ray::context().task_id()` has it.
    pub task: TaskId,
    /// The task whose body has submitted it; only with [`EventKind::Submitted`].
    pub parent: Option<TaskId>,
    /// Module path and name of the function or method; not the name that options give.
    pub name: &'static str,
    /// The actor that it is a call or the creation of.
    pub actor: Option<ActorId>,
    /// The thread that it happened on: threads are numbered from 1 in the order of their first events.
    pub thread: u64,
    /// Nanoseconds since a moment of this process, by the monotonic clock. Each event has a time of its own.
    pub time: u64,
}

type Listener = dyn Fn(&Event) + Send + Sync;

/// There is a listener.
static HEARD: AtomicBool = AtomicBool::new(false);
static LISTENER: RwLock<Option<Arc<Listener>>> = RwLock::new(None);
/// The time of the last event.
static LAST: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IN_LISTENER: Cell<bool> = const { Cell::new(false) };
}

/// Whether somebody listens.
#[inline(always)]
pub(crate) fn is_heard() -> bool {
    HEARD.load(Ordering::Relaxed)
}

/// Whether this thread is inside a call of the listener.
pub(crate) fn is_in_listener() -> bool {
    IN_LISTENER.get()
}

/// The error of a call into the engine by the listener.
pub(crate) fn refused() -> Error {
    Error::new(ErrorKind::InvalidArgument, "the listener of events must not call into ray: have another thread do it")
}

/// Has the listener called for each event, until what this returns is dropped.
///
/// # Errors
/// `InvalidArgument` if there is a listener.
pub(crate) fn listen(listener: Arc<Listener>) -> Result<Listening> {
    let mut place = LISTENER.write();
    if place.is_some() {
        return Err(Error::new(ErrorKind::InvalidArgument, "a listener is set already: a process has one at a time"));
    }
    *place = Some(listener);
    HEARD.store(true, Ordering::Relaxed);
    Ok(Listening(()))
}

/// The listener is set until this is dropped. Calls that have begun by then may end later.
#[derive(Debug)]
#[must_use = "the listener is removed when this is dropped"]
pub struct Listening(());

impl Drop for Listening {
    fn drop(&mut self) {
        HEARD.store(false, Ordering::Relaxed);
        let former = LISTENER.write().take();
        users_code::quietly(|| drop(former));
    }
}

/// An event whose time is taken: it has happened when [`tell`](Self::tell) is called; if it did not happen this is dropped.
#[must_use = "the event is not told without `tell`"]
pub(crate) struct Pending(Option<Event>);

impl Pending {
    pub(crate) const NONE: Self = Self(None);

    /// An event of now, on this thread.
    pub(crate) fn now(kind: EventKind, task: TaskId, parent: Option<TaskId>, name: &'static str, actor: Option<ActorId>) -> Self {
        Self(Some(Event { kind, task, parent, name, actor, thread: thread_number(), time: time() }))
    }

    /// Tells it to the listener.
    pub(crate) fn tell(self) {
        let Self(Some(event)) = self else { return };
        let Some(listener) = LISTENER.read().clone() else { return };
        if IN_LISTENER.replace(true) {
            return;
        }
        users_code::quietly(move || listener(&event));
        IN_LISTENER.set(false);
    }
}

/// A time that no other event has, later than those of all events before.
fn time() -> u64 {
    let now = clock::nanoseconds();
    let last = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(now.max(last + 1)));
    now.max(last.unwrap_or_default() + 1)
}

fn thread_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local!(static NUMBER: Cell<u64> = const { Cell::new(0) });
    if NUMBER.get() == 0 {
        NUMBER.set(NEXT.fetch_add(1, Ordering::Relaxed));
    }
    NUMBER.get()
}
