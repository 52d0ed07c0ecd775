//! From a handle to the mailbox.
//!
//! Calls of one caller to a serial actor start in the order of submission, also when an argument is not ready: such a
//! call goes to the actor's *backlog*, and so does every later call of the same caller until it has gone on. Calls of
//! other callers pass by. Concurrent actors have no such order: each call stands in a line of its own.

use crate::base::config::Mode;
use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::actor::call::{CallBody, CallCell, CallHead, MethodBody};
use crate::actor::cell::{ActorHead, ActorHold, Link};
use crate::actor::class::{MethodArgs, RemoteMethod};
use crate::actor::life::is_concurrent;
use crate::actor::mailbox::{Told, fits, words_of};
use crate::actor::{life, run};
use crate::base::call_options::{CallOptions, CallSettings};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::resources::Resources;
use crate::call::arg::ArgList;
use crate::call::refs::Refs;
use crate::engine::thread;
use crate::engine::thread_state::{Frame, ThreadState};
use crate::object::entry::Hold;
use crate::object::object_ref::ObjectRef;
use crate::object::state::Phase;
use crate::task::head::{Extra, Keep, TaskHead};
use crate::task::{children, dependency};

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

/// Calls a method, with what cannot be begun as an error.
pub(crate) fn try_call<M: RemoteMethod>(
    link: Link<M::Actor>,
    args: MethodArgs<M>,
    options: Option<CallOptions>,
    keep: Option<Keep>,
) -> Result<M::Refs> {
    // SAFETY: a link is used through a borrowed handle, which keeps its actor.
    let actor = unsafe { link.head.as_ref() };
    if actor.is_dead() && usable(actor).is_ok() {
        return Err(life::death(actor).in_task(M::SPEC.name(), M::SPEC.file(), M::SPEC.line()));
    }
    let whole = call_whole::<M>(link, args, options, keep);
    crate::engine::submit::refuse_failed(&whole)?;
    Ok(M::Refs::from_whole(whole))
}

