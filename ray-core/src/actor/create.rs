//! Creating actors. The module [`creation`] has the part that does not depend on types.

use crate::actor::remote;
use crate::base::config::Mode;
use crate::base::error::conversion::ErrorCodec;
use crate::base::event::Pending;
use crate::object::events;
use std::borrow::Cow;
use std::marker::PhantomData;

use crate::actor::admission::Admission;
use crate::actor::call::CallHold;
use crate::actor::call_cell::{CallBody, CallCell, Origin, Started};
use crate::actor::cell::ActorCell;
use crate::actor::class::{Actor, ActorClass, Constructor, InitArgs};
use crate::actor::handle::ActorHandle;
use crate::actor::head::ActorHold;
use crate::actor::interrupt::By;
use crate::actor::names::Names;
use crate::actor::{backlog, checkpoint, creation, kinds, lifecycle, named};
use crate::base::call_options::{CallSettings, CreateOptions, CreateSettings};
use crate::base::error::{Error, Result};
use crate::base::inherited;
use crate::base::placement::Lifetime;
use crate::call::arg::ArgList;
use crate::call::codec::Codec;
use crate::call::function::FunctionCall;
use crate::call::spec::Spec;
use crate::engine::free_job::FreeJob;
use crate::engine::submit::feasible;
use crate::engine::thread_state::ThreadState;
use crate::engine::{capture, thread, trace};
use crate::object::entry::Hold;
use crate::object::state::Phase;
use crate::task::head::{Extra, Keep, TaskHead, TaskKind};
use crate::task::{children, dependency};

/// A constructor as a body.
pub(crate) struct InitBody<C>(PhantomData<C>);

impl<C: Constructor> CallBody for InitBody<C> {
    type Class = C::Actor;
    type Args = InitArgs<C>;
    type Output = ();
    const SPEC: &'static Spec = C::SPEC;
    const KIND: &'static TaskKind = &kinds::CREATION;
    const EXCLUSIVE: bool = true;
    const CREATES: bool = true;
    const IS_ASYNC: bool = matches!(C::CALL, FunctionCall::Async(_));
    const CODEC: Option<Codec<InitArgs<C>, ()>> = C::CODEC;
    const ERROR: Option<ErrorCodec> = C::ERROR;

    unsafe fn start(place: *mut C::Actor, args: InitArgs<C>) -> Started<()> {
        match C::CALL {
            // SAFETY: the body creates, so `place` is free memory for an instance.
            FunctionCall::Sync(body) => Started::Ended(body(args).map(|instance| unsafe { place.write(instance) })),
            FunctionCall::Async(body) => {
                let (made, place) = (body(args), Place(place));
                Started::Future(Box::pin(async move {
                    let made = made.await;
                    // As a whole: a part of it would not be Send.
                    let Place(place) = { place };
                    // SAFETY: the body creates, so `place` is free memory for an instance until the future is over.
                    made.map(|instance| unsafe { place.write(instance) })
                }))
            }
        }
    }
}

/// The place of an instance that a future makes.
struct Place<A>(*mut A);

// SAFETY: the future is the only user of the place until it is over, and the instance is Send (see `Actor::MOVABLE`).
unsafe impl<A: Actor> Send for Place<A> {}

/// The default of `max_concurrency` for an actor with async methods.
const ASYNC_CONCURRENCY: u32 = 1000;

/// Creates an actor. If that fails, every call of the actor fails with the error.
pub fn create<C: Constructor>(args: InitArgs<C>) -> ActorHandle<C::Actor> {
    match try_create_with::<C>(args, None, None) {
        Ok(handle) => handle,
        Err(error) => failed(error),
    }
}

/// Creates an actor; a creation that cannot be sent is an error.
///
/// # Errors
/// Options out of range, a name that is taken, more resources than the node has, an engine that is gone.
pub fn try_create<C: Constructor>(args: InitArgs<C>) -> Result<ActorHandle<C::Actor>> {
    try_create_with::<C>(args, None, None)
}

/// The handle of an actor whose creation has failed.
pub(crate) fn failed<A: Actor>(error: Error) -> ActorHandle<A> {
    let epoch = crate::base::epoch::current();
    // SAFETY: `allocate` has made an actor of this class, and counted one handle.
    let handle: ActorHandle<A> = unsafe { ActorHandle::adopt(ActorCell::<A>::allocate(epoch)) };
    lifecycle::end(&handle.hold(), error, By::Other);
    handle
}

/// What is known at compile time of a class's attribute.
struct Known<A>(PhantomData<A>);

