//! How an actor ends, and starts again.

use crate::actor::names::Names;
use std::collections::{HashMap, VecDeque};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::actor::call::CallHead;
use crate::actor::cell::{ActorHead, ActorHold};
use crate::actor::concurrent::Admission;
use crate::actor::interrupt::{cut_off_runner, cut_off_running, fail_all, mark_for_retry, reach_runner, running_beside, stop};
use crate::actor::mailbox::Buffer;
use crate::actor::run_state::{AfterMade, Crash, Life, Restart, Start};
use crate::base::call_options::CreateSettings;
use crate::base::error::{Error, ErrorKind};
use crate::engine::thread_state::ThreadState;
use crate::object::entry::{Header, Hold, publish};
use crate::object::state::Phase;

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
    /// Restarts that were used up; written under the actor's lock.
    pub(crate) restarts: AtomicU32,
    /// The creation, whose arguments are kept for a restart.
    creation: Mutex<Option<Hold>>,
    /// The creation, while it waits for arguments.
    unready: Mutex<Option<Hold>>,
    /// The creation, while it waits for arguments or resources.
    pending: Mutex<Option<Hold>>,
    death: Mutex<Option<Error>>,
    /// Calls that wait for arguments, and those of the same callers behind them.
    pub(crate) backlog: Mutex<HashMap<u64, VecDeque<Hold>>>,
    /// Calls that have not begun, where they are limited.
    pub(crate) unstarted: AtomicU64,
    /// Holds resources for life.
    pub(crate) granted: AtomicBool,
    pub(crate) admission: OnceLock<Admission>,
    pub(crate) namespace: OnceLock<String>,
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

    pub(crate) fn is_unready(&self) -> bool {
        self.unready.lock().is_some()
    }

    /// The creation, if it waits for arguments.
    pub(crate) fn unready(&self) -> Option<Hold> {
        // SAFETY: alive by its place there, under the lock.
        self.unready.lock().as_ref().map(|hold| unsafe { Hold::new(hold.entry()) })
    }

    /// The creation waits for arguments or resources, or (none) does so no longer; the one that did.
    pub(crate) fn set_pending(&self, creation: Option<Hold>) -> Option<Hold> {
        std::mem::replace(&mut *self.pending.lock(), creation)
    }

    /// Uses up a restart, if one is left. Under the actor's lock.
    fn spend_restart(&self) -> bool {
        let used = self.restarts.load(Ordering::Relaxed);
        let left = self.settings().is_some_and(|settings| settings.max_restarts < 0 || i64::from(used) < settings.max_restarts);
        if left {
            self.restarts.store(used.saturating_add(1), Ordering::Relaxed);
        }
        left
    }

    /// Keeps the creation for restarts.
    pub(crate) fn keep_creation(&self, creation: Hold) {
        *self.creation.lock() = Some(creation);
    }
}

fn title(actor: &ActorHead) -> String {
    match actor.name() {
        Some(name) => format!("actor `{}` (named `{name}`)", actor.vtable.spec.name()),
        None => format!("actor `{}`", actor.vtable.spec.name()),
    }
}

/// The error of calls that a crash has cut off, where the actor starts anew.
fn unavailable(actor: &ActorHead, panic: &Error) -> Error {
    Error::new(
        ErrorKind::ActorUnavailable,
        format!(
            "{} crashed during the call ({panic}) and starts anew without its state: call again, or set max_task_retries",
            title(actor)
        ),
    )
    .with_cause(panic.clone())
}

/// Why an actor is dead that has crashed.
fn fatal(actor: &ActorHead, panic: &Error) -> Error {
    Error::new(
        ErrorKind::ActorDied,
        format!("{} died of a panic in its method ({panic}); create a new one, or set max_restarts", title(actor)),
    )
    .with_cause(panic.clone())
}

/// Why calls of a dead actor fail.
pub(crate) fn death(actor: &ActorHead) -> Error {
    actor.known_rare().and_then(|rare| rare.death.lock().clone()).unwrap_or_else(|| without_handles(actor))
}

pub(crate) fn without_handles(actor: &ActorHead) -> Error {
    Error::new(ErrorKind::ActorDied, format!("{} has ended: no handle was left", title(actor)))
}

/// The death of an actor whose constructor failed.
pub(crate) fn constructor_error(actor: &ActorHead, error: Error) -> Error {
    Error::new(ErrorKind::ActorDied, format!("the constructor of {} failed: {error}", title(actor))).with_cause(error)
}

pub(crate) fn killed(actor: &ActorHead) -> Error {
    Error::new(ErrorKind::ActorDied, format!("{} was killed by `ray::kill`", title(actor)))
}

pub(crate) fn exited(actor: &ActorHead) -> Error {
    Error::new(ErrorKind::ActorDied, format!("{} has ended itself by `ray::exit_actor`: create a new one", title(actor)))
}

/// Whether the calls of an actor run side by side, so that its runner is not the thread that runs a body.
#[inline]
pub(crate) fn is_concurrent(actor: &ActorHead) -> bool {
    actor.known_rare().is_some_and(|rare| rare.admission.get().is_some())
}