#[inline]
fn call_whole<M: RemoteMethod>(
    link: Link<M::Actor>,
    args: MethodArgs<M>,
    options: Option<CallOptions>,
    keep: Option<Keep>,
) -> ObjectRef<M::Output> {
    // SAFETY: a link is used through a borrowed handle, which keeps its actor.
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

/// What the compiler knows of a method's attribute.
struct Known<M>(std::marker::PhantomData<M>);

impl<M: RemoteMethod> Known<M> {
    const OPTIONS: &'static crate::base::options::MethodOptions = &M::OPTIONS;
    const SILENT: bool = Self::OPTIONS.is_silent();
}

/// The class says that calls are tried again.
#[inline]
fn retries(actor: &ActorHead) -> bool {
    actor.known_rare().and_then(|rare| rare.settings()).is_some_and(|settings| settings.max_task_retries != 0)
}

#[cold]
fn settle_options<M: RemoteMethod>(actor: &ActorHead, options: Option<CallOptions>, keep: Option<Keep>) -> Result<Box<Extra>> {
    let class = actor.known_rare().and_then(|rare| rare.settings()).map_or(0, |settings| settings.max_task_retries);
    let settings = options.unwrap_or_default().over_method(Known::<M>::OPTIONS, class)?;
    let keep = keep.or(M::RETRY.or(M::KEEP).map(|retry| Keep::new(retry.0))).filter(|_| settings.max_retries != 0);
    Ok(Box::new(Extra { settings, keep, granted: false.into() }))
}

/// Settings of a call that has none.
pub(crate) fn no_settings() -> CallSettings {
    CallSettings { name: None, resources: Resources::NONE, max_retries: 0, retry_on: crate::base::options::RetryOn::Never }
}

/// Makes the call and puts it in the mailbox.
#[inline]
pub(crate) fn send<B: CallBody>(head: NonNull<ActorHead>, args: B::Args, extra: Option<Box<Extra>>) -> ObjectRef<B::Output> {
    // SAFETY: the caller borrows a handle.
    let actor = unsafe { head.as_ref() };
    let blame = |error: Error| CallCell::<B>::TASK.blame(error);
    let state = match usable(actor) {
        Ok(state) => state,
        Err(error) => return ObjectRef::failed(blame(error), crate::base::epoch::current()),
    };
    let args = match strictly::<B>(state, args) {
        Ok(args) => args,
        Err(error) => return ObjectRef::failed(blame(error), actor.epoch),
    };
    if let Some(rare) = actor.known_rare()
        && let Some(limit) = rare.settings().and_then(|settings| settings.max_pending_calls)
        && rare.unstarted.fetch_add(1, Ordering::AcqRel) >= limit
    {
        rare.unstarted.fetch_sub(1, Ordering::AcqRel);
        let error = Error::new(
            ErrorKind::PendingCallsLimitExceeded,
            format!(
                "the actor has {limit} calls that have not started, the most that max_pending_calls allows: get some results first"
            ),
        );
        return ObjectRef::failed(blame(error), actor.epoch);
    }
    let caller = state.caller();
    let plain = args.is_plain();
    let concurrent = is_concurrent(actor);
    let behind = !concurrent && actor.has_backlog.load(Ordering::Acquire);
    let direct = plain && !behind;
    let parent = state.frame().and_then(|frame| frame.entry);
    let phase = if direct { Phase::Queued } else { Phase::Waiting };
    // SAFETY: counted below, while the caller still borrows its handle.
    let hold = unsafe { ActorHold::adopt(head) };
    let entry = CallCell::<B>::allocate(hold, caller, args, phase, parent.is_some(), false, extra);
    if let Some(parent) = parent {
        // SAFETY: the frame's entry runs on this thread; one of the child's holds was counted for the list.
        unsafe { children::adopt(TaskHead::of(parent), entry) };
    }
    // SAFETY: the ref and the hold that `allocate` counted.
    let (object, call) = unsafe { (ObjectRef::adopt(entry), Hold::adopt(entry)) };
    if direct {
        put_in(actor, head, call, true);
    } else {
        actor.add_hold();
        // SAFETY: `register` reads the arguments under the lock, if they are still there.
        line_up(call, unsafe { CallCell::<B>::args(entry) });
    }
    object
}

#[inline]
fn usable<'a>(actor: &ActorHead) -> Result<&'a ThreadState> {
    if actor.epoch != crate::base::epoch::current() {
        return Err(crate::base::epoch::gone("the actor was of an engine that is no more"));
    }
    thread::of(actor.epoch)
}

#[inline]
fn strictly<B: CallBody>(state: &ThreadState, args: B::Args) -> Result<B::Args> {
    match B::CODEC {
        Some(codec) if state.engine.settings.mode == Mode::Strict => codec.renew_args(args),
        _ => Ok(args),
    }
}

/// Puts a call in the mailbox.
pub(crate) fn post(actor: &ActorHead, head: NonNull<ActorHead>, call: Hold) {
    put_in(actor, head, call, false);
}

/// As [`post`]; `unpaid`: the call's hold on the actor is not counted yet.
#[inline]
fn put_in(actor: &ActorHead, head: NonNull<ActorHead>, call: Hold, unpaid: bool) {
    match append(actor, call, unpaid) {
        Ok(false) => {}
        // SAFETY: alive by the caller's handle or call.
        Ok(true) => run::enqueue(unsafe { ActorHold::new(head) }),
        Err(late) => refuse(actor, late),
    }
}

/// The part of [`post`] that may be done under a lock: `true`, the actor was marked as scheduled and is to be put in the
/// run queue; a dead actor's call comes back, to be refused.
#[inline]
fn append(actor: &ActorHead, call: Hold, unpaid: bool) -> Result<bool, Hold> {
    let states = actor.lock();
    if states.is_dead() {
        drop(states);
        if unpaid {
            actor.add_hold();
        }
        return Err(call);
    }
    if unpaid {
        states.pay_hold();
    }
    states.back().push_call(call);
    Ok(states.schedule())
}

#[cold]
fn refuse(actor: &ActorHead, call: Hold) {
    let error = life::death(actor);
    let error = call.task().map_or(error.clone(), |head| head.blame(error));
    call.abort(error);
}

/// A call whose arguments are not ready, or behind one of the same caller.
#[cold]
fn line_up(call: Hold, args: &impl ArgList) {
    // SAFETY: alive by the hold.
    let (entry, waiting) = unsafe { (call.entry(), Hold::new(call.entry())) };
    // SAFETY: a call's entry, alive by `waiting`.
    let head = unsafe { CallHead::of(entry) };
    let (actor, line) = (&head.actor, head.line());
    call.pending.store(1, Ordering::Relaxed);
    {
        let rare = actor.rare();
        let mut backlog = rare.backlog.lock();
        backlog.entry(line).or_default().push_back(call);
        actor.has_backlog.store(true, Ordering::Release);
    }
    if actor.is_dead() {
        // It may have been killed before it could find the call in the backlog.
        refuse(actor, waiting);
        go_on(actor, line);
        return;
    }
    match dependency::register(&waiting, args) {
        Ok(true) => arguments_ready(&waiting),
        Ok(false) => {}
        Err(error) => {
            let error = waiting.task().map_or(error.clone(), |head| dependency::failed_argument(head, error));
            waiting.abort(error);
            go_on(actor, line);
        }
    }
}

/// All arguments of a call are ready.
pub(crate) fn arguments_ready(call: &Hold) {
    // SAFETY: a call's entry, alive by the hold.
    let head = unsafe { CallHead::of(call.entry()) };
    go_on(&head.actor, head.line());
}

impl CallHead {
    /// Where it stands in the backlog: behind the earlier calls of its caller; of a concurrent actor, alone.
    fn line(&self) -> u64 {
        if is_concurrent(&self.actor) { std::ptr::from_ref(self).addr() as u64 } else { self.caller }
    }
}

/// A call was cancelled, or an argument of its failed: those behind it need not wait for it.
pub(crate) fn argument_failed(call: &CallHead) {
    if call.actor.has_backlog.load(Ordering::Acquire) {
        go_on(&call.actor, call.line());
    }
    if is_concurrent(&call.actor) && call.actor.lock().look_again() {
        // It was perhaps the one that waited for its turn.
        run::enqueue(call.actor.clone());
    }
}

/// The call of the same caller that a call in the backlog stands behind.
pub(crate) fn ahead_of(call: &Hold) -> Option<Hold> {
    // SAFETY: a call's entry.
    let head = unsafe { CallHead::of(call.entry()) };
    let backlog = head.actor.known_rare()?.backlog.lock();
    let first = backlog.get(&head.line())?.front()?;
    // SAFETY: held by the backlog.
    (first.entry() != call.entry()).then(|| unsafe { Hold::new(first.entry()) })
}

/// Moves the calls of a line on from the backlog to the mailbox, as far as their arguments are ready.
fn go_on(actor: &ActorHold, line: u64) {
    let rare = actor.rare();
    let mut backlog = rare.backlog.lock();
    let Some(calls) = backlog.get_mut(&line) else { return };
    // What a refusal sets off may come back here, and so may the end of an actor whose engine is gone: they wait until
    // the lock is open.
    let (mut unsent, mut push, mut late) = (false, false, Vec::new());
    while let Some(first) = calls.front() {
        if !first.phase().is_settled() {
            if first.pending.load(Ordering::Acquire) > 0 {
                unsent = true;
                break;
            }
            // In order, so under the backlog's lock.
            // SAFETY: alive by the hold.
            let call = unsafe { Hold::new(first.entry()) };
            if call.state.step(Phase::Waiting, Phase::Queued) {
                match append(actor, call, false) {
                    Ok(first) => push |= first,
                    Err(call) => late.push(call),
                }
            }
        }
        calls.pop_front();
    }
    if !unsent {
        backlog.remove(&line);
    }
    let empty = backlog.is_empty();
    if empty {
        actor.has_backlog.store(false, Ordering::Release);
    }
    drop(backlog);
    for call in late {
        refuse(actor, call);
    }
    if push {
        run::enqueue(actor.clone());
    } else if empty {
        run::schedule(actor);
    }
}

/// Another attempt of a call: before everything else on a serial actor, whose run right the caller has.
pub(crate) fn again(call: Hold) {
    // SAFETY: a call's entry, alive by the hold.
    let actor = unsafe { CallHead::of(call.entry()) }.actor.clone();
    run::unstarted(&actor);
    if is_concurrent(&actor) {
        post(&actor, actor.head(), call);
        return;
    }
    let refused = {
        let states = actor.lock();
        if states.is_dead() {
            true
        } else {
            // SAFETY: the run right is the caller's, and the lock is held, whose `front` may be at the moment.
            unsafe { (*actor.front.get()).push_front(Hold::new(call.entry())) };
            false
        }
    };
    if refused {
        refuse(&actor, call);
    }
}

/// Sends a call whose result nobody wants: no entry is made where that can be.
#[inline]
pub(crate) fn tell<M: RemoteMethod>(link: Link<M::Actor>, args: MethodArgs<M>) {
    // SAFETY: a link is used through a borrowed handle.
    let actor = unsafe { link.head.as_ref() };
    let simple = const { fits::<MethodArgs<M>>() }
        && Known::<M>::SILENT
        && args.is_plain()
        && actor.known_rare().is_none()
        && !MethodBody::<M>::IS_ASYNC;
    if !simple {
        drop(call_whole::<M>(link, args, None, None));
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
            return crate::base::unread::unhandled(&blame(life::death(actor)));
        }
        states.back().push_told(const { &told_of::<M>() }, caller, args);
        states.schedule()
    };
    if push {
        // SAFETY: alive by the borrowed handle.
        run::enqueue(unsafe { ActorHold::new(link.head) });
    }
}