impl<A: Actor> Known<A> {
    const OPTIONS: &'static crate::base::options::ActorOptions = &<A::Class as ActorClass>::OPTIONS;
    const HAS_CHECKPOINTS: bool = <A::Class as ActorClass>::CHECKPOINTS.is_some();
    const SILENT: bool = Self::OPTIONS.is_silent() && !A::IS_ASYNC && !Self::HAS_CHECKPOINTS;
}

/// Creates an actor under options.
pub(crate) fn try_create_with<C: Constructor>(
    args: InitArgs<C>,
    options: Option<CreateOptions>,
    keep: Option<Keep>,
) -> Result<ActorHandle<C::Actor>> {
    let state = thread::current()?;
    if let Some(executor) = &state.engine.executor {
        if Known::<C::Actor>::HAS_CHECKPOINTS {
            return Err(checkpoint::refused(C::Actor::SPEC.name()));
        }
        let settings = options.unwrap_or_default().over(Known::<C::Actor>::OPTIONS)?;
        return remote::create::<C>(state, executor, &args, settings);
    }
    let args = match C::CODEC {
        Some(codec) if state.engine.settings.mode == Mode::Strict => codec.renew_args(args)?,
        _ => args,
    };
    let of_group = inherited::is_used() && capture::is_captured(state);
    if options.is_none() && Known::<C::Actor>::SILENT && !of_group {
        return Ok(begin::<C>(state, args, None, None));
    }
    let mut settings = options.unwrap_or_default().over(Known::<C::Actor>::OPTIONS)?;
    if of_group {
        capture::capture(state, &mut settings.placement);
    }
    settings_allow(state, &settings, &format_args!("actor `{}`", C::Actor::SPEC.name()))?;
    let keep = keep.or(C::RETRY.map(|retry| Keep::new(retry.0))).filter(|_| settings.max_restarts != 0);
    if let Some(name) = settings.name.clone() {
        let namespace = settings.namespace.clone().map_or_else(|| state.engine.settings.namespace.to_string(), Cow::into_owned);
        let get = settings.get_if_exists;
        // The creation is sent after the table of names is unlocked: if its arguments have failed, the actor ends, and
        // removes its name from the table.
        let detached = settings.lifetime == Lifetime::Detached;
        let mut unsent = None;
        let handle = named::create_or_get(Names::of(&state.engine), (&namespace, &name), get, || {
            let (handle, creation, submission) = prepare::<C>(state, args, Some(settings), keep);
            unsent = Some((creation, submission));
            handle
        })?;
        if let Some((creation, submission)) = unsent {
            if detached {
                Names::of(&state.engine).keep(handle.hold(), Box::new(handle.any()));
            }
            launch::<C>(creation, submission);
        }
        return Ok(handle);
    }
    let detached = settings.lifetime == Lifetime::Detached;
    let handle = begin::<C>(state, args, Some(settings), keep);
    if detached {
        Names::of(&state.engine).keep(handle.hold(), Box::new(handle.any()));
    }
    Ok(handle)
}

/// Checks that the node has the resources, and is a place where the actor may run.
fn settings_allow(state: &ThreadState, settings: &CreateSettings, title: &dyn std::fmt::Display) -> Result<()> {
    feasible(&state.engine, &settings.resources, settings.placement.as_deref(), title)
}

/// Makes an actor and sends its creation.
fn begin<C: Constructor>(
    state: &ThreadState,
    args: InitArgs<C>,
    settings: Option<CreateSettings>,
    keep: Option<Keep>,
) -> ActorHandle<C::Actor> {
    if settings.is_none() && args.is_plain() && !crate::base::trace::is_used() {
        return begin_plain::<C>(state, args);
    }
    let (handle, creation, submission) = prepare::<C>(state, args, settings, keep);
    launch::<C>(creation, submission);
    handle
}

