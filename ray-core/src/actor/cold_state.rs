//! The part of an actor that most actors never need. It is allocated on demand, so that an actor's head stays small.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;

use crate::actor::admission::Admission;
use crate::base::call_options::CreateSettings;
use crate::base::error::Error;
use crate::call::checkpoint::Checkpoint;
use crate::engine::returning::Seat;
use crate::engine::thread_state::ThreadState;
use crate::object::entry::Hold;
use crate::task::executor::Executor;

/// See the [module](self).
#[derive(Default)]
pub(crate) struct ColdState {
    settings: OnceLock<CreateSettings>,
    /// The restarts used up so far. Written under the actor's lock.
    pub(crate) restarts: AtomicU32,
    /// The creation of an actor with restarts, whose arguments are kept for them.
    creation: Mutex<Option<Hold>>,
    /// The creation, while it waits for arguments.
    unready: Mutex<Option<Hold>>,
    /// The creation, while it waits for arguments or resources.
    pending: Mutex<Option<Hold>>,
    /// The creation, while the future of an async constructor is the runner.
    pub(crate) constructing: Mutex<Option<Hold>>,
    /// Why the actor is dead. Stored before the state changes.
    cause_of_death: Mutex<Option<Error>>,
    /// The calls that wait for arguments, and the later calls of the same callers. The key is the line of a call, see
    /// [`backlog`](crate::actor::backlog).
    pub(crate) backlog: Mutex<HashMap<u64, VecDeque<Hold>>>,
    /// The number of calls that have not begun, for an actor with `max_pending_calls`.
    pub(crate) unstarted: AtomicU64,
    /// Whether the actor holds resources for life.
    pub(crate) granted: AtomicBool,
    /// The bundle whose CPUs the actor holds for life.
    pub(crate) seat: OnceLock<Seat>,
    /// The slots of a concurrent actor; a serial actor has none.
    pub(crate) admission: OnceLock<Admission>,
    /// Of the proxy of an actor of another process, see [`remote`](crate::actor::remote).
    pub(crate) executor: OnceLock<Arc<dyn Executor>>,
    /// The last checkpoint, of a class that makes some.
    pub(crate) checkpoint: Mutex<Option<Checkpoint>>,
    /// The number of calls that may have changed the state of the instance, of such a class.
    pub(crate) changes: AtomicU32,
    /// The namespace of a named actor.
    pub(crate) namespace: OnceLock<String>,
}

impl ColdState {
    pub(crate) fn settings(&self) -> Option<&CreateSettings> {
        self.settings.get()
    }

    pub(crate) fn set_settings(&self, settings: CreateSettings) {
        let _ = self.settings.set(settings);
    }

    /// Stores the creation that waits for arguments; `None`: it no longer does.
    pub(crate) fn set_unready(&self, creation: Option<Hold>) {
        let former = std::mem::replace(&mut *self.unready.lock(), creation);
        drop(former);
    }

    pub(crate) fn is_unready(&self) -> bool {
        self.unready.lock().is_some()
    }

    /// The creation, if it waits for arguments.
    pub(crate) fn unready(&self) -> Option<Hold> {
        self.unready.lock().clone()
    }

    /// Stores the creation that waits for arguments or resources; `None`: it no longer does. Returns the former one.
    pub(crate) fn set_pending(&self, creation: Option<Hold>) -> Option<Hold> {
        std::mem::replace(&mut *self.pending.lock(), creation)
    }

    /// Whether the actor holds CPUs of a bundle, or holds CPUs of the node while the body on this thread holds those of a bundle. Then a
    /// wait in its body would lend the CPUs of only one of them, and a worker thread runs it.
    pub(crate) fn has_cpus_elsewhere(&self, state: &ThreadState) -> bool {
        self.seat.get().is_some() || (state.seat.get().is_some() && self.granted.load(Ordering::Acquire))
    }

    /// Uses up a restart; `false`: none is left. The caller holds the actor's lock.
    pub(crate) fn spend_restart(&self) -> bool {
        let used = self.restarts.load(Ordering::Relaxed);
        let left = self.settings().is_some_and(|settings| settings.max_restarts < 0 || i64::from(used) < settings.max_restarts);
        if left {
            self.restarts.store(used.saturating_add(1), Ordering::Relaxed);
        }
        left
    }

    /// Keeps the creation for restarts.
    pub(crate) fn keep_creation(&self, creation: Hold) {
        *self.creation.lock() = Some(creation);
    }

    /// The creation that is kept for restarts.
    pub(crate) fn kept_creation(&self) -> Option<Hold> {
        self.creation.lock().clone()
    }

    pub(crate) fn take_kept_creation(&self) -> Option<Hold> {
        self.creation.lock().take()
    }

    /// Stores why the actor dies, unless a cause is stored already.
    pub(crate) fn set_cause_of_death(&self, error: Error) {
        self.cause_of_death.lock().get_or_insert(error);
    }

    pub(crate) fn cause_of_death(&self) -> Option<Error> {
        self.cause_of_death.lock().clone()
    }

    /// Takes all calls out of the backlog.
    pub(crate) fn take_backlog(&self) -> Vec<Hold> {
        self.backlog.lock().drain().flat_map(|(_, calls)| calls).collect()
    }
}
