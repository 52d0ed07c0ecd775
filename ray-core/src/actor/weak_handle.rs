//! Handles of actors that do not keep them from ending.

use std::any::TypeId;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::Ordering;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Error as _, Serialize, Serializer};

use crate::actor::cell::ActorCell;
use crate::actor::class::Actor;
use crate::actor::errors::death;
use crate::actor::handle::ActorHandle;
use crate::actor::head::ActorHold;
use crate::actor::lifecycle::{ActorState, state_of};
use crate::actor::remote;
use crate::base::epoch;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::ActorId;
use crate::call::arg::{Arg, IntoArg};

/// A handle that does not keep its actor from ending. [`get_actor`](crate::get_actor) and
/// [`RuntimeContext::current_actor`](crate::RuntimeContext::current_actor) return such handles. Methods are called as on an
/// [`ActorHandle`].
///
/// It can be passed for a parameter of type `ActorHandle<A>`; the task then has a handle of its own, which keeps the actor from ending.
/// If the actor is dead when it is passed, the task fails with `ActorDied`. A weak handle inside a value keeps the actor from ending
/// while the value is encoded; on a cluster, also in the process that has decoded it.
pub struct WeakActorHandle<A: Actor> {
    actor: ActorHold,
    /// An actor of another process that this process knows by the bytes of this handle alone: without a handle its executor would forget
    /// it.
    kept: Option<ActorHandle<A>>,
    class: PhantomData<fn(A)>,
}

impl<A: Actor> ActorHandle<A> {
    /// A handle that does not keep the actor from ending.
    #[must_use]
    pub fn downgrade(&self) -> WeakActorHandle<A> {
        WeakActorHandle::of_class(self.hold())
    }
}

impl<A: Actor> WeakActorHandle<A> {
    pub(crate) fn of_running(actor: Option<&ActorHold>) -> Result<Self> {
        let Some(actor) = actor else {
            return Err(Error::new(ErrorKind::ActorNotFound, "no actor runs here: current_actor is for an actor's methods"));
        };
        Self::of(actor)
    }

    /// # Errors
    /// `ActorNotFound` if the actor is of another class.
    pub(crate) fn of(actor: &ActorHold) -> Result<Self> {
        if actor.vtable.type_id != TypeId::of::<A>() {
            return Err(Error::new(
                ErrorKind::ActorNotFound,
                format!("the actor is a `{}`, not a `{}`", actor.vtable.spec.path(), A::SPEC.path()),
            ));
        }
        Ok(Self::of_class(actor.clone()))
    }

    /// The caller knows that the actor is of this class.
    pub(super) fn of_class(actor: ActorHold) -> Self {
        Self { actor, kept: None, class: PhantomData }
    }

    /// A handle that keeps the actor from ending; `None`: no handle is left, or the actor is dead.
    #[must_use]
    pub fn upgrade(&self) -> Option<ActorHandle<A>> {
        let handles = &self.actor.handles;
        let mut count = handles.load(Ordering::Acquire);
        while count > 0 && !self.actor.is_dead() {
            match handles.compare_exchange_weak(count, count + 1, Ordering::AcqRel, Ordering::Relaxed) {
                // SAFETY: the exchange has counted the handle, and the actor is of this class, which `of` has checked.
                Ok(_) => return Some(unsafe { ActorHandle::adopt(self.actor.head()) }),
                Err(seen) => count = seen,
            }
        }
        // An actor of another process may have handles in other processes.
        remote::upgrade(&self.actor, remote::executor_of(&self.actor)?)
    }

    /// The actor, without a count as a handle.
    pub(super) fn hold(&self) -> ActorHold {
        self.actor.clone()
    }

    /// Why there is no handle to the actor.
    fn ended(&self) -> Error {
        if epoch::is_current(self.actor.epoch) { death(&self.actor) } else { epoch::gone("the actor ended with its engine") }
    }

    /// The state of the actor.
    #[must_use]
    pub fn state(&self) -> ActorState {
        remote::state(&self.actor).unwrap_or_else(|| state_of(&self.actor))
    }

    /// The actor's number.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.actor.id()
    }
}

impl<A: Actor> Deref for WeakActorHandle<A> {
    type Target = A::Methods;
    fn deref(&self) -> &A::Methods {
        // SAFETY: `of` has checked that the actor is of this class, and the hold keeps it alive.
        unsafe { ActorCell::<A>::methods(self.actor.head()) }
    }
}

impl<A: Actor> Clone for WeakActorHandle<A> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), kept: self.kept.clone(), class: PhantomData }
    }
}

impl<A: Actor> fmt::Debug for WeakActorHandle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeakActor({}, {})", A::SPEC.name(), self.id())
    }
}

/// As for [`ActorHandle`]: two handles are equal if they refer to the same actor.
impl<A: Actor> PartialEq for WeakActorHandle<A> {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl<A: Actor> Eq for WeakActorHandle<A> {}

impl<A: Actor> PartialEq<ActorHandle<A>> for WeakActorHandle<A> {
    fn eq(&self, other: &ActorHandle<A>) -> bool {
        self.id() == other.id()
    }
}

impl<A: Actor> PartialEq<WeakActorHandle<A>> for ActorHandle<A> {
    fn eq(&self, other: &WeakActorHandle<A>) -> bool {
        self.id() == other.id()
    }
}

/// The hash is that of an [`ActorHandle`] of the same actor.
impl<A: Actor> Hash for WeakActorHandle<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl<A: Actor> IntoArg<ActorHandle<A>> for WeakActorHandle<A> {
    fn into_arg(self) -> Arg<ActorHandle<A>> {
        match self.upgrade() {
            Some(handle) => Arg::of(handle),
            None => Arg::failed(self.ended()),
        }
    }
}

impl<A: Actor> IntoArg<ActorHandle<A>> for &WeakActorHandle<A> {
    fn into_arg(self) -> Arg<ActorHandle<A>> {
        self.clone().into_arg()
    }
}

impl<A: Actor> IntoArg<WeakActorHandle<A>> for &WeakActorHandle<A> {
    fn into_arg(self) -> Arg<WeakActorHandle<A>> {
        Arg::of(self.clone())
    }
}

impl<A: Actor> Serialize for WeakActorHandle<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.upgrade() {
            Some(handle) => handle.serialize(serializer),
            None => Err(S::Error::custom(self.ended())),
        }
    }
}

impl<'de, A: Actor> Deserialize<'de> for WeakActorHandle<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ActorHandle::deserialize(deserializer).map(|handle: ActorHandle<A>| {
            let weak = handle.downgrade();
            let kept = remote::executor_of(&weak.actor).is_some().then_some(handle);
            Self { kept, ..weak }
        })
    }
}
