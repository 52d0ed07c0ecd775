//! Named actors, as handles.

use crate::actor::class::Actor;
use crate::actor::handle::ActorHandle;
use crate::actor::names::Names;
use crate::actor::weak_handle::WeakActorHandle;
use crate::actor::{lifecycle, remote};
use crate::base::error::{Error, ErrorKind, Result};
use crate::engine::engine::{Attached, Engine};

impl Attached for Names {
    fn end(&self) {
        for actor in self.living.close() {
            lifecycle::abandon(&actor);
        }
        self.give_all_up();
    }
}

/// Creates an actor under a name, or (`get`) finds the one that has the name, in one step.
pub(crate) fn create_or_get<A: Actor>(
    names: &Names,
    (namespace, name): (&str, &str),
    get: bool,
    create: impl FnOnce() -> ActorHandle<A>,
) -> Result<ActorHandle<A>> {
    names.find_or_insert(
        namespace,
        name,
        |there| {
            if get {
                return Ok(WeakActorHandle::<A>::of(there)?.upgrade());
            }
            Err(Error::new(
                ErrorKind::ActorAlreadyExists,
                format!(
                    "the name `{name}` is taken in namespace `{namespace}`: take another, get it with `ray::get_actor`, or ask for `.get_if_exists(true)`"
                ),
            ))
        },
        || {
            let handle = create();
            let hold = handle.hold();
            (handle, hold)
        },
    )
}

fn get<A: Actor>(engine: &Engine, namespace: &str, name: &str) -> Result<WeakActorHandle<A>> {
    if let Some(executor) = &engine.executor {
        return WeakActorHandle::of(&remote::find::<A>(executor, namespace, name)?);
    }
    match Names::of(engine).find(namespace, name) {
        Some(actor) => WeakActorHandle::of(&actor),
        None => Err(Error::new(
            ErrorKind::ActorNotFound,
            format!("no actor is named `{name}` in namespace `{namespace}`: it was never created, or has ended"),
        )),
    }
}

/// The actor of that name in this engine's namespace, as a weak handle: it does not keep the actor from ending.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/actors/named-actors.html).
///
/// # Errors
/// `ActorNotFound` if no actor has the name, or the actor is of another class.
pub fn get_actor<A: Actor>(name: &str) -> Result<WeakActorHandle<A>> {
    let state = crate::engine::thread::current()?;
    get(&state.engine, &state.engine.settings.namespace, name)
}

/// As [`get_actor`], in another namespace.
///
/// # Errors
/// As [`get_actor`].
pub fn get_actor_in<A: Actor>(name: &str, namespace: &str) -> Result<WeakActorHandle<A>> {
    get(&crate::engine::thread::current()?.engine, namespace, name)
}

/// The namespace and the name of each named actor that lives, sorted.
#[must_use]
pub fn list_named_actors() -> Vec<(String, String)> {
    let mut names = crate::engine::engine::running().map_or_else(Vec::new, |engine| match &engine.executor {
        Some(executor) => executor.named_actors(),
        None => Names::of(&engine).list(),
    });
    names.sort();
    names
}
