//! Calling methods: from a handle to the mailbox. [`backlog`](crate::actor::backlog) has the part that does not depend on
//! types.

use crate::actor::remote;
use crate::base::config::Mode;
use crate::base::error::conversion::ErrorCodec;
use crate::object::events;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::actor::call_cell::{CallBody, CallCell, Origin, Started};
use crate::actor::cell::ActorCell;
use crate::actor::class::{Actor, ActorClass, Link, MethodArgs, RemoteMethod};
use crate::actor::cold_state::ColdState;
use crate::actor::errors::death;
use crate::actor::execution::frame;
use crate::actor::head::{ActorHead, ActorHold};
use crate::actor::mailbox::{Told, fits, words_of};
use crate::actor::schedule::enqueue;
use crate::actor::{backlog, kinds};
use crate::base::call_options::{CallOptions, CallSettings};
use crate::base::concurrency_group::{Group, GroupSizes};
use crate::base::error::{Error, ErrorKind, Result};
use crate::call::arg::ArgList;
use crate::call::codec::Codec;
use crate::call::function::{BoxFuture, MethodCall};
use crate::call::refs::Refs;
use crate::call::spec::Spec;
use crate::call::stream_spec::StreamSpec;
use crate::engine::thread_state::ThreadState;
use crate::engine::{thread, trace};
use crate::object::object_ref::ObjectRef;
use crate::object::state::Phase;
use crate::task::children;
use crate::task::head::{Extra, Keep, TaskHead, TaskKind};

/// A method as a body.
pub(crate) struct MethodBody<M>(PhantomData<M>);

impl<M: RemoteMethod> CallBody for MethodBody<M> {
    type Class = M::Actor;
    type Args = MethodArgs<M>;
    type Output = M::Output;
    const SPEC: &'static Spec = M::SPEC;
    const KIND: &'static TaskKind = &kinds::CALL;
    const EXCLUSIVE: bool = matches!(M::CALL, MethodCall::Mut(_) | MethodCall::AsyncMut(_));
    const CHANGES: bool = Self::EXCLUSIVE;
    const IS_ASYNC: bool = matches!(M::CALL, MethodCall::AsyncRef(_) | MethodCall::AsyncMut(_));
    const GROUP: Option<Group> = Known::<M>::OPTIONS.group;
    const CODEC: Option<Codec<MethodArgs<M>, M::Output>> = M::CODEC;
    const ERROR: Option<ErrorCodec> = M::ERROR;
    const STREAM: Option<StreamSpec> = M::STREAM;

    #[inline]
    unsafe fn start(place: *mut M::Actor, args: MethodArgs<M>) -> Started<M::Output> {
        // SAFETY: `place` is the instance. No other code uses it until the body and its future are over; if the method
        // takes `&self`, other bodies do, which are not exclusive and take `&self`, too.
        unsafe {
            match M::CALL {
                MethodCall::Ref(body) => Started::Ended(body(&*place, args)),
                MethodCall::Mut(body) => Started::Ended(body(&mut *place, args)),
                MethodCall::AsyncRef(body) => Started::Future(forget_borrow(body(&*place, args))),
                MethodCall::AsyncMut(body) => Started::Future(forget_borrow(body(&mut *place, args))),
            }
        }
    }
}

/// Removes the borrow of the instance from the type of a future.
///
/// # Safety
/// The future is dropped before the instance is.
unsafe fn forget_borrow<'a, R>(future: BoxFuture<'a, R>) -> BoxFuture<'static, R> {
    // SAFETY: only the lifetime changes, and the caller drops the future while the instance exists.
    unsafe { std::mem::transmute::<BoxFuture<'a, R>, BoxFuture<'static, R>>(future) }
}

/// Calls a method.
#[inline]
pub(crate) fn call<M: RemoteMethod>(
    link: Link<M::Actor>,
    args: MethodArgs<M>,
    options: Option<CallOptions>,
    keep: Option<Keep>,
) -> M::Refs {
    M::Refs::from_whole(call_whole::<M>(link, args, options, keep))
}

/// Calls a method; a call that cannot be sent is an error.
pub(crate) fn try_call<M: RemoteMethod>(
    link: Link<M::Actor>,
    args: MethodArgs<M>,
    options: Option<CallOptions>,
    keep: Option<Keep>,
) -> Result<M::Refs> {
    // SAFETY: a link is used through a borrowed handle, which keeps the actor alive.
    let actor = unsafe { link.head.as_ref() };
    if actor.is_dead() && usable(actor).is_ok() {
        return Err(death(actor).in_task(M::SPEC.name(), M::SPEC.file(), M::SPEC.line()));
    }
    let whole = call_whole::<M>(link, args, options, keep);
    crate::engine::submit::refuse_failed(&whole)?;
    Ok(M::Refs::from_whole(whole))
}

