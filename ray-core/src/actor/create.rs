//! Creating actors.

use std::sync::atomic::Ordering;

use super::call::{CallCell, CallHead, InitBody};
use super::cell::{ActorCell, ActorHead, ActorHold};
use super::concurrent::Admission;
use super::handle::ActorHandle;
use super::right::{DEAD, GATED};
use super::{Actor, ActorClass, Constructor, InitArgs, life, run};
use crate::callable::arg::ArgList;
use crate::error::{Error, Result};
use crate::options::{CreateOptions, CreateSettings};
use crate::runtime::{FreeJob, claim};
use crate::store::entry::{Hold, Kind};
use crate::store::state::Phase;
use crate::task::{Extra, Keep, TaskHead, children, dependency};
use crate::thread::{self, ThreadState};

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
    let epoch = crate::runtime::epoch();
    // SAFETY: a fresh cell, with one handle.
    let handle: ActorHandle<A> = unsafe { ActorHandle::adopt(ActorCell::<A>::allocate(epoch)) };
    life::mark_dead(&handle.hold(), error);
    handle
}

/// What the compiler knows of a class's attribute.
struct Known<A>(std::marker::PhantomData<A>);

impl<A: Actor> Known<A> {
    const OPTIONS: &'static crate::options::ActorOptions = &<A::Class as ActorClass>::OPTIONS;
    const SILENT: bool = Self::OPTIONS.is_silent() && !A::IS_ASYNC;
}

/// Creates an actor under options.
pub(crate) fn try_create_with<C: Constructor>(
    args: InitArgs<C>,
    options: Option<CreateOptions>,
    keep: Option<Keep>,
) -> Result<ActorHandle<C::Actor>> {
    let state = thread::current()?;
    let args = match C::GLUE {
        Some(glue) if state.engine.settings.strict => (glue.args)(args)?,
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
        let handle = state.engine.names.create_or_get(&namespace, &name, get, || {
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
        head.as_ref().be_born();
        let actor = ActorHold::adopt(head);
        let entry = CallCell::<InitBody<C>>::allocate(actor, state.caller(), args, Phase::Queued, parent.is_some(), true, None);
        if let Some(parent) = parent {
            children::adopt(TaskHead::of(parent), entry);
        }
        (*head.as_ref().back.get()).push_call(Hold::adopt(entry));
        state.engine.queue_free(FreeJob::Actor(ActorHold::adopt(head)));
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
        let mut call = super::send::no_settings();
        call.resources = settings.resources.clone();
        extra = Some(Box::new(Extra { settings: call, keep, granted: false.into() }));
        rare.set_settings(settings);
    }
    if gated {
        actor.lock().set(GATED);
    }
    let phase = if args.is_plain() { Phase::Queued } else { Phase::Waiting };
    let parent = state.frame().and_then(|frame| frame.entry);
    let entry = CallCell::<InitBody<C>>::allocate(actor.clone(), state.caller(), args, phase, parent.is_some(), true, extra);
    if let Some(parent) = parent {
        // SAFETY: the frame's entry runs on this thread; one of the child's holds was counted for the list.
        unsafe { children::adopt(TaskHead::of(parent), entry) };
    }
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
    (handle, creation)
}

/// Sends a creation.
fn launch<C: Constructor>(creation: Hold) {
    let entry = creation.entry();
    // SAFETY: a call's entry, alive by the hold.
    let actor = unsafe { CallHead::of(entry) }.actor.clone();
    if !actor.lock().is(GATED) {
        super::send::post(&actor, actor.head(), creation);
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
            life::end_from_outside(&actor, life::stillborn(&actor, error));
            never(&creation);
        }
    }
}

/// The arguments of a constructor are ready: it asks for its resources.
pub(crate) fn arguments_ready(creation: Hold) {
    creation.state.set_seen();
    let _ = creation.state.step(Phase::Waiting, Phase::Queued);
    // SAFETY: a call's entry, alive by the hold.
    if let Some(rare) = unsafe { CallHead::of(creation.entry()) }.actor.known_rare() {
        rare.set_unready(None);
    }
    let needs = creation.task().and_then(|head| head.extra()).is_some_and(|extra| !extra.settings.resources.is_none());
    if !needs {
        open(creation);
        return;
    }
    match thread::of(creation.epoch) {
        Ok(state) => claim::claim(&state.engine, creation),
        Err(gone) => {
            // SAFETY: a call's entry, alive by the hold.
            let actor = unsafe { CallHead::of(creation.entry()) }.actor.clone();
            life::end_from_outside(&actor, gone);
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
    // Under the lock: either this sees that it was killed meanwhile, or its burial sees `granted`.
    if actor.lock().is(DEAD) {
        if actor.rare().granted.swap(false, Ordering::AcqRel)
            && let Some(engine) = crate::runtime::running()
            && let Some(extra) = head.extra()
        {
            engine.give_back_of_life(&extra.settings.resources);
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
        states.clear(GATED);
        if states.is(DEAD) {
            Some(creation)
        } else {
            // SAFETY: gated, so nobody has had the run right, and `front` is empty.
            unsafe { (*actor.front.get()).push_call(creation) };
            None
        }
    };
    match late {
        // Killed meanwhile.
        Some(creation) => never(&creation),
        None => run::schedule(&actor, false),
    }
}

/// The claim of a task that was cancelled, or of an actor that died or that nobody can call: it is not made.
pub(crate) fn refused(task: Hold) {
    if task.vtable.kind == Kind::Call {
        // SAFETY: a call's entry, alive by the hold.
        let actor = unsafe { CallHead::of(task.entry()) }.actor.clone();
        if actor.is_unwanted() {
            life::end_from_outside(&actor, life::death(&actor));
            never(&task);
        }
        // Else it was cancelled, and its canceller ends the actor.
    }
}

/// Nobody is left who could call the actor: if it still waits for its resources, it need not begin.
pub(crate) fn forsaken(actor: &ActorHold) {
    if actor.known_rare().is_some()
        && actor.is_unwanted()
        && let Some(creation) = claim::withdraw_actor(actor)
    {
        life::end_from_outside(actor, life::death(actor));
        never(&creation);
    }
}

/// A dead actor waits no longer for its resources, nor for the arguments of its constructor.
pub(crate) fn withdraw(actor: &ActorHead) {
    let creation = claim::withdraw_actor(actor).or_else(|| actor.known_rare()?.unready());
    if let Some(creation) = creation {
        never(&creation);
    }
}

/// The actor died before its constructor was begun.
fn never(creation: &Hold) {
    creation.state.set_seen();
    // SAFETY: a call's entry, alive by the hold.
    unsafe {
        let actor = &CallHead::of(creation.entry()).actor;
        crate::task::abort(creation.entry(), life::death(actor));
    }
}

/// An argument of the constructor failed, or the creation was cancelled.
pub(crate) fn argument_failed(creation: &CallHead) {
    if creation.task.header.phase() == Phase::Failed {
        let error = creation.task.header.error();
        creation.task.header.state.set_seen();
        life::end_from_outside(&creation.actor, life::stillborn(&creation.actor, error));
    }
}
