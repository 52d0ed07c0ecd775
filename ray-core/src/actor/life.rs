//! How an actor ends, and starts again.

use std::collections::{HashMap, VecDeque};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::cell::{ActorHead, ActorHold};
use super::concurrent::Admission;
use super::mailbox::{Buffer, Record};
use super::right::{DEAD, OPEN, RUNNING};
use crate::error::{Error, ErrorKind};
use crate::options::CreateSettings;
use crate::store::entry::Hold;
use crate::thread;

/// Where an actor stands. [Ray's states](https://docs.ray.io/en/latest/ray-observability/reference/doc/ray.util.state.common.ActorState.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ActorState {
    /// Its constructor has not run: arguments or resources are missing, or it is its turn soon.
    PendingCreation,
    /// It takes calls.
    Alive,
    /// It crashed and starts anew.
    Restarting,
    /// For ever.
    Dead,
}

/// What most actors never need.
#[derive(Default)]
pub(crate) struct Rare {
    settings: OnceLock<CreateSettings>,
    pub(crate) restarts: AtomicU32,
    pub(crate) restarting: AtomicBool,
    /// The creation, whose arguments are kept for a restart.
    creation: Mutex<Option<Hold>>,
    /// The creation, while it waits for arguments.
    unready: Mutex<Option<Hold>>,
    death: Mutex<Option<Error>>,
    /// Calls that wait for arguments, and those of the same callers behind them.
    pub(crate) backlog: Mutex<HashMap<u64, VecDeque<Hold>>>,
    /// Calls that have not begun, where they are limited.
    pub(crate) unstarted: AtomicU64,
    /// Holds resources for life.
    pub(crate) granted: AtomicBool,
    pub(crate) admission: OnceLock<Admission>,
    pub(crate) namespace: OnceLock<String>,
    /// The instance is to be replaced before the next call: it crashed, or `kill_and_restart` was asked for.
    pub(crate) replace: AtomicBool,
    /// The constructor was begun: from then on kept arguments are the actor's to drop, before that the creation's.
    pub(crate) begun: AtomicBool,
    buried: AtomicBool,
}

impl Rare {
    pub(crate) fn settings(&self) -> Option<&CreateSettings> {
        self.settings.get()
    }

    pub(crate) fn set_settings(&self, settings: CreateSettings) {
        let _ = self.settings.set(settings);
    }

    /// The creation waits for arguments, or (none) does so no longer.
    pub(crate) fn set_unready(&self, creation: Option<Hold>) {
        let former = std::mem::replace(&mut *self.unready.lock(), creation);
        drop(former);
    }

    /// The creation, if it waits for arguments.
    pub(crate) fn unready(&self) -> Option<Hold> {
        // SAFETY: alive by its place there, under the lock.
        self.unready.lock().as_ref().map(|hold| unsafe { Hold::new(hold.entry()) })
    }

    /// Keeps the creation for restarts.
    pub(crate) fn keep_creation(&self, creation: Hold) {
        *self.creation.lock() = Some(creation);
    }
}

/// Whether a crash now would be followed by a restart.
pub(crate) fn can_restart(actor: &ActorHead) -> bool {
    let Some(rare) = actor.known_rare() else { return false };
    let Some(settings) = rare.settings() else { return false };
    let left = settings.max_restarts < 0 || i64::from(rare.restarts.load(Ordering::Relaxed)) < settings.max_restarts;
    left && rare.creation.lock().is_some() && !actor.is_dead()
}

fn title(actor: &ActorHead) -> String {
    match actor.name() {
        Some(name) => format!("actor `{}` (named `{name}`)", actor.vtable.spec.name()),
        None => format!("actor `{}`", actor.vtable.spec.name()),
    }
}

/// What the call gets during which the actor crashed.
pub(crate) fn mourn(actor: &ActorHead, panic: Error) -> Error {
    if can_restart(actor) {
        Error::new(
            ErrorKind::ActorUnavailable,
            format!(
                "{} crashed during the call ({panic}) and starts anew without its state: call again, or set max_task_retries",
                title(actor)
            ),
        )
        .with_cause(panic)
    } else {
        Error::new(
            ErrorKind::ActorDied,
            format!("{} died of a panic in its method ({panic}); create a new one, or set max_restarts", title(actor)),
        )
        .with_cause(panic)
    }
}

/// Why calls of a dead actor fail.
pub(crate) fn death(actor: &ActorHead) -> Error {
    actor
        .known_rare()
        .and_then(|rare| rare.death.lock().clone())
        .unwrap_or_else(|| Error::new(ErrorKind::ActorDied, format!("{} has ended: no handle was left", title(actor))))
}