/// A method has panicked: the actor starts anew, or ends. The error of its call; one that is made again instead is marked
/// as cut off. The caller is the thread that runs the body.
pub(crate) fn crashed(actor: &ActorHold, call: Option<NonNull<Header>>, panic: &Error) -> Error {
    let crash = actor.lock().crash(|| actor.known_rare().is_some_and(Rare::spend_restart));
    match crash {
        Crash::Restarts => {
            let error = unavailable(actor, panic);
            // As a process that ends: the calls beside it are cut off with it, now.
            cut_off_running(actor, &error, call);
            if let Some(call) = call {
                // SAFETY: a call's entry, which the caller runs.
                mark_for_retry(unsafe { CallHead::of(call) });
            }
            error
        }
        Crash::Replaced => unavailable(actor, panic),
        Crash::Dies => {
            let error = fatal(actor, panic);
            let by = if is_concurrent(actor) { By::Other } else { By::Runner };
            end_sparing(actor, error.clone(), by, call);
            error
        }
        Crash::Dead => death(actor),
    }
}

/// The runner runs the constructor again on the kept arguments; `false`: bodies still use the old instance, or the actor is
/// dead.
pub(crate) fn replace(state: &ThreadState, actor: &ActorHold) -> bool {
    let start = actor.lock().start();
    match start {
        Start::Begin => {}
        Start::Bodies | Start::Dead => return false,
    }
    if actor.alive.swap(false, Ordering::AcqRel) {
        // SAFETY: we have the run right and no body runs.
        unsafe { (actor.vtable.drop_instance)(actor.head()) };
    }
    // SAFETY: alive by its place in `creation`, which only the last duties empty.
    let creation = actor.rare().creation.lock().as_ref().map(|hold| unsafe { Hold::new(hold.entry()) });
    match creation {
        Some(creation) => run_constructor(state, actor, creation),
        None => end(actor, death(actor), By::Runner),
    }
    !actor.is_dead()
}

/// Runs the creation. The caller has the run right.
pub(crate) fn create(state: &ThreadState, actor: &ActorHold, creation: Hold) {
    if !creation.state.claim() {
        // Cancelled before it began; the canceller may be about to write the error.
        let error = match creation.phase() {
            Phase::Failed => creation.error(),
            _ => Error::new(ErrorKind::Cancelled, "its creation was cancelled"),
        };
        end(actor, constructor_error(actor, error), By::Runner);
        return;
    }
    let start = actor.lock().start();
    match start {
        Start::Begin => run_constructor(state, actor, creation),
        Start::Bodies | Start::Dead => {
            if let Some(head) = creation.task() {
                // SAFETY: claimed, so the arguments are ours.
                unsafe { (head.vtable().drop_args)(creation.entry()) };
            }
            fail_creation(&creation, death(actor));
        }
    }
}

/// Runs the constructor. The caller has the run right, and there is no instance.
#[inline]
fn run_constructor(state: &ThreadState, actor: &ActorHold, creation: Hold) {
    let (made, error) = crate::actor::run::construct(state, actor, &creation);
    let after = actor.lock().made(made, || actor.known_rare().is_some_and(Rare::spend_restart));
    match (after, error) {
        (AfterMade::Live, _) => {
            if creation.phase() == Phase::Running {
                // SAFETY: claimed, and the unit value is written; the hold goes along.
                unsafe { publish(creation.into_entry(), true) };
            }
        }
        // The runner sees that there is an instance to be replaced, or that none was made.
        (AfterMade::Again, _) => {}
        (AfterMade::Dies, error) => {
            let error = error.unwrap_or_else(|| death(actor));
            let error = constructor_error(actor, error);
            end(actor, error.clone(), By::Runner);
            fail_creation(&creation, error);
        }
        (AfterMade::Dead, _) => fail_creation(&creation, death(actor)),
    }
}

/// Calls have the cause from the actor; the creation's own reference is the engine's.
fn fail_creation(creation: &Hold, error: Error) {
    creation.state.set_seen();
    creation.fail(|phase| phase == Phase::Running, error);
}

/// Which thread ends an actor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The one that has the run right.
    Runner,
    Other,
}

/// Ends an actor for good: what is queued and what runs fails at once, and the instance goes when no body uses it any more.
pub(crate) fn end(actor: &ActorHold, error: Error, by: By) {
    end_sparing(actor, error, by, None);
}