const fn told_of<M: RemoteMethod>() -> Told {
    Told { run: run_told::<M>, drop: drop_told::<M>, words: words_of::<MethodArgs<M>>(), spec: M::SPEC }
}

unsafe fn drop_told<M: RemoteMethod>(words: *const MaybeUninit<usize>) {
    // SAFETY: the words hold the method's arguments, which are the caller's.
    drop(unsafe { words.cast::<MethodArgs<M>>().read() });
}

unsafe fn run_told<M: RemoteMethod>(
    head: NonNull<ActorHead>,
    words: *const MaybeUninit<usize>,
    state: &ThreadState,
) -> Option<Error> {
    // SAFETY: the words hold the method's arguments, which are the caller's; the actor is alive and its run right taken.
    let (args, actor) = unsafe { (words.cast::<MethodArgs<M>>().read(), head.as_ref()) };
    actor.current.leave_mailbox();
    let frame = Frame {
        below: state.frame.get(),
        entry: None,
        actor: Some(head),
        spec: M::SPEC,
        caller: Cell::new(0),
        is_async: false,
        crashed: Cell::new(false),
    };
    state.frame.set(&raw const frame);
    let spec = crate::call::spec::instance(M::SPEC, const { &told_of::<M>() });
    // SAFETY: the actor's cell is of the method's class, and the run right gives its instance.
    let body = || unsafe {
        let place = crate::actor::cell::ActorCell::<M::Actor>::instance(head);
        match MethodBody::<M>::start(place, args) {
            crate::actor::call::Started::Ended(outcome) => outcome.map(drop),
            crate::actor::call::Started::Future(_) => Ok(()),
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