#[inline]
pub(crate) fn call_whole<M: RemoteMethod>(
    link: Link<M::Actor>,
    args: MethodArgs<M>,
    options: Option<CallOptions>,
    keep: Option<Keep>,
) -> ObjectRef<M::Output> {
    // SAFETY: a link is used through a borrowed handle, which keeps the actor alive.
    let actor = unsafe { link.head.as_ref() };
    let extra = if options.is_none() && Known::<M>::SILENT && !retries(actor) {
        None
    } else {
        match settle_options::<M>(actor, options, keep) {
            Ok(extra) => Some(extra),
            Err(error) => return ObjectRef::failed(error.in_task(M::SPEC.name(), M::SPEC.file(), M::SPEC.line()), actor.epoch),
        }
    };
    send::<MethodBody<M>>(link.head, args, extra)
}

/// What is known at compile time of a method's attribute.
struct Known<M>(PhantomData<M>);

impl<M: RemoteMethod> Known<M> {
    const OPTIONS: &'static crate::base::options::MethodOptions = &M::OPTIONS;
    /// Whether a call without options needs no [`Extra`].
    const SILENT: bool = Self::OPTIONS.is_silent() && M::STREAM.is_none();
    /// The groups of the class.
    const GROUPS: GroupSizes = <<M::Actor as Actor>::Class as ActorClass>::OPTIONS.groups;
}

/// Whether the class asks for retries of calls.
#[inline]
fn retries(actor: &ActorHead) -> bool {
    actor.known_cold_state().and_then(ColdState::settings).is_some_and(|settings| settings.max_task_retries != 0)
}

#[cold]
fn settle_options<M: RemoteMethod>(actor: &ActorHead, options: Option<CallOptions>, keep: Option<Keep>) -> Result<Box<Extra>> {
    let class = actor.known_cold_state().and_then(ColdState::settings).map_or(0, |settings| settings.max_task_retries);
    let settings =
        options.unwrap_or_default().over_method(Known::<M>::OPTIONS, (M::Actor::SPEC.name(), Known::<M>::GROUPS), class)?;
    let keep = keep.or(M::RETRY.or(M::KEEP).map(|retry| Keep::new(retry.0))).filter(|_| settings.max_retries != 0);
    let items = M::STREAM.map(|stream| stream.make(settings.backpressure));
    Ok(Box::new(Extra { settings, keep, items, granted: false.into() }))
}

/// Makes the call and puts it in the mailbox.
#[inline]
pub(crate) fn send<B: CallBody>(head: NonNull<ActorHead>, args: B::Args, extra: Option<Box<Extra>>) -> ObjectRef<B::Output> {
    // SAFETY: the caller borrows a handle, which keeps the actor alive.
    let actor = unsafe { head.as_ref() };
    let blame = |error: Error| CallCell::<B>::TASK.blame(error);
    let state = match usable(actor) {
        Ok(state) => state,
        Err(error) => return ObjectRef::failed(blame(error), crate::base::epoch::current()),
    };
    if state.engine.settings.mode == Mode::Remote {
        return remote::send::<B>(state, actor, &args, extra)
            .unwrap_or_else(|error| ObjectRef::failed(blame(error), actor.epoch));
    }
    let args = match strictly::<B>(state, args) {
        Ok(args) => args,
        Err(error) => return ObjectRef::failed(blame(error), actor.epoch),
    };
    let group = extra.as_ref().and_then(|extra| extra.settings.group).or(B::GROUP).map_or(0, |group| group.index);
    let extra = trace::attach(state, extra, CallSettings::none);
    if let Some(cold) = actor.known_cold_state()
        && let Some(limit) = cold.settings().and_then(|settings| settings.max_pending_calls)
        && cold.unstarted.fetch_add(1, Ordering::AcqRel) >= limit
    {
        cold.unstarted.fetch_sub(1, Ordering::AcqRel);
        let error = Error::new(
            ErrorKind::PendingCallsLimitExceeded,
            format!(
                "the actor has {limit} calls that have not started, the most that max_pending_calls allows: get some results first"
            ),
        );
        return ObjectRef::failed(blame(error), actor.epoch);
    }
    let plain = args.is_plain();
    let behind = actor.has_backlog.load(Ordering::Acquire) && !actor.is_unordered();
    let direct = plain && !behind;
    let parent = state.frame().and_then(|frame| frame.entry);
    let origin = Origin {
        // SAFETY: the hold is counted below, while the caller still borrows its handle.
        actor: unsafe { ActorHold::adopt(head) },
        caller: state.caller(),
        phase: if direct { Phase::Queued } else { Phase::Waiting },
        child: parent.is_some(),
        unread: false,
        group,
        extra,
    };
    let call = CallCell::<B>::allocate(origin, args);
    let entry = call.hold().entry();
    // SAFETY: a fresh entry, and one whose body runs on this thread.
    unsafe { events::submitted(entry, parent, direct) };
    if let Some(parent) = parent {
        // SAFETY: the parent's body runs on this thread, so the parent is alive. `allocate` has counted a hold for its
        // list.
        unsafe { children::adopt(TaskHead::of(parent), entry) };
    }
    // SAFETY: `allocate` has counted the reference.
    let object = unsafe { ObjectRef::adopt(entry) };
    if direct {
        // SAFETY: the caller borrows a handle.
        unsafe { backlog::post_unpaid(head, call) };
    } else {
        actor.add_hold();
        // SAFETY: the call is of this type, alive by the reference, and in `Waiting`; `register` reads the arguments under
        // its lock, if it is still in that phase.
        backlog::push_backlog(call, unsafe { CallCell::<B>::args(entry) });
    }
    object
}

