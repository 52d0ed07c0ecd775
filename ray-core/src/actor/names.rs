//! The actors of an engine: the table of names, the detached actors, and the list of living actors.

use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use parking_lot::Mutex;

use crate::actor::head::ActorHold;
use crate::actor::living::Living;
use crate::base::error::Result;
use crate::engine::engine::Engine;

/// A handle of an actor of any class.
pub(crate) type Handle = Box<dyn Send>;

/// The actors of an engine. The engine holds them as [`Attached`](crate::engine::engine::Attached).
pub(crate) struct Names {
    /// The named actors, by namespace and name. Dead ones may be among them.
    actors: Mutex<HashMap<(String, String), ActorHold>>,
    /// The detached actors by address, each with a handle, so that the actor does not end with its other handles.
    detached: Mutex<HashMap<usize, (ActorHold, Handle)>>,
    /// All actors that have run, with a name or without.
    pub(crate) living: Living,
}

impl Names {
    fn new() -> Self {
        Self { actors: Mutex::default(), detached: Mutex::default(), living: Living::new() }
    }

    /// The actors of an engine.
    #[inline]
    pub(crate) fn of(engine: &Engine) -> &Self {
        let attached: &dyn Any = &**engine.attached.get_or_init(|| Box::new(Self::new()));
        attached.downcast_ref().expect("nothing but actors is attached to an engine")
    }

    /// Passes the living actor of that name to `found`. If there is none, or `found` returns `None`, stores the actor that
    /// `create` makes. No other thread can take the name in between.
    pub(crate) fn find_or_insert<T>(
        &self,
        namespace: &str,
        name: &str,
        found: impl FnOnce(&ActorHold) -> Result<Option<T>>,
        create: impl FnOnce() -> (T, ActorHold),
    ) -> Result<T> {
        let mut actors = self.actors.lock();
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(there) = actors.get(&key)
            && !there.is_dead()
            && let Some(found) = found(there)?
        {
            return Ok(found);
        }
        let (created, hold) = create();
        let _ = hold.cold_state().namespace.set(namespace.to_owned());
        actors.insert(key, hold);
        Ok(created)
    }

    /// The living actor of that name.
    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<ActorHold> {
        let actors = self.actors.lock();
        actors.get(&(namespace.to_owned(), name.to_owned())).filter(|actor| !actor.is_dead()).cloned()
    }

    /// Removes the name of an actor that has ended, unless another actor has the name now.
    pub(crate) fn remove(&self, actor: &ActorHold) {
        let Some(cold) = actor.known_cold_state() else { return };
        let (Some(namespace), Some(name)) = (cold.namespace.get(), cold.settings().and_then(|settings| settings.name.clone()))
        else {
            return;
        };
        let removed = match self.actors.lock().entry((namespace.clone(), name.into_owned())) {
            Entry::Occupied(there) if there.get().head() == actor.head() => Some(there.remove()),
            _ => None,
        };
        drop(removed);
    }

    /// Keeps a handle of a detached actor until the actor ends, or until the engine does.
    pub(crate) fn keep(&self, actor: ActorHold, handle: Handle) {
        self.detached.lock().insert(actor.head().as_ptr().addr(), (actor, handle));
        // An actor that has ended meanwhile was not in the table when it left it.
        let ended = self.detached.lock().extract_if(|_, (actor, _)| actor.is_dead()).collect::<Vec<_>>();
        drop(ended);
    }

    /// Gives a detached actor up that has ended.
    pub(crate) fn give_up(&self, actor: &ActorHold) {
        let handle = self.detached.lock().remove(&actor.head().as_ptr().addr());
        drop(handle);
    }

    /// Gives all detached actors up.
    pub(crate) fn give_all_up(&self) {
        let handles = std::mem::take(&mut *self.detached.lock());
        drop(handles);
    }

    /// The named actors; `None`: the table stayed locked for that time.
    pub(crate) fn all_within(&self, patience: Duration) -> Option<Vec<ActorHold>> {
        self.actors.try_lock_for(patience).map(|actors| actors.values().cloned().collect())
    }

    /// The namespaces and names of the living actors.
    pub(crate) fn list(&self) -> Vec<(String, String)> {
        self.actors.lock().iter().filter(|(_, actor)| !actor.is_dead()).map(|(key, _)| key.clone()).collect()
    }
}
