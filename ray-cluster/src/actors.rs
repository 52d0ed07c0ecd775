//! The actors of which this process has handles.
//!
//! The Python side counts the same handles, and forgets an actor with the last of them. So the counts change under the lock under
//! which the frame is sent.

use std::collections::HashMap;

use parking_lot::Mutex;
use ray_core::__private::executor::fail;
use ray_core::Error;

/// The actors by their numbers, with the facts that this process knows of each.
#[derive(Default)]
pub(crate) struct Actors(Mutex<HashMap<u64, Known>>);

#[derive(Default)]
struct Known {
    handles: usize,
    /// Whether the actor was found by its name: then a handle can be taken without another one.
    found: bool,
    name: Option<String>,
    /// The panic of which the actor has died, for its later calls: Ray tells only that the process has ended.
    death: Option<Error>,
}

impl Actors {
    /// The Python side has given this process a handle.
    pub(crate) fn enter(&self, actor: u64) {
        self.0.lock().entry(actor).or_default().handles += 1;
    }

    /// The actor was found by its name. That gives no handle.
    pub(crate) fn found(&self, actor: u64, name: &str) {
        let mut all = self.0.lock();
        let known = all.entry(actor).or_default();
        known.found = true;
        known.name = Some(name.to_owned());
    }

    /// Takes one more handle, which `tell` tells the Python side; `false`: this process has none of this actor any more, and has
    /// not found it by its name.
    pub(crate) fn acquire(&self, actor: u64, tell: impl FnOnce()) -> bool {
        let mut known = self.0.lock();
        let Some(known) = known.get_mut(&actor) else { return false };
        known.handles += 1;
        tell();
        true
    }

    /// Gives a handle back, which `tell` tells the Python side.
    pub(crate) fn release(&self, actor: u64, tell: impl FnOnce()) {
        let mut all = self.0.lock();
        if let Some(known) = all.get_mut(&actor) {
            known.handles = known.handles.saturating_sub(1);
            if known.handles == 0 && !known.found {
                all.remove(&actor);
            }
        }
        tell();
    }

    /// The actor has this name.
    pub(crate) fn set_name(&self, actor: u64, name: &str) {
        if let Some(known) = self.0.lock().get_mut(&actor) {
            known.name = Some(name.to_owned());
        }
    }

    pub(crate) fn name(&self, actor: u64) -> Option<String> {
        self.0.lock().get(&actor)?.name.clone()
    }

    /// The actor has died of this panic, unless it had died before.
    pub(crate) fn died(&self, actor: u64, error: &Error) {
        if let Some(known) = self.0.lock().get_mut(&actor) {
            known.death.get_or_insert_with(|| error.clone());
        }
    }

    /// Whether this process has heard that the actor has died of a panic. Ray learns that a moment later.
    pub(crate) fn has_died(&self, actor: u64) -> bool {
        self.0.lock().get(&actor).is_some_and(|known| known.death.is_some())
    }

    /// The error of a call of a dead actor, with the panic of which the actor has died.
    pub(crate) fn after_death(&self, actor: u64, error: Error) -> Error {
        match self.0.lock().get(&actor).and_then(|known| known.death.clone()) {
            Some(death) => fail::later(error, death),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use ray_core::__private::executor::fail;
    use ray_core::ErrorKind;

    use super::Actors;

    #[test]
    fn an_actor_is_forgotten_with_its_last_handle() {
        let (actors, mut told) = (Actors::default(), Vec::new());
        assert!(!actors.acquire(7, || told.push("acquire")));
        actors.enter(7);
        actors.set_name(7, "boss");
        assert!(!actors.has_died(7));
        actors.died(7, &fail::error(ErrorKind::ActorDied, "first"));
        assert!(actors.has_died(7));
        actors.died(7, &fail::error(ErrorKind::ActorDied, "second"));
        assert!(actors.acquire(7, || told.push("acquire")));
        actors.release(7, || told.push("release"));
        assert_eq!(actors.name(7).as_deref(), Some("boss"));
        let later = || format!("{:?}", actors.after_death(7, fail::error(ErrorKind::ActorDied, "later")));
        assert!(later().contains("because: first"), "{}", later());
        actors.release(7, || told.push("release"));
        assert_eq!(told, ["acquire", "release", "release"]);
        assert_eq!((later().as_str(), actors.name(7)), ("later", None));
        assert!(!actors.acquire(7, || ()));
    }

    #[test]
    fn an_actor_that_was_found_gives_a_handle_again() {
        let actors = Actors::default();
        actors.found(7, "boss");
        for _ in 0..2 {
            assert!(actors.acquire(7, || ()));
            actors.release(7, || ());
        }
        assert_eq!(actors.name(7).as_deref(), Some("boss"));
    }
}
