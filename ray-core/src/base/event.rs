//! The events of tasks and of calls of actors, which the engine tells to one listener of the process. The engine's log is
//! another module: [`log`](crate::base::log).
//!
//! # Order
//!
//! No two events have the same time. An event that another one made possible has the later time. So, by their times:
//!
//! 1. The events of a task are `Submitted`, `Ready`, `Started`, any number of pairs of `Blocked` and `Resumed`, and `Settled`.
//!    `Submitted` and `Settled` come once. Each further attempt of the task is a further `Started`. A task that fails before it
//!    starts, because of an argument or a cancel, has no `Started`, and may have no `Ready`.
//! 2. `Submitted` of a parent comes before `Submitted` of its children. `Settled` of an argument comes before `Ready` of the task
//!    that takes it.
//! 3. `Settled` is the last event of a task. If another thread settles the task while its body runs (by a cancel, a kill or a
//!    shutdown), the engine tells no further event of that body, not even `Resumed` after `Blocked`.
//!
//! The thread on which an event happens calls the listener. The calls of one thread are in the order of the times. Calls of two
//! threads may overlap, and the later event may be told first, so a listener that needs the order sorts by time. `Settled` is told
//! directly after the task is settled: a `get` on another thread may return before that.
//!
//! # Which events are told
//!
//! - Those of tasks of functions and closures, of calls of methods, and of creations of actors. A task with several returns is
//!   one task; its parts have no events. A task that a getter runs itself has the usual events: its `Started` is on the
//!   thread of the getter, and the getter's body is not `Blocked` meanwhile.
//! - An `async` body is `Started` with its first poll. Its awaits have no events.
//! - `Blocked` and `Resumed` are told when the thread of a body parks in a `get`, a `wait` or the like. A wait that finds its
//!   result within the first microseconds has no events.
//! - A refused submission has no events: its reference comes back failed, and there is no task. A call that is sent to a
//!   dead actor has `Submitted`, `Ready` and `Settled`.
//! - A call that is told without a reference needs no entry, and so has no number. While a listener is set it gets an entry.
//! - The constructor of an actor that starts anew has a further `Started` only until the actor was alive once: then the creation
//!   is settled.
//! - A task that was submitted before the listener was set has the events from then on.
//!
//! # Rules
//!
//! 1. Without a listener the engine pays for one load and one branch at each place.
//! 2. A thread that calls the listener holds no lock of the engine. But the thread of a serial actor has the run right then: the
//!    actor goes on when the listener returns.
//! 3. The listener must not call into `ray`. A submission, a `put` and a wait fail there with an error, see
//!    [`detached`](crate::engine::thread::detached). Events that the listener causes in spite of this rule are not told.
//! 4. A panic of the listener is caught. The listener is called for the next event as usual.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::RwLock;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::{ActorId, TaskId};
use crate::base::{clock, users_code};

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// The task was made, on the thread that submits it.
    Submitted,
    /// All arguments are ready. The task may still wait for resources, for its actor, or for a thread.
    Ready,
    /// The body begins. Each further one is a further attempt.
    Started,
    /// The body begins to wait for an object.
    Blocked,
    /// The body goes on after a wait.
    Resumed,
    /// The result is there, or an error.
    Settled {
        /// There is an error.
        failed: bool,
    },
}

/// An event of a task.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Event {
    /// The kind.
    pub kind: EventKind,
    /// The task, as `ray::context().task_id()` has it.
    pub task: TaskId,
    /// The task whose body submitted this one; only with [`EventKind::Submitted`].
    pub parent: Option<TaskId>,
    /// Module path and name of the function or method; not the name that options give.
    pub name: &'static str,
    /// The actor, if the task is one of its calls or its creation.
    pub actor: Option<ActorId>,
    /// The thread on which it happened. Threads have numbers from 1, in the order of their first events.
    pub thread: u64,
    /// Nanoseconds since the first use of the clock in this process, monotonic. No other event has the same time.
    pub time: u64,
}

type Listener = dyn Fn(&Event) + Send + Sync;

/// A listener is set.
static HEARD: AtomicBool = AtomicBool::new(false);
static LISTENER: RwLock<Option<Arc<Listener>>> = RwLock::new(None);
/// The time of the last event.
static LAST: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IN_LISTENER: Cell<bool> = const { Cell::new(false) };
}

/// Whether a listener is set.
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

/// Sets the listener, until the returned guard is dropped.
///
/// # Errors
/// `InvalidArgument` if a listener is set.
pub(crate) fn listen(listener: Arc<Listener>) -> Result<Listening> {
    let mut place = LISTENER.write();
    if place.is_some() {
        return Err(Error::new(ErrorKind::InvalidArgument, "a listener is set already: a process has one at a time"));
    }
    *place = Some(listener);
    HEARD.store(true, Ordering::Relaxed);
    Ok(Listening(()))
}

/// The listener is set until this guard is dropped. A call of the listener that has begun by then may end later.
#[derive(Debug)]
#[must_use = "the listener is removed when the guard is dropped"]
pub struct Listening(());

impl Drop for Listening {
    fn drop(&mut self) {
        HEARD.store(false, Ordering::Relaxed);
        let former = LISTENER.write().take();
        users_code::quietly(|| drop(former));
    }
}

/// An event whose time is taken. The caller calls [`tell`](Self::tell) if the event has happened, and drops it otherwise.
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
