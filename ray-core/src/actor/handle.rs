//! Handles of actors.

use crate::actor::any::AnyActor;
use crate::object::carried;
use crate::object::carried::Carried;
use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

use crate::actor::call_cell::{CallBody, Started};
use crate::actor::cell::ActorCell;
use crate::actor::class::Actor;
use crate::actor::errors::exited;
use crate::actor::head::{ActorHead, ActorHold};
use crate::actor::interrupt::By;
use crate::actor::lifecycle::{ActorState, end_sparing, state_of};
use crate::actor::{host, kinds, remote, send};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::ActorId;
use crate::call::arg::{Arg, Closure, IntoArg};
use crate::call::codec::{ArgsCodec, Codec, OutputCodec};
use crate::call::spec::Spec;
use crate::engine::thread_state::Frame;
use crate::object::entry::Header;
use crate::object::object_ref::ObjectRef;
use crate::task::head::TaskKind;

/// A handle of an actor. It dereferences to the actor's methods, so `counter.increment.remote()` calls a method.
///
/// Handles are cheap to clone, and can be passed to tasks and other actors and stored in objects. When the last handle is
/// dropped, the actor runs the calls that it was sent, and ends. [Ray's
/// page](https://docs.ray.io/en/latest/ray-core/actors.html).
pub struct ActorHandle<A: Actor> {
    actor: AnyActor,
    class: PhantomData<fn(A)>,
}

impl<A: Actor> std::panic::UnwindSafe for ActorHandle<A> {}
impl<A: Actor> std::panic::RefUnwindSafe for ActorHandle<A> {}

/// The body of [`ActorHandle::ready`].
struct ReadyBody<A>(PhantomData<A>);

static READY: Spec = Spec::new("ray::ActorHandle::ready", file!(), line!()).local();

impl<A: Actor> CallBody for ReadyBody<A> {
    type Class = A;
    type Args = ();
    type Output = ();
    const SPEC: &'static Spec = &READY;
    const KIND: &'static TaskKind = &kinds::CALL;
    const OF_HANDLES: bool = true;
    const EXCLUSIVE: bool = false;
    const CODEC: Option<Codec<(), ()>> = Some(Codec::new(ArgsCodec::new(), OutputCodec::new()));
    unsafe fn start(_place: *mut A, (): ()) -> Started<()> {
        Started::Ended(Ok(()))
    }
}

/// The body of [`ActorHandle::with`]: a closure on the instance.
struct WithBody<A, C, R>(PhantomData<A>, PhantomData<C>, PhantomData<R>);

static WITH: Spec = Spec::new("ray::ActorHandle::with", file!(), line!()).local();

impl<A: Actor, C: FnOnce(&mut A) -> R + Send + 'static, R: Send + Sync + 'static> CallBody for WithBody<A, C, R> {
    type Class = A;
    type Args = (Closure<C>,);
    type Output = R;
    const SPEC: &'static Spec = &WITH;
    const KIND: &'static TaskKind = &kinds::CALL;
    const OF_HANDLES: bool = true;
    const EXCLUSIVE: bool = true;
    const CHANGES: bool = true;
    const CODEC: Option<Codec<Self::Args, R>> = None;

    unsafe fn start(place: *mut A, (closure,): Self::Args) -> Started<R> {
        // SAFETY: `place` is the instance, and the body is exclusive, so no other code uses the instance meanwhile.
        Started::Ended(Ok((closure.0)(unsafe { &mut *place })))
    }
}

impl<A: Actor> ActorHandle<A> {
    /// Takes over a handle that is counted already.
    ///
    /// # Safety
    /// The caller owns that handle, and the actor is of this class.
    pub(crate) unsafe fn adopt(head: NonNull<ActorHead>) -> Self {
        // SAFETY: the caller owns a counted handle.
        Self { actor: unsafe { AnyActor::adopt(head) }, class: PhantomData }
    }

    fn head(&self) -> &ActorHead {
        self.actor.head()
    }

    /// The same handle without its class.
    #[doc(hidden)]
    #[must_use]
    pub fn any(&self) -> AnyActor {
        self.actor.clone()
    }

    pub(crate) fn hold(&self) -> ActorHold {
        // SAFETY: the common hold of the handles keeps the actor alive.
        unsafe { ActorHold::new(self.actor.address()) }
    }

    /// A reference that becomes ready when the constructor has run. If the constructor fails, the reference fails.
    pub fn ready(&self) -> ObjectRef<()> {
        send::send::<ReadyBody<A>>(self.actor.address(), (), None)
    }