/// The death of an actor whose constructor failed.
pub(crate) fn stillborn(actor: &ActorHead, error: Error) -> Error {
    Error::new(ErrorKind::ActorDied, format!("the constructor of {} failed: {error}", title(actor))).with_cause(error)
}

pub(crate) fn killed(actor: &ActorHead) -> Error {
    Error::new(ErrorKind::ActorDied, format!("{} was killed by `ray::kill`", title(actor)))
}

/// After a crash in a body of a serial actor (or the last body of a concurrent one): starts anew, or ends. The caller
/// has the run right.
pub(crate) fn crashed(actor: &ActorHold, panic: Error) {
    if can_restart(actor) && restart(actor) {
        return;
    }
    let error =
        Error::new(ErrorKind::ActorDied, format!("{} died of a panic in its method ({panic})", title(actor))).with_cause(panic);
    end(actor, error);
}

/// Runs the constructor again on the kept arguments; `false`: it failed, and the actor has been ended. The caller has
/// the run right, and no body of the actor runs.
pub(crate) fn restart(actor: &ActorHold) -> bool {
    let rare = actor.rare();
    if !rare.begun.load(Ordering::Acquire) {
        // Its first instance is still to be made, and will do.
        return true;
    }
    // SAFETY: alive by its place in `creation`, which only the end of the actor empties.
    let Some(creation) = rare.creation.lock().as_ref().map(|hold| unsafe { Hold::new(hold.entry()) }) else { return false };
    let Ok(state) = thread::of(actor.epoch) else { return false };
    rare.restarts.fetch_add(1, Ordering::Relaxed);
    rare.restarting.store(true, Ordering::Release);
    if actor.alive.swap(false, Ordering::AcqRel) {
        // SAFETY: we have the run right and no body runs.
        unsafe { (actor.vtable.drop_instance)(actor.head()) };
    }
    let error = super::run::construct(state, actor, &creation);
    rare.restarting.store(false, Ordering::Release);
    if let Some(admission) = rare.admission.get() {
        admission.forget_crash();
    }
    match error {
        None => true,
        Some(error) => {
            end(actor, stillborn(actor, error));
            true
        }
    }
}

/// Ends an actor for good. The caller has the run right, or knows that nobody has.
pub(crate) fn end(actor: &ActorHold, error: Error) {
    mark_dead(actor, error);
    bury(actor);
}

/// Ends an actor, whoever may run it at the moment: then the last of those buries it.
pub(crate) fn end_from_outside(actor: &ActorHold, error: Error) {
    let running = mark_dead(actor, error);
    if !running && !actor.known_rare().is_some_and(super::concurrent::is_busy) {
        bury(actor);
    }
}

/// Marks an actor dead and fails what is queued, as far as it is in reach; `true`: a body runs, whose runner buries it.
pub(crate) fn mark_dead(actor: &ActorHold, error: Error) -> bool {
    let rare = actor.rare();
    rare.death.lock().get_or_insert(error);
    let (running, back, front, prepaid) = {
        let states = actor.lock();
        let running = states.is(RUNNING);
        states.set(DEAD);
        let front = if !running || states.is(OPEN) {
            // SAFETY: nobody has the run right, or its holder has opened the buffer to the lock.
            unsafe { (*actor.front.get()).take() }
        } else {
            Buffer::new()
        };
        (running, states.back().take(), front, states.take_prepaid())
    };
    crate::blocking::interrupt::wake(actor.head());
    actor.give_holds_back(prepaid);
    fail_all(actor, front);
    fail_all(actor, back);
    let waiting: Vec<Hold> = rare.backlog.lock().drain().flat_map(|(_, calls)| calls).collect();
    actor.has_backlog.store(false, Ordering::Release);
    for call in waiting {
        // SAFETY: alive by the hold.
        unsafe { crate::task::abort(call.entry(), death(actor)) };
    }
    super::create::withdraw(actor);
    if let Some(engine) = crate::runtime::running() {
        engine.names.remove(actor);
    }
    running
}

/// Fails what a buffer holds.
pub(crate) fn fail_all(actor: &ActorHead, mut buffer: Buffer) {
    while let Some(record) = buffer.pop() {
        match record {
            Record::Call(call) => {
                // SAFETY: alive by the hold.
                unsafe { crate::task::abort(call.entry(), death(actor)) };
            }
            Record::Told(told, args) => {
                // SAFETY: popped, so the arguments are ours.
                crate::unwind::quietly(|| unsafe { (told.drop)(args) });
            }
        }
    }
}

