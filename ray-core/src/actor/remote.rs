//! Actors of other processes.
//!
//! A handle of such an actor refers to a *proxy*: an actor's cell of this process without an instance and without a mailbox,
//! under the number that the actor has in all processes. Its calls go to the executor. While the proxy has handles, this
//! process counts as one handle at the executor.

use crate::actor::lifecycle::ActorState;
use std::any::Any;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::actor::any::AnyActor;
use crate::actor::call_cell::CallBody;
use crate::actor::cell::ActorCell;
use crate::actor::class::{Actor, ActorClass, Constructor, InitArgs};
use crate::actor::handle::ActorHandle;
use crate::actor::head::{ActorHead, ActorHold};
use crate::base::call_options::CreateSettings;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::placement::Lifetime;
use crate::base::resources::Resources;
use crate::call::invoke::Running;
use crate::call::registry::{Kind, Registration};
use crate::engine::remote::{call, refuse_group, refuse_stream};
use crate::engine::remote_body::RemoteBody;
use crate::engine::thread_state::ThreadState;
use crate::object::carried::CarriedActor;
use crate::object::encoded::Encoded;
use crate::object::object_ref::ObjectRef;
use crate::task::executor::{Executor, RemoteActor, RemoteCreation, RemoteState};
use crate::task::head::Extra;

/// The executor of a proxy; none for an actor of this process.
#[inline]
pub(crate) fn executor_of(actor: &ActorHead) -> Option<&Arc<dyn Executor>> {
    actor.known_cold_state()?.executor.get()
}

/// A proxy with one handle, which the executor has counted.
fn proxy<A: Actor>(executor: &Arc<dyn Executor>, id: u64) -> ActorHandle<A> {
    let head = ActorCell::<A>::allocate(crate::base::epoch::current());
    // SAFETY: `allocate` has made an actor of this class, and counted one handle.
    let handle: ActorHandle<A> = unsafe { ActorHandle::adopt(head) };
    let actor = handle.hold();
    actor.set_caller(id);
    let _ = actor.cold_state().executor.set(Arc::clone(executor));
    handle
}

/// The state of an actor of another process, as far as its executor tells; none for an actor of this process.
pub(super) fn state(actor: &ActorHead) -> Option<ActorState> {
    Some(match executor_of(actor)?.actor_state(actor.caller()) {
        RemoteState::Pending => ActorState::PendingCreation,
        RemoteState::Alive => ActorState::Alive,
        RemoteState::Restarting => ActorState::Restarting,
        RemoteState::Dead => ActorState::Dead,
    })
}

/// Creates an actor by the executor.
///
/// # Errors
/// Those of the executor; `InvalidArgument` for a class that is `local`; `Serialization`.
#[cold]
pub(super) fn create<C: Constructor>(
    state: &ThreadState,
    executor: &Arc<dyn Executor>,
    args: &InitArgs<C>,
    settings: CreateSettings,
) -> Result<ActorHandle<C::Actor>> {
    refuse_group(settings.placement.as_deref())?;
    let (constructed, call) = call(state, C::SPEC, C::CODEC, args, None)?;
    // The failure of the constructor is that of the calls.
    constructed.header().state.set_seen();
    let creation = RemoteCreation {
        class: C::Actor::SPEC,
        call,
        settings: Some(settings),
        namespace: state.engine.settings.namespace.to_string(),
    };
    let RemoteActor { id, class } = executor.create_actor(creation)?;
    if let Err(other) = check_class::<C::Actor>(&class, ErrorKind::ActorNotFound) {
        executor.release_actor(id);
        return Err(other);
    }
    Ok(proxy(executor, id))
}

/// Calls an actor by the executor.
#[cold]
pub(super) fn send<B: CallBody>(
    state: &ThreadState,
    actor: &ActorHead,
    args: &B::Args,
    extra: Option<Box<Extra>>,
) -> Result<ObjectRef<B::Output>> {
    // An actor whose creation has failed is of this process.
    let executor = executor_of(actor).ok_or_else(|| crate::actor::errors::death(actor))?;
    refuse_stream(B::SPEC, B::STREAM)?;
    let (object, mut call) = call(state, B::SPEC, B::CODEC, args, extra.map(|extra| extra.settings))?;
    call.out_of_order = <<B::Class as Actor>::Class as ActorClass>::OPTIONS.out_of_order;
    if let Some(why) = B::KIND.refuses_force {
        crate::object::remote::refuse_force(object.header(), why);
    }
    executor.call_actor(actor.caller(), call);
    Ok(object)
}

/// The last handle of a proxy is gone.
///
/// # Safety
/// The caller owns the common hold of the handles, and gives it away.
pub(super) unsafe fn release(actor: std::ptr::NonNull<ActorHead>, executor: &Arc<dyn Executor>) {
    // SAFETY: the caller gives the hold away.
    let actor = unsafe { ActorHold::adopt(actor) };
    executor.release_actor(actor.caller());
}

