//! The results of the transitions of [`run_state`](crate::actor::run_state): what their callers must do.

/// What the runner does after [`finish`](crate::actor::run_state::Guard::finish).
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Finish {
    Nothing,
    /// The caller puts the actor in the run queue.
    Enqueue,
    /// No handle and no call is left, so the actor has ended. The caller keeps the execution lock, and finalizes the actor.
    End,
    /// The actor is dead, and no body uses the instance. The caller keeps the execution lock, and finalizes the actor.
    Finalize,
}

/// What [`die`](crate::actor::run_state::Guard::die) has found.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Death {
    /// The actor was alive before.
    pub(crate) first: bool,
    /// There is a runner, to which `front` belongs.
    pub(crate) running: bool,
    /// No body uses the instance: the caller finalizes the actor.
    pub(crate) finalize: bool,
}

/// How a constructor ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Made {
    Instance,
    Error,
    Panic,
}

/// What follows the end of a constructor.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum AfterMade {
    /// Calls may begin.
    Live,
    /// The constructor runs again.
    Again,
    /// The caller ends the actor.
    Dies,
    /// Another thread has ended the actor.
    Dead,
}

/// What follows a panic in a method.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Crash {
    /// The instance is to be replaced; the caller interrupts the calls that run beside the one that has panicked.
    Restarts,
    /// The caller ends the actor.
    Dies,
    /// The instance was to be replaced already.
    Replaced,
    /// The actor was dead already.
    Dead,
}

/// What `kill_and_restart` does.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Restart {
    /// Nothing: the actor is dead, or its creation waits for arguments.
    Nothing,
    /// A restart is used up. There is nothing to replace, as the constructor has not begun.
    Counted,
    /// A restart is used up; the caller interrupts the running calls, and puts the actor in the run queue if `enqueue`.
    Replace { enqueue: bool },
    /// No restart is left: the caller kills the actor.
    Kill,
}

/// Whether the constructor may run.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Start {
    Begin,
    /// Bodies use the old instance; the last of them puts the actor in the run queue.
    Bodies,
    Dead,
}

/// Whether a call of a concurrent actor may begin.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Admit {
    Enter,
    /// Not now: the next body that leaves puts the actor in the run queue.
    Wait,
    /// The instance is being replaced, or the actor is dead.
    Closed,
}

/// What follows the end of a concurrent actor's body.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Left {
    Nothing,
    /// The caller puts the actor in the run queue.
    Enqueue,
    /// The actor is dead, and no body uses the instance: the caller finalizes the actor.
    Finalize,
}

/// What a step of the runner has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Step {
    /// Something has run, so another step may follow.
    Ran,
    /// There is nothing to run, or nothing may run now.
    Idle,
    /// An async constructor has begun. Its future is the runner from now on, and the caller no longer is.
    HandedOver,
}
