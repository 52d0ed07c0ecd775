//! Creating actors.

use crate::actor::names::Names;
use crate::base::config::Mode;
use std::sync::atomic::Ordering;

use crate::actor::call::{CallCell, CallHead, InitBody};
use crate::actor::cell::{ActorCell, ActorHold};
use crate::actor::class::{Actor, ActorClass, Constructor, InitArgs};
use crate::actor::concurrent::Admission;
use crate::actor::handle::ActorHandle;
use crate::actor::life::By;
use crate::actor::{life, run};
use crate::base::call_options::{CreateOptions, CreateSettings};
use crate::base::error::{Error, Result};
use crate::call::arg::ArgList;
use crate::engine::free_job::FreeJob;
use crate::engine::thread_state::ThreadState;
use crate::engine::{claim, thread};
use crate::object::entry::Hold;
use crate::object::state::Phase;
use crate::task::head::{Extra, Keep, TaskHead};
use crate::task::{children, dependency};

/// Concurrent calls of an actor with async methods that says nothing.
const ASYNC_CONCURRENCY: u32 = 1000;

/// Creates an actor; an error comes out of its first call.
pub fn create<C: Constructor>(args: InitArgs<C>) -> ActorHandle<C::Actor> {
    match try_create_with::<C>(args, None, None) {
        Ok(handle) => handle,
        Err(error) => failed(error),
    }
}

/// Creates an actor, with what cannot be begun as an error.
///
/// # Errors
/// Options out of range, a name that is taken, more resources than the node has, an engine that is gone.
pub fn try_create<C: Constructor>(args: InitArgs<C>) -> Result<ActorHandle<C::Actor>> {
    try_create_with::<C>(args, None, None)
}

/// A handle of an actor that never came to be.
pub(crate) fn failed<A: Actor>(error: Error) -> ActorHandle<A> {
    let epoch = crate::base::epoch::current();
    // SAFETY: a fresh cell, with one handle.
    let handle: ActorHandle<A> = unsafe { ActorHandle::adopt(ActorCell::<A>::allocate(epoch)) };
    life::end(&handle.hold(), error, By::Other);
    handle
}

/// What the compiler knows of a class's attribute.
struct Known<A>(std::marker::PhantomData<A>);

impl<A: Actor> Known<A> {
    const OPTIONS: &'static crate::base::options::ActorOptions = &<A::Class as ActorClass>::OPTIONS;
    const SILENT: bool = Self::OPTIONS.is_silent() && !A::IS_ASYNC;
}

/// Creates an actor under options.
pub(crate) fn try_create_with<C: Constructor>(
    args: InitArgs<C>,
    options: Option<CreateOptions>,
    keep: Option<Keep>,
) -> Result<ActorHandle<C::Actor>> {
    let state = thread::current()?;
    let args = match C::CODEC {
        Some(codec) if state.engine.settings.mode == Mode::Strict => codec.renew_args(args)?,
        _ => args,
    };
    if options.is_none() && Known::<C::Actor>::SILENT {
        return Ok(begin::<C>(state, args, None, None));
    }
    let settings = options.unwrap_or_default().over(Known::<C::Actor>::OPTIONS)?;
    settings_allow(state, &settings, &format_args!("actor `{}`", C::Actor::SPEC.name()))?;
    let keep = keep.or(C::RETRY.map(|retry| Keep::new(retry.0))).filter(|_| settings.max_restarts != 0);
    if let Some(name) = settings.name.clone() {
        let namespace =
            settings.namespace.clone().map_or_else(|| state.engine.settings.namespace.to_string(), std::borrow::Cow::into_owned);
        let get = settings.get_if_exists;
        // The creation is sent when the table of names is let go again: its arguments may have failed, which ends the actor.
        let mut unsent = None;
        let handle = Names::of(&state.engine).create_or_get(&namespace, &name, get, || {
            let (handle, creation) = prepare::<C>(state, args, Some(settings), keep);
            unsent = Some(creation);
            handle
        })?;
        if let Some(creation) = unsent {
            launch::<C>(creation);
        }
        return Ok(handle);
    }
    Ok(begin::<C>(state, args, Some(settings), keep))
}