/// The state of this thread, if the actor's engine runs.
#[inline]
fn usable<'a>(actor: &ActorHead) -> Result<&'a ThreadState> {
    // This also checks that the engine is the current one.
    thread::of(actor.epoch).map_err(|error| unusable(actor, error))
}

/// The error of [`usable`], after the thread has got `error` for its state.
#[cold]
fn unusable(actor: &ActorHead, error: Error) -> Error {
    if actor.epoch == crate::base::epoch::current() { error } else { crate::base::epoch::gone("the actor ended with its engine") }
}

/// Passes the arguments through their encoding, in strict mode.
#[inline]
fn strictly<B: CallBody>(state: &ThreadState, args: B::Args) -> Result<B::Args> {
    match B::CODEC {
        Some(codec) if state.engine.settings.mode == Mode::Strict => codec.renew_args(args),
        _ => Ok(args),
    }
}

/// Sends a call without a reference. Makes no entry for it, if possible.
#[inline]
pub(crate) fn tell<M: RemoteMethod>(link: Link<M::Actor>, args: MethodArgs<M>) {
    // SAFETY: a link is used through a borrowed handle, which keeps the actor alive.
    let actor = unsafe { link.head.as_ref() };
    let simple = const { fits::<MethodArgs<M>>() }
        && Known::<M>::SILENT
        && args.is_plain()
        && actor.known_cold_state().is_none()
        && !MethodBody::<M>::IS_ASYNC
        && !crate::base::event::is_heard()
        && !crate::base::trace::is_used();
    if !simple {
        let whole = call_whole::<M>(link, args, None, None);
        if M::STREAM.is_some() {
            // The stream must learn that its items are not needed.
            drop(M::Refs::from_whole(whole));
        }
        return;
    }
    let blame = |error: Error| error.in_task(M::SPEC.name(), M::SPEC.file(), M::SPEC.line());
    let state = match usable(actor) {
        Ok(state) => state,
        Err(error) => return crate::base::unread::unhandled(&blame(error)),
    };
    let args = match strictly::<MethodBody<M>>(state, args) {
        Ok(args) => args,
        Err(error) => return crate::base::unread::unhandled(&blame(error)),
    };
    let caller = state.caller();
    let push = {
        let states = actor.lock();
        if states.is_dead() {
            drop(states);
            return crate::base::unread::unhandled(&blame(death(actor)));
        }
        states.back().push_told(const { &told_of::<M>() }, caller, args);
        states.schedule()
    };
    if push {
        // SAFETY: the borrowed handle keeps the actor alive.
        enqueue(unsafe { ActorHold::new(link.head) });
    }
}

const fn told_of<M: RemoteMethod>() -> Told {
    Told { run: run_told::<M>, drop: drop_told::<M>, words: words_of::<MethodArgs<M>>(), spec: M::SPEC }
}

/// # Safety
/// As [`Told::drop`]: the words hold the method's arguments, which the caller owns.
unsafe fn drop_told<M: RemoteMethod>(words: *const MaybeUninit<usize>) {
    // SAFETY: the caller owns the arguments, and they are read once.
    drop(unsafe { words.cast::<MethodArgs<M>>().read() });
}

/// # Safety
/// As [`Told::run`]: the words hold the method's arguments, which the caller owns; `head` is that of an actor of the
/// method's class, of which the caller is the runner.
unsafe fn run_told<M: RemoteMethod>(head: NonNull<()>, words: *const MaybeUninit<usize>, state: &ThreadState) -> Option<Error> {
    let head: NonNull<ActorHead> = head.cast();
    // SAFETY: the caller owns the arguments, which are read once, and keeps the actor alive.
    let (args, actor) = unsafe { (words.cast::<MethodArgs<M>>().read(), head.as_ref()) };
    actor.current.leave_mailbox();
    let frame = frame(state, head, None, M::SPEC);
    state.frame.set(&raw const frame);
    let spec = crate::call::spec::instance(M::SPEC, const { &told_of::<M>() });
    // SAFETY: the actor is of the method's class. The caller is the runner of a serial actor, so no other body uses the
    // instance.
    let body = || unsafe {
        match MethodBody::<M>::start(ActorCell::<M::Actor>::instance(head), args) {
            Started::Ended(outcome) => outcome.map(drop),
            Started::Future(_) => Ok(()),
        }
    };
    let ended = crate::engine::execute::timed(state, spec, || crate::base::unwind::catch(body));
    crate::engine::execute::leave_frame(state, &frame);
    let blame = |error: Error| error.in_task(M::SPEC.name(), M::SPEC.file(), M::SPEC.line());
    match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => {
            crate::base::unread::unhandled(&blame(error));
            None
        }
        Err(panic) => {
            let panic = blame(panic);
            crate::base::unread::unhandled(&panic);
            Some(panic)
        }
    }
}
