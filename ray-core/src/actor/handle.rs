//! Handles of actors.

use crate::call::arg::{Arg, IntoArg};
use std::any::TypeId;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::actor::any::AnyActor;
use crate::actor::call::{CallBody, Started, WithBody};
use crate::actor::cell::{ActorCell, ActorHead, ActorHold};
use crate::actor::class::Actor;
use crate::actor::life::{ActorState, By};
use crate::actor::{life, send};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::ActorId;
use crate::call::arg::Closure;
use crate::call::codec::Codec;
use crate::call::spec::Spec;
use crate::object::entry::Header;
use crate::object::object_ref::ObjectRef;
use crate::object::travel::{self, Carried};
use std::any::Any;
use std::sync::Arc;

/// A handle of an actor: it dereferences to the actor's methods, so `counter.increment.remote()` calls one.
///
/// Handles are cheap to clone and go anywhere: into tasks, other actors, values. When the last one goes, the actor
/// finishes the calls that it was sent, and ends. [Ray's page](https://docs.ray.io/en/latest/ray-core/actors.html).
pub struct ActorHandle<A: Actor> {
    actor: AnyActor,
    class: PhantomData<fn(A)>,
}

impl<A: Actor> std::panic::UnwindSafe for ActorHandle<A> {}
impl<A: Actor> std::panic::RefUnwindSafe for ActorHandle<A> {}

/// What [`ActorHandle::ready`] runs.
struct ReadyBody<A>(PhantomData<A>);

static READY: Spec = Spec::new("ray::ActorHandle::ready", file!(), line!()).local();

impl<A: Actor> CallBody for ReadyBody<A> {
    type Class = A;
    type Args = ();
    type Output = ();
    const SPEC: &'static Spec = &READY;
    const OF_HANDLES: bool = true;
    const EXCLUSIVE: bool = false;
    const CODEC: Option<Codec<(), ()>> = None;
    unsafe fn start(_place: *mut A, (): ()) -> Started<()> {
        Started::Ended(Ok(()))
    }
}

impl<A: Actor> ActorHandle<A> {
    /// Takes over a handle that is counted already.
    ///
    /// # Safety
    /// The caller owns it, and the actor is of this class.
    pub(crate) unsafe fn adopt(head: NonNull<ActorHead>) -> Self {
        // SAFETY: the caller's promise.
        Self { actor: unsafe { AnyActor::adopt(head) }, class: PhantomData }
    }

    fn head(&self) -> &ActorHead {
        self.actor.head()
    }

    pub(crate) fn hold(&self) -> ActorHold {
        // SAFETY: alive by the handles' common hold.
        unsafe { ActorHold::new(self.actor.address()) }
    }

    /// The same handle without its class.
    #[doc(hidden)]
    #[must_use]
    pub fn any(&self) -> AnyActor {
        self.actor.clone()
    }

    /// A reference that is ready when the constructor has run; failed, if that failed.
    pub fn ready(&self) -> ObjectRef<()> {
        send::send::<ReadyBody<A>>(self.actor.address(), (), None)
    }

    /// Runs a closure on the actor's state, as a call like any other. In this process only.
    pub fn with<R: Send + Sync + 'static>(&self, f: impl FnOnce(&mut A) -> R + Send + 'static) -> ObjectRef<R> {
        fn send_with<A: Actor, C: FnOnce(&mut A) -> R + Send + 'static, R: Send + Sync + 'static>(
            head: NonNull<ActorHead>,
            f: C,
        ) -> ObjectRef<R> {
            send::send::<WithBody<A, C, R>>(head, (Closure(f),), None)
        }
        send_with::<A, _, R>(self.actor.address(), f)
    }

    /// Where the actor stands.
    #[must_use]
    pub fn state(&self) -> ActorState {
        life::state_of(self.head())
    }

    /// The actor's number, which its restarts keep.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.head().id()
    }

    /// A handle that does not keep the actor from ending.
    #[must_use]
    pub fn downgrade(&self) -> WeakActorHandle<A> {
        WeakActorHandle { actor: self.hold(), class: PhantomData }
    }

    /// Ends the actor when the calls before this one have run. The reference is ready when it has ended; calls after
    /// it fail with `ActorDied`.
    pub fn terminate(&self) -> ObjectRef<()> {
        send::send::<TerminateBody<A>>(self.actor.address(), (), None)
    }
}

struct TerminateBody<A>(PhantomData<A>);

static TERMINATE: Spec = Spec::new("ray::ActorHandle::terminate", file!(), line!()).local();

impl<A: Actor> CallBody for TerminateBody<A> {
    type Class = A;
    type Args = ();
    type Output = ();
    const SPEC: &'static Spec = &TERMINATE;
    const OF_HANDLES: bool = true;
    const EXCLUSIVE: bool = true;
    const CODEC: Option<Codec<(), ()>> = None;
    unsafe fn start(_place: *mut A, (): ()) -> Started<()> {
        // Its own reference is ready when it has ended the actor.
        let own = running_frame().and_then(|frame| frame.entry);
        Started::Ended(exit(own))
    }
}