/// The common case: the creation need not wait. It is in the mailbox, and the actor in the run queue, from the start.
#[inline]
fn begin_plain<C: Constructor>(state: &ThreadState, args: InitArgs<C>) -> ActorHandle<C::Actor> {
    let head = ActorCell::<C::Actor>::allocate(state.epoch);
    let parent = state.frame().and_then(|frame| frame.entry);
    // SAFETY: the actor was made above, and no other thread knows it. Its one hold is that of the handles.
    // `schedule_at_birth` counts two more, for the creation and for the run queue, and each of the three is adopted once.
    // Without a runner `back` is this thread's. The parent's body runs on this thread, so the parent is alive; `allocate`
    // has counted a hold for its list.
    unsafe {
        head.as_ref().schedule_at_birth();
        let origin = Origin {
            actor: ActorHold::adopt(head),
            caller: state.caller(),
            phase: Phase::Queued,
            child: parent.is_some(),
            unread: true,
            group: 0,
            extra: None,
        };
        let creation = CallCell::<InitBody<C>>::allocate(origin, args).into_hold();
        let entry = creation.entry();
        events::submitted(entry, parent, true);
        (*head.as_ref().back.get()).push_call(creation);
        // From here on a thread that cancels the parent reaches the actor, and ends it. It must find the creation.
        if let Some(parent) = parent {
            children::adopt(TaskHead::of(parent), entry);
        }
        crate::engine::queue::queue_free(&state.engine, FreeJob::of(ActorHold::adopt(head)));
        ActorHandle::adopt(head)
    }
}

/// Makes an actor and its creation. [`launch`] tells that the creation is submitted.
fn prepare<C: Constructor>(
    state: &ThreadState,
    args: InitArgs<C>,
    settings: Option<CreateSettings>,
    keep: Option<Keep>,
) -> (ActorHandle<C::Actor>, CallHold, Pending) {
    // SAFETY: `allocate` has made an actor of this class, and counted one handle.
    let handle: ActorHandle<C::Actor> = unsafe { ActorHandle::adopt(ActorCell::<C::Actor>::allocate(state.epoch)) };
    let actor = handle.hold();
    let mut extra = None;
    let mut gated = !args.is_plain();
    if let Some(settings) = settings {
        let cold = actor.cold_state();
        let limit = settings.max_concurrency.unwrap_or(if C::Actor::IS_ASYNC { ASYNC_CONCURRENCY } else { 1 });
        if C::Actor::IS_ASYNC || limit > 1 || !settings.groups.is_empty() {
            let _ = cold.admission.set(Admission::new(limit, settings.groups));
        }
        // Other threads may find a named actor, and call it, before its creation is sent.
        let in_group = settings.placement.clone().filter(|placement| placement.in_group().is_some());
        gated |= !settings.resources.is_none() || in_group.is_some() || settings.name.is_some();
        let call = CallSettings { resources: settings.resources.clone(), placement: in_group, ..CallSettings::none() };
        extra = Some(Box::new(Extra { settings: call, keep, items: None, granted: false.into() }));
        cold.set_settings(settings);
    }
    let extra = trace::attach(state, extra, CallSettings::none);
    if gated {
        actor.lock().pend();
    }
    let phase = if args.is_plain() { Phase::Queued } else { Phase::Waiting };
    let parent = state.frame().and_then(|frame| frame.entry);
    let (caller, child) = (state.caller(), parent.is_some());
    let origin = Origin { actor: actor.clone(), caller, phase, child, unread: true, group: 0, extra };
    let creation = CallCell::<InitBody<C>>::allocate(origin, args);
    let hold: &Hold = creation.hold();
    // SAFETY: a fresh entry, and one whose body runs on this thread.
    let submission = unsafe { events::submission(hold.entry(), parent) };
    if keep.is_some() {
        actor.cold_state().keep_creation(hold.clone());
    }
    if phase == Phase::Waiting {
        actor.cold_state().set_unready(Some(hold.clone()));
    }
    if gated {
        actor.cold_state().set_pending(Some(hold.clone()));
    }
    // From here on a thread that cancels the parent reaches the actor, and ends it. It must find the creation in the cold
    // state.
    if let Some(parent) = parent {
        // SAFETY: the parent's body runs on this thread, so the parent is alive. `allocate` has counted a hold for its
        // list.
        unsafe { children::adopt(TaskHead::of(parent), hold.entry()) };
    }
    (handle, creation, submission)
}

/// Sends a creation.
fn launch<C: Constructor>(creation: CallHold, submission: Pending) {
    submission.tell();
    let actor = creation.actor.clone();
    if !actor.lock().is_pending() {
        creation.hold().tell_ready();
        backlog::post(&actor, creation);
        return;
    }
    if creation.hold().phase() == Phase::Queued {
        creation::arguments_ready(creation);
        return;
    }
    // SAFETY: the entry is a creation of this type, alive by the hold, and was made in `Waiting`; `register` reads the
    // arguments under its lock, if it is still in that phase.
    let args = unsafe { CallCell::<InitBody<C>>::args(creation.hold().entry()) };
    match dependency::register(creation.hold(), args) {
        Ok(true) => creation::arguments_ready(creation),
        Ok(false) => {}
        Err(error) => creation::refuse(&creation, error),
    }
}