fn settings_allow(state: &ThreadState, settings: &CreateSettings, who: &dyn std::fmt::Display) -> Result<()> {
    state.engine.total().check_covers(&settings.resources, who)
}

/// Makes the cell and sends its creation.
fn begin<C: Constructor>(
    state: &ThreadState,
    args: InitArgs<C>,
    settings: Option<CreateSettings>,
    keep: Option<Keep>,
) -> ActorHandle<C::Actor> {
    if settings.is_none() && args.is_plain() {
        return begin_plain::<C>(state, args);
    }
    let (handle, creation) = prepare::<C>(state, args, settings, keep);
    launch::<C>(creation);
    handle
}

/// The common case: nothing to wait for, so the actor is born in the run queue, its creation in its mailbox.
#[inline]
fn begin_plain<C: Constructor>(state: &ThreadState, args: InitArgs<C>) -> ActorHandle<C::Actor> {
    let head = ActorCell::<C::Actor>::allocate(state.epoch);
    let parent = state.frame().and_then(|frame| frame.entry);
    // SAFETY: a fresh cell that nobody else knows: its one hold is the handles', and two more are counted for the
    // creation and the run queue.
    unsafe {
        head.as_ref().schedule_at_birth();
        let actor = ActorHold::adopt(head);
        let entry = CallCell::<InitBody<C>>::allocate(actor, state.caller(), args, Phase::Queued, parent.is_some(), true, None);
        (*head.as_ref().back.get()).push_call(Hold::adopt(entry));
        // From here on a canceller of the parent reaches the actor, and ends it: it must find the creation.
        if let Some(parent) = parent {
            children::adopt(TaskHead::of(parent), entry);
        }
        crate::engine::queue::queue_free(&state.engine, FreeJob::of(ActorHold::adopt(head)));
        ActorHandle::adopt(head)
    }
}

/// Makes the cell and its creation.
fn prepare<C: Constructor>(
    state: &ThreadState,
    args: InitArgs<C>,
    settings: Option<CreateSettings>,
    keep: Option<Keep>,
) -> (ActorHandle<C::Actor>, Hold) {
    // SAFETY: a fresh cell, with one handle.
    let handle: ActorHandle<C::Actor> = unsafe { ActorHandle::adopt(ActorCell::<C::Actor>::allocate(state.epoch)) };
    let actor = handle.hold();
    let mut extra = None;
    let mut gated = !args.is_plain();
    if let Some(settings) = settings {
        let rare = actor.rare();
        let limit = settings.max_concurrency.unwrap_or(if C::Actor::IS_ASYNC { ASYNC_CONCURRENCY } else { 1 });
        if C::Actor::IS_ASYNC || limit > 1 {
            let _ = rare.admission.set(Admission::new(limit));
        }
        // A named one may be called by others before its creation is sent.
        gated |= !settings.resources.is_none() || settings.name.is_some();
        let mut call = crate::actor::send::no_settings();
        call.resources = settings.resources.clone();
        extra = Some(Box::new(Extra { settings: call, keep, granted: false.into() }));
        rare.set_settings(settings);
    }
    if gated {
        actor.lock().pend();
    }
    let phase = if args.is_plain() { Phase::Queued } else { Phase::Waiting };
    let parent = state.frame().and_then(|frame| frame.entry);
    let entry = CallCell::<InitBody<C>>::allocate(actor.clone(), state.caller(), args, phase, parent.is_some(), true, extra);
    // SAFETY: the hold that `allocate` counted. Nobody waits for the creation itself.
    let creation = unsafe { Hold::adopt(entry) };
    if keep.is_some() {
        // SAFETY: alive by the hold.
        actor.rare().keep_creation(unsafe { Hold::new(entry) });
    }
    if phase == Phase::Waiting {
        // SAFETY: alive by the hold.
        actor.rare().set_unready(Some(unsafe { Hold::new(entry) }));
    }
    if gated {
        // SAFETY: alive by the hold.
        actor.rare().set_pending(Some(unsafe { Hold::new(entry) }));
    }
    // From here on a canceller of the parent reaches the actor, and ends it: it must find what the actor has of its creation.
    if let Some(parent) = parent {
        // SAFETY: the frame's entry runs on this thread; one of the child's holds was counted for the list.
        unsafe { children::adopt(TaskHead::of(parent), entry) };
    }
    (handle, creation)
}