    /// Calls a closure on the actor's state, as a method that takes `&mut self`. The closure runs in this process only.
    pub fn with<R: Send + Sync + 'static>(&self, f: impl FnOnce(&mut A) -> R + Send + 'static) -> ObjectRef<R> {
        fn send_with<A: Actor, C: FnOnce(&mut A) -> R + Send + 'static, R: Send + Sync + 'static>(
            head: NonNull<ActorHead>,
            f: C,
        ) -> ObjectRef<R> {
            send::send::<WithBody<A, C, R>>(head, (Closure(f),), None)
        }
        send_with::<A, _, R>(self.actor.address(), f)
    }

    /// The state of the actor.
    #[must_use]
    pub fn state(&self) -> ActorState {
        remote::state(self.head()).unwrap_or_else(|| state_of(self.head()))
    }

    /// The actor's number. It stays the same when the actor restarts.
    #[must_use]
    pub fn id(&self) -> ActorId {
        self.head().id()
    }

    /// Ends the actor after the calls that were sent before this one. The reference becomes ready when the actor has ended.
    /// Later calls fail with `ActorDied`.
    pub fn terminate(&self) -> ObjectRef<()> {
        send::send::<TerminateBody<A>>(self.actor.address(), (), None)
    }
}

/// The body of [`ActorHandle::terminate`].
struct TerminateBody<A>(PhantomData<A>);

static TERMINATE: Spec = Spec::new("ray::ActorHandle::terminate", file!(), line!()).local();

impl<A: Actor> CallBody for TerminateBody<A> {
    type Class = A;
    type Args = ();
    type Output = ();
    const SPEC: &'static Spec = &TERMINATE;
    const KIND: &'static TaskKind = &kinds::CALL;
    const OF_HANDLES: bool = true;
    const EXCLUSIVE: bool = true;
    const CODEC: Option<Codec<(), ()>> = Some(Codec::new(ArgsCodec::new(), OutputCodec::new()));
    unsafe fn start(_place: *mut A, (): ()) -> Started<()> {
        // The call is not failed with the others: its reference becomes ready.
        let own = running_frame().and_then(|frame| frame.entry);
        Started::Ended(exit(own))
    }
}

/// Ends the running actor. All its calls fail with `ActorDied`: the queued calls, the calls that run beside this one, and
/// this call, whatever the method returns. The actor's state is dropped when the last body has ended, so return soon. An
/// async body is dropped at its next await. [Ray's
/// page](https://docs.ray.io/en/latest/ray-core/actors/terminating-actors.html).
///
/// # Errors
/// `InvalidArgument` outside of an actor's method.
pub fn exit_actor() -> Result<()> {
    exit(None)
}

/// The frame of the body that runs on this thread.
fn running_frame() -> Option<&'static Frame> {
    crate::engine::thread::existing().and_then(|state| state.frame())
}

/// Ends the running actor; the call `spared` is not failed.
fn exit(spared: Option<NonNull<Header>>) -> Result<()> {
    let Some(actor) = running_frame().and_then(host::hold_of_frame) else {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            "exit_actor is for an actor's method; from outside use `handle.terminate()` or `ray::kill(&handle)`",
        ));
    };
    if let Some(executor) = remote::executor_of(&actor) {
        return executor.exit_actor(actor.caller());
    }
    let by = if actor.is_concurrent() { By::Other } else { By::Runner };
    end_sparing(&actor, exited(&actor), by, spared);
    Ok(())
}

impl<A: Actor> Deref for ActorHandle<A> {
    type Target = A::Methods;
    #[inline]
    fn deref(&self) -> &A::Methods {
        // SAFETY: the actor is of this class, and the handle keeps it alive.
        unsafe { ActorCell::<A>::methods(self.actor.address()) }
    }
}

impl<A: Actor> Clone for ActorHandle<A> {
    fn clone(&self) -> Self {
        Self { actor: self.actor.clone(), class: PhantomData }
    }
}

/// Two handles are equal if they refer to the same actor. A handle and a weak one are compared in the same way.
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

impl<A: Actor> IntoArg<Vec<ActorHandle<A>>> for &[ActorHandle<A>] {
    fn into_arg(self) -> Arg<Vec<ActorHandle<A>>> {
        Arg::of(self.to_vec())
    }
}

impl<A: Actor> IntoArg<Vec<ActorHandle<A>>> for &Vec<ActorHandle<A>> {
    fn into_arg(self) -> Arg<Vec<ActorHandle<A>>> {
        Arg::of(self.clone())
    }
}

impl<A: Actor, const N: usize> IntoArg<Vec<ActorHandle<A>>> for [ActorHandle<A>; N] {
    fn into_arg(self) -> Arg<Vec<ActorHandle<A>>> {
        Arg::of(self.into())
    }
}

impl<A: Actor, const N: usize> IntoArg<Vec<ActorHandle<A>>> for &[ActorHandle<A>; N] {
    fn into_arg(self) -> Arg<Vec<ActorHandle<A>>> {
        Arg::of(self.to_vec())
    }
}

impl<A: Actor> Serialize for ActorHandle<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        carried::send(Carried::Actor(Arc::new(self.any())), "an ActorHandle", serializer)
    }
}

impl<'de, A: Actor> Deserialize<'de> for ActorHandle<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        carried::receive("an ActorHandle", deserializer, |carried| match carried {
            Carried::Actor(actor) => Some(match (&**actor as &dyn Any).downcast_ref::<AnyActor>() {
                Some(actor) => actor.typed(),
                None => remote::received(&**actor),
            }),
            Carried::Object(_) | Carried::Remote(_) => None,
        })
    }
}