/// As [`end`], but the call `spared` goes on to its own end.
pub(crate) fn end_sparing(actor: &ActorHold, error: Error, by: By, spared: Option<NonNull<Header>>) {
    let rare = actor.rare();
    rare.death.lock().get_or_insert(error);
    let (found, back, mut front, prepaid) = {
        let states = actor.lock();
        let found = states.die();
        let front = if !found.running || by == By::Runner {
            // SAFETY: there is no runner, or it is the caller, who is not in the mailbox.
            unsafe { states.take_front() }
        } else {
            Buffer::new()
        };
        (found, states.back().take(), front, states.take_prepaid())
    };
    crate::engine::blocking::interrupt::wake(actor.head());
    actor.give_holds_back(prepaid);
    let error = death(actor);
    if found.first && found.running {
        let (call, reached) = reach_runner(actor, by);
        if let Some(call) = call.filter(|call| Some(call.entry()) != spared) {
            stop(&call, &error);
        }
        if by == By::Other {
            front = reached;
        }
    }
    for call in running_beside(actor, spared) {
        stop(&call, &error);
    }
    fail_all(actor, front);
    fail_all(actor, back);
    let waiting: Vec<Hold> = rare.backlog.lock().drain().flat_map(|(_, calls)| calls).collect();
    actor.has_backlog.store(false, Ordering::Release);
    for call in waiting {
        call.abort(error.clone());
    }
    free_name(actor);
    withdraw_creation(actor, error);
    if found.finalize {
        finalize(actor);
    }
}

/// A creation that waits for arguments or resources is wanted no longer: its arguments go now.
fn withdraw_creation(actor: &ActorHead, error: Error) {
    let Some(rare) = actor.known_rare() else { return };
    rare.set_unready(None);
    let Some(creation) = rare.set_pending(None) else { return };
    creation.state.set_seen();
    creation.abort(error);
}

/// The name of a dead actor is free again.
#[inline]
pub(crate) fn free_name(actor: &ActorHold) {
    if actor.known_rare().is_some_and(|rare| rare.namespace.get().is_some())
        && let Some(engine) = crate::engine::engine::running()
    {
        Names::of(&engine).remove(actor);
    }
}

/// The last duties: the instance, kept arguments, resources. The actor is in `Final` by the caller's doing, who alone deals
/// with it now.
pub(crate) fn finalize(actor: &ActorHold) {
    let (listed, begun) = actor.run_state.at_last();
    if listed && let Some(engine) = crate::engine::engine::running().filter(|engine| engine.epoch == actor.epoch) {
        Names::of(&engine).living.leave(actor);
    }
    if actor.alive.swap(false, Ordering::AcqRel) {
        // SAFETY: no body runs.
        unsafe { (actor.vtable.drop_instance)(actor.head()) };
    }
    let Some(rare) = actor.known_rare() else { return };
    let creation = rare.creation.lock().take();
    if let Some(creation) = creation {
        if !begun {
            creation.abort(death(actor));
        } else if let Some(head) = creation.task() {
            // SAFETY: kept for restarts, of which there will be none.
            unsafe { (head.vtable().drop_args)(creation.entry()) };
        }
    }
    if rare.granted.swap(false, Ordering::AcqRel)
        && let Some(settings) = rare.settings()
        && let Some(engine) = crate::engine::engine::running().filter(|engine| engine.epoch == actor.epoch)
    {
        engine.holders.lock().remove(&actor.head().as_ptr().addr());
        crate::engine::claim::give_back_of_life(&engine, &settings.resources);
    }
}

/// Enters an actor among those that hold resources, for reports; the last duties take it off.
pub(crate) fn note_holder(actor: &ActorHold) {
    let Some(engine) = crate::engine::engine::running().filter(|engine| engine.epoch == actor.epoch) else { return };
    engine.holders.lock().insert(actor.head().as_ptr().addr(), format!("{} holds {} for life", title(actor), actor.resources()));
    if actor.life() == Life::Final {
        engine.holders.lock().remove(&actor.head().as_ptr().addr());
    }
}

/// Kills an actor.
pub(crate) fn kill(actor: &ActorHold) {
    if !actor.is_dead() {
        end(actor, killed(actor), By::Other);
    }
}

/// Kills an actor and starts it anew, as a crash would: the running calls are cut off, queued ones go on with the new one.
pub(crate) fn kill_and_restart(actor: &ActorHold) {
    let error = Error::new(
        ErrorKind::ActorUnavailable,
        format!("{} was killed by `ray::kill_and_restart` and starts anew: call again", title(actor)),
    );
    let rare = actor.rare();
    let (restart, running) = {
        let states = actor.lock();
        let unready = states.is_pending() && rare.is_unready();
        (states.restart(unready, || rare.spend_restart()), states.has_runner())
    };
    match restart {
        Restart::Nothing | Restart::Counted => {}
        Restart::Kill => kill(actor),
        Restart::Replace { enqueue } => {
            if let Some(call) = running.then(|| cut_off_runner(actor)).flatten() {
                call.end(&error);
            }
            cut_off_running(actor, &error, None);
            // The next runner replaces the instance before it takes another call.
            if enqueue {
                crate::actor::run::enqueue(actor.clone());
            }
        }
    }
}

/// Where the actor stands.
pub(crate) fn state_of(actor: &ActorHead) -> ActorState {
    match actor.life() {
        Life::Dead | Life::Final => ActorState::Dead,
        Life::Replacing => ActorState::Restarting,
        Life::Live => ActorState::Alive,
        Life::Pending | Life::Queued | Life::Starting if actor.restarts() > 0 => ActorState::Restarting,
        Life::Pending | Life::Queued | Life::Starting => ActorState::PendingCreation,
    }
}