/// Sends a creation.
fn launch<C: Constructor>(creation: Hold) {
    let entry = creation.entry();
    // SAFETY: a call's entry, alive by the hold.
    let actor = unsafe { CallHead::of(entry) }.actor.clone();
    if !actor.lock().is_pending() {
        crate::actor::send::post(&actor, actor.head(), creation);
        return;
    }
    if creation.phase() == Phase::Queued {
        arguments_ready(creation);
        return;
    }
    // SAFETY: the arguments are read under the lock of `register`, if they are there.
    match dependency::register(&creation, unsafe { CallCell::<InitBody<C>>::args(entry) }) {
        Ok(true) => arguments_ready(creation),
        Ok(false) => {}
        Err(error) => {
            life::end(&actor, life::constructor_error(&actor, error), By::Other);
            never(&creation);
        }
    }
}

/// The arguments of a constructor are ready: it asks for its resources.
pub(crate) fn arguments_ready(creation: Hold) {
    creation.state.set_seen();
    let _ = creation.state.step(Phase::Waiting, Phase::Queued);
    // SAFETY: a call's entry, alive by the hold.
    let actor = unsafe { CallHead::of(creation.entry()) }.actor.clone();
    if let Some(rare) = actor.known_rare() {
        rare.set_unready(None);
    }
    let needs = creation.task().and_then(|head| head.extra()).is_some_and(|extra| !extra.settings.resources.is_none());
    if !needs {
        open(creation);
        return;
    }
    if actor.is_dead() || run::end_if_unwanted(&actor) {
        never(&creation);
        return;
    }
    match thread::of(creation.epoch) {
        Ok(state) => claim::claim(&state.engine, creation),
        Err(gone) => {
            life::end(&actor, gone, By::Other);
            never(&creation);
        }
    }
}

/// The resources of an actor are granted, for life.
pub(crate) fn granted(creation: Hold) {
    // SAFETY: a call's entry, alive by the hold.
    let (head, actor) = unsafe { (TaskHead::of(creation.entry()), CallHead::of(creation.entry()).actor.clone()) };
    // The actor gives the resources back, not the creation.
    actor.rare().granted.store(true, Ordering::Release);
    // Under the lock: either this sees that it was killed meanwhile, or its last duties see `granted`.
    let dead = actor.lock().is_dead();
    if dead {
        if actor.rare().granted.swap(false, Ordering::AcqRel)
            && let Some(engine) = crate::engine::engine::running()
            && let Some(extra) = head.extra()
        {
            crate::engine::claim::give_back_of_life(&engine, &extra.settings.resources);
        }
        never(&creation);
        return;
    }
    life::note_holder(&actor);
    open(creation);
}

/// Lets the actor run: its creation comes before what was called meanwhile.
fn open(creation: Hold) {
    // SAFETY: a call's entry, alive by the hold.
    let actor = unsafe { CallHead::of(creation.entry()) }.actor.clone();
    let late = {
        let states = actor.lock();
        if states.open() {
            // SAFETY: pending until now, so nobody has had the run right, and `front` is empty.
            unsafe { (*actor.front.get()).push_call(creation) };
            None
        } else {
            Some(creation)
        }
    };
    match late {
        // Killed meanwhile.
        Some(creation) => never(&creation),
        None => {
            drop(actor.rare().set_pending(None));
            run::schedule(&actor);
        }
    }
}

/// The actor died before its constructor was begun.
fn never(creation: &Hold) {
    creation.state.set_seen();
    // SAFETY: a call's entry, alive by the hold.
    unsafe {
        let actor = &CallHead::of(creation.entry()).actor;
        creation.abort(life::death(actor));
    }
}

/// An argument of the constructor failed, or the creation was cancelled.
pub(crate) fn argument_failed(creation: &CallHead) {
    if creation.task.header.phase() == Phase::Failed {
        let error = creation.task.header.error();
        creation.task.header.state.set_seen();
        life::end(&creation.actor, life::constructor_error(&creation.actor, error), By::Other);
    }
}
