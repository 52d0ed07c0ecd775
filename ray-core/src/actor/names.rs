//! Actors by name.

use crate::engine::engine::{Attached, Engine};
use parking_lot::Mutex;
use std::any::Any;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::actor::cell::ActorHold;
use crate::actor::class::Actor;
use crate::actor::handle::{ActorHandle, WeakActorHandle};
use crate::actor::living::Living;
use crate::base::error::{Error, ErrorKind, Result};

/// The named actors of an engine, by namespace and name.
pub(crate) struct Names {
    actors: Mutex<HashMap<(String, String), ActorHold>>,
    /// All actors of the engine, with a name or without.
    pub(crate) living: Living,
}

impl Attached for Names {
    fn end(&self) {
        // The idle ones too, which no queue refers to.
        for actor in self.living.close() {
            crate::actor::run::abandon(&actor);
        }
    }
}

impl Names {
    fn new() -> Self {
        Self { actors: Mutex::new(HashMap::new()), living: Living::new() }
    }

    /// Those of an engine.
    #[inline]
    pub(crate) fn of(engine: &Engine) -> &Self {
        let attached: &dyn Any = &**engine.attached.get_or_init(|| Box::new(Self::new()));
        attached.downcast_ref().expect("nothing but actors is attached to an engine")
    }

    /// Creates an actor under a name, or finds the one that has it, in one step.
    pub(crate) fn create_or_get<A: Actor>(
        &self,
        namespace: &str,
        name: &str,
        get: bool,
        create: impl FnOnce() -> ActorHandle<A>,
    ) -> Result<ActorHandle<A>> {
        let mut actors = self.actors.lock();
        let key = (namespace.to_owned(), name.to_owned());
        if let Some(there) = actors.get(&key)
            && !there.is_dead()
        {
            if !get {
                return Err(Error::new(
                    ErrorKind::ActorAlreadyExists,
                    format!(
                        "the name `{name}` is taken in namespace `{namespace}`: take another, get it with `ray::get_actor`, or ask for `.get_if_exists(true)`"
                    ),
                ));
            }
            if let Some(handle) = WeakActorHandle::<A>::of(there)?.upgrade() {
                return Ok(handle);
            }
        }
        let handle = create();
        let hold = handle.hold();
        let _ = hold.rare().namespace.set(namespace.to_owned());
        actors.insert(key, hold);
        Ok(handle)
    }

    pub(crate) fn get<A: Actor>(&self, namespace: &str, name: &str) -> Result<WeakActorHandle<A>> {
        let found = self.actors.lock().get(&(namespace.to_owned(), name.to_owned())).filter(|actor| !actor.is_dead()).cloned();
        match found {
            Some(actor) => WeakActorHandle::of(&actor),
            None => Err(Error::new(
                ErrorKind::ActorNotFound,
                format!("no actor is named `{name}` in namespace `{namespace}`: it was never created, or has ended"),
            )),
        }
    }

    /// An ended actor's name is free again, unless another has taken it since.
    pub(crate) fn remove(&self, actor: &ActorHold) {
        let Some(rare) = actor.known_rare() else { return };
        let (Some(namespace), Some(name)) = (rare.namespace.get(), rare.settings().and_then(|settings| settings.name.clone()))
        else {
            return;
        };
        let removed = match self.actors.lock().entry((namespace.clone(), name.into_owned())) {
            Entry::Occupied(there) if there.get().head() == actor.head() => Some(there.remove()),
            _ => None,
        };
        drop(removed);
    }

    /// The named actors; none where they cannot be looked at within a time.
    pub(crate) fn all_within(&self, patience: std::time::Duration) -> Option<Vec<ActorHold>> {
        self.actors.try_lock_for(patience).map(|actors| actors.values().cloned().collect())
    }

    pub(crate) fn list(&self) -> Vec<(String, String)> {
        let mut names: Vec<_> =
            self.actors.lock().iter().filter(|(_, actor)| !actor.is_dead()).map(|(key, _)| key.clone()).collect();
        names.sort();
        names
    }
}

/// The actor of that name in this engine's namespace, as a weak handle: it does not keep the actor from ending.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/actors/named-actors.html).
///
/// # Errors
/// `ActorNotFound` if none has the name, or it is of another class.
pub fn get_actor<A: Actor>(name: &str) -> Result<WeakActorHandle<A>> {
    let state = crate::engine::thread::current()?;
    Names::of(&state.engine).get(&state.engine.settings.namespace, name)
}

/// As [`get_actor`], in another namespace.
///
/// # Errors
/// As [`get_actor`].
pub fn get_actor_in<A: Actor>(name: &str, namespace: &str) -> Result<WeakActorHandle<A>> {
    Names::of(&crate::engine::thread::current()?.engine).get(namespace, name)
}

/// The named actors that live: namespace and name of each.
#[must_use]
pub fn list_named_actors() -> Vec<(String, String)> {
    crate::engine::engine::running().map_or_else(Vec::new, |engine| Names::of(&engine).list())
}