/// The last rites: instance, kept arguments, resources. The actor is dead, the caller alone deals with it now.
pub(crate) fn bury(actor: &ActorHold) {
    if actor.known_rare().is_some_and(|rare| rare.buried.swap(true, Ordering::AcqRel)) {
        return;
    }
    let front = {
        // Others may mark it dead too, or try to schedule it.
        let _states = actor.lock();
        // SAFETY: the lock is held, and nobody else has the run right of a dead actor after this.
        unsafe { (*actor.front.get()).take() }
    };
    fail_all(actor, front);
    if actor.alive.swap(false, Ordering::AcqRel) {
        // SAFETY: no body runs.
        unsafe { (actor.vtable.drop_instance)(actor.head()) };
    }
    let Some(rare) = actor.known_rare() else { return };
    let creation = rare.creation.lock().take();
    if let Some(creation) = creation {
        if !rare.begun.load(Ordering::Acquire) {
            // SAFETY: alive by the hold.
            unsafe { crate::task::abort(creation.entry(), death(actor)) };
        } else if let Some(head) = creation.task() {
            // SAFETY: kept for restarts, of which there will be none.
            unsafe { (head.vtable().drop_args)(creation.entry()) };
        }
    }
    if rare.granted.swap(false, Ordering::AcqRel)
        && let Some(settings) = rare.settings()
        && let Some(engine) = crate::runtime::running().filter(|engine| engine.epoch == actor.epoch)
    {
        engine.holders.lock().remove(&actor.head().as_ptr().addr());
        engine.give_back_of_life(&settings.resources);
    }
}

/// Enters an actor among those that hold resources, for reports; taken off when it is buried.
pub(crate) fn note_holder(actor: &ActorHold) {
    let Some(engine) = crate::runtime::running().filter(|engine| engine.epoch == actor.epoch) else { return };
    engine.holders.lock().insert(actor.head().as_ptr().addr(), format!("{} holds {} for life", title(actor), actor.resources()));
    if actor.rare().buried.load(Ordering::Acquire) {
        engine.holders.lock().remove(&actor.head().as_ptr().addr());
    }
}

/// Kills an actor: what is queued and what runs fails at once; the instance goes when no body uses it any more.
pub(crate) fn kill(actor: &ActorHold) {
    if actor.is_dead() {
        return;
    }
    let error = killed(actor);
    let running = mark_dead(actor, error.clone());
    fail_running(actor, &error);
    if !running && !actor.known_rare().is_some_and(super::concurrent::is_busy) {
        bury(actor);
    }
}

/// Fails the calls that run.
pub(crate) fn fail_running(actor: &ActorHead, error: &Error) {
    if let Some(call) = actor.running_call() {
        call.state.set_cancel();
        // SAFETY: alive by the hold.
        unsafe { crate::task::abort(call.entry(), error.clone()) };
    }
    if let Some(admission) = actor.known_rare().and_then(|rare| rare.admission.get()) {
        for call in admission.running() {
            call.state.set_cancel();
            // SAFETY: alive by the hold.
            unsafe { crate::task::abort(call.entry(), error.clone()) };
            if call.task().is_some_and(|head| head.vtable().is_async)
                && let Some(engine) = crate::runtime::running()
            {
                crate::task::future::abort(&engine, call.entry());
            }
        }
    }
}

/// Kills an actor and starts it anew, as a crash would: the running call fails, queued ones go on with the new one.
pub(crate) fn kill_and_restart(actor: &ActorHold) {
    if !can_restart(actor) {
        kill(actor);
        return;
    }
    let error = Error::new(
        ErrorKind::ActorUnavailable,
        format!("{} was killed by `ray::kill_and_restart` and starts anew: call again", title(actor)),
    );
    actor.rare().replace.store(true, Ordering::Release);
    fail_running(actor, &error);
    // Whoever has the run right (next) replaces the instance before it takes another call.
    super::run::schedule(actor, true);
}

/// Where the actor stands.
pub(crate) fn state_of(actor: &ActorHead) -> ActorState {
    if actor.is_dead() {
        ActorState::Dead
    } else if actor.known_rare().is_some_and(|rare| rare.restarting.load(Ordering::Acquire)) {
        ActorState::Restarting
    } else if actor.alive.load(Ordering::Acquire) {
        ActorState::Alive
    } else {
        ActorState::PendingCreation
    }
}