/// Ends the running actor: all its calls fail with `ActorDied`, those that it was sent before, those that run beside, and the
/// running one, whatever it returns. The state is dropped when the last body has ended, so return soon; an async body is
/// dropped at its next await. [Ray's page](https://docs.ray.io/en/latest/ray-core/actors/terminating-actors.html).
///
/// # Errors
/// `InvalidArgument` outside of an actor's method.
pub fn exit_actor() -> Result<()> {
    exit(None)
}

fn running_frame() -> Option<&'static crate::engine::thread_state::Frame> {
    crate::engine::thread::existing().and_then(|state| state.frame())
}

/// Ends the running actor; the call `spared` goes on to its end.
fn exit(spared: Option<NonNull<Header>>) -> Result<()> {
    // SAFETY: alive while its frame runs.
    let actor = running_frame().and_then(crate::actor::cell::of_frame).map(|actor| unsafe { ActorHold::new(actor) });
    let Some(actor) = actor else {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "exit_actor is for an actor's method; from outside use `handle.terminate()` or `ray::kill(&handle)`",
        ));
    };
    let by = if life::is_concurrent(&actor) { By::Other } else { By::Runner };
    life::end_sparing(&actor, life::exited(&actor), by, spared);
    Ok(())
}

impl<A: Actor> Deref for ActorHandle<A> {
    type Target = A::Methods;
    #[inline]
    fn deref(&self) -> &A::Methods {
        // SAFETY: the cell is of this class, and alive by the handle.
        unsafe { ActorCell::<A>::methods(self.actor.address()) }
    }
}

impl<A: Actor> Clone for ActorHandle<A> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), class: PhantomData }
    }
}

/// By identity.
impl<A: Actor> PartialEq for ActorHandle<A> {
    fn eq(&self, other: &Self) -> bool {
        self.actor == other.actor
    }
}

impl<A: Actor> Eq for ActorHandle<A> {}

impl<A: Actor> Hash for ActorHandle<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.actor.hash(state);
    }
}

impl<A: Actor> fmt::Debug for ActorHandle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Actor({}, {})", A::SPEC.name(), self.id())
    }
}

impl<A: Actor> IntoArg<ActorHandle<A>> for &ActorHandle<A> {
    fn into_arg(self) -> Arg<ActorHandle<A>> {
        Arg::of(self.clone())
    }
}

impl<A: Actor> Serialize for ActorHandle<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        travel::send(Carried::Actor(Arc::new(self.any())), "an ActorHandle", serializer)
    }
}

impl<'de, A: Actor> Deserialize<'de> for ActorHandle<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        travel::receive("an ActorHandle", deserializer, |carried| match carried {
            Carried::Actor(actor) => (&**actor as &dyn Any).downcast_ref::<AnyActor>().map(AnyActor::typed),
            Carried::Object(_) | Carried::Remote(_) => None,
        })
    }
}

/// A handle that does not keep its actor from ending, as those of [`get_actor`](crate::get_actor) and of
/// [`RuntimeContext::current_actor`](crate::RuntimeContext::current_actor). It calls methods all the same.
pub struct WeakActorHandle<A: Actor> {
    actor: ActorHold,
    class: PhantomData<fn(A)>,
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
        Ok(Self { actor: actor.clone(), class: PhantomData })
    }

    /// A handle that keeps the actor, unless it is ending already.
    #[must_use]
    pub fn upgrade(&self) -> Option<ActorHandle<A>> {
        let handles = &self.actor.handles;
        let mut count = handles.load(Ordering::Relaxed);
        while count > 0 && !self.actor.is_dead() {
            match handles.compare_exchange_weak(count, count + 1, Ordering::AcqRel, Ordering::Relaxed) {
                // SAFETY: counted just now, of this class.
                Ok(_) => return Some(unsafe { ActorHandle::adopt(self.actor.head()) }),
                Err(seen) => count = seen,
            }
        }
        None
    }

    /// Where the actor stands.
    #[must_use]
    pub fn state(&self) -> ActorState {
        life::state_of(&self.actor)
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
        // SAFETY: checked when the handle was made; the cell is alive by the hold.
        unsafe { ActorCell::<A>::methods(self.actor.head()) }
    }
}

impl<A: Actor> Clone for WeakActorHandle<A> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), class: PhantomData }
    }
}

impl<A: Actor> fmt::Debug for WeakActorHandle<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeakActor({}, {})", A::SPEC.name(), self.id())
    }
}

/// Kills an actor: the running call and the queued ones fail with `ActorDied` at once, and so does every later call. A
/// sync method that runs cannot be interrupted: it goes on, `ray::context().is_cancelled()` tells it, and the state is
/// dropped when it returns. [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.kill.html).
pub fn kill<A: Actor>(actor: &ActorHandle<A>) {
    life::kill(&actor.hold());
}

/// As [`kill`], but the actor starts anew if its `max_restarts` allow it: the running call fails, queued ones go on
/// with the new state. Ray's `kill(no_restart=False)`.
pub fn kill_and_restart<A: Actor>(actor: &ActorHandle<A>) {
    life::kill_and_restart(&actor.hold());
}