/// A proxy of the actor that has a name, without a handle.
///
/// # Errors
/// `ActorNotFound`: there is none, or it is of another class.
pub(super) fn find<A: Actor>(executor: &Arc<dyn Executor>, namespace: &str, name: &str) -> Result<ActorHold> {
    let RemoteActor { id, class } = executor.find_actor(namespace, name)?;
    check_class::<A>(&class, ErrorKind::ActorNotFound)?;
    let handle = ManuallyDrop::new(proxy::<A>(executor, id));
    let actor = handle.hold();
    // The executor counts no handle for an actor that was found.
    actor.handles.store(0, Ordering::Release);
    // SAFETY: the common hold of the handles, which are gone.
    drop(unsafe { ActorHold::adopt(actor.head()) });
    Ok(actor)
}

/// A handle of a proxy that has none; `None`: the actor is dead.
pub(super) fn upgrade<A: Actor>(actor: &ActorHold, executor: &Arc<dyn Executor>) -> Option<ActorHandle<A>> {
    if !executor.acquire_actor(actor.caller()) {
        return None;
    }
    // The handles have a hold together: the first one counts it.
    let first = actor.handles.fetch_add(1, Ordering::AcqRel) == 0;
    if first {
        let _ = ManuallyDrop::new(actor.clone());
    } else {
        executor.release_actor(actor.caller());
    }
    // SAFETY: the handle was counted, and the caller knows that the actor is of this class.
    Some(unsafe { ActorHandle::adopt(actor.head()) })
}

/// The handle of an actor of which a transport has brought the number and the class.
pub(super) fn received<A: Actor>(carried: &dyn CarriedActor) -> Result<ActorHandle<A>> {
    check_class::<A>(carried.class(), ErrorKind::Serialization)?;
    let engine = crate::engine::thread::current()?;
    let Some(executor) = &engine.engine.executor else {
        return Err(Error::new(ErrorKind::Serialization, "an ActorHandle of another process needs an engine with an executor"));
    };
    if !executor.acquire_actor(carried.id()) {
        return Err(Error::new(ErrorKind::ActorDied, format!("the actor `{}` of this handle is dead", A::SPEC.name())));
    }
    Ok(proxy(executor, carried.id()))
}

fn check_class<A: Actor>(class: &str, kind: ErrorKind) -> Result<()> {
    if class == A::SPEC.path() {
        return Ok(());
    }
    Err(Error::new(kind, format!("the actor is of class `{class}`, and one of class `{}` is expected", A::SPEC.path())))
}

/// The facts that a worker process knows of the actor that it runs, for `ray::context()`.
#[derive(Clone, Debug, Default)]
pub struct OwnActor {
    /// The name, of a named actor.
    pub name: Option<String>,
    /// The resources that the actor holds as long as it lives.
    pub resources: Resources,
    /// How often the actor has started anew.
    pub restarts: u32,
}

impl OwnActor {
    /// Tells it to the handle that the bodies of the actor run with.
    pub fn tell(self, actor: &AnyActor) {
        let cold = actor.head().cold_state();
        cold.restarts.store(self.restarts, Ordering::Relaxed);
        cold.set_settings(CreateSettings {
            name: self.name.map(Into::into),
            namespace: None,
            get_if_exists: false,
            resources: self.resources,
            max_restarts: 0,
            max_task_retries: 0,
            max_concurrency: None,
            max_pending_calls: None,
            groups: &[],
            out_of_order: false,
            lifetime: Lifetime::default(),
            placement: None,
        });
    }
}

/// A handle of an actor of this number, in a worker process: that of the actor that the process runs.
///
/// # Errors
/// `InvalidArgument`: the registration is not that of a class. `RuntimeGone`.
pub fn proxy_of(class: &Registration, id: u64) -> Result<AnyActor> {
    let Kind::Class { proxy, .. } = &class.kind else {
        return Err(Error::new(ErrorKind::InvalidArgument, format!("`{}` is no actor class", class.spec.path())));
    };
    let erased = proxy(id)?;
    let actor = (&*erased as &dyn Any).downcast_ref::<AnyActor>();
    Ok(actor.expect("classes make handles of this type").clone())
}

/// As [`proxy_of`], for the registration of a class.
pub(super) fn erased_proxy<A: Actor>(id: u64) -> Result<Arc<dyn CarriedActor>> {
    let state = crate::engine::thread::current()?;
    let executor = state.engine.executor.as_ref();
    let executor = executor.ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "the engine has no executor"))?;
    if !executor.acquire_actor(id) {
        return Err(Error::new(ErrorKind::ActorDied, "the actor is dead"));
    }
    Ok(Arc::new(proxy::<A>(executor, id).any()))
}

impl RemoteBody {
    /// As [`run`](Self::run), for a method of an actor, so that `ray::context()` and `ray::exit_actor()` know it.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_as(&self, actor: &AnyActor, running: Running) -> Result<Encoded> {
        self.run_in(running, Some(actor.address()))
    }
}
