//! What the transitions of [`run_state`](crate::actor::run_state) tell their callers to do.

/// What the runner does after it has given the run right back, or kept it.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Finish {
    Nothing,
    /// It puts the actor in the run queue.
    Enqueue,
    /// No handle, no call: the actor has ended by this. The last duties are the caller's.
    End,
    /// The actor is dead, and nobody uses the instance: the last duties are the caller's.
    Finalize,
}

/// What death has found.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) struct Death {
    /// The caller is the one that killed it.
    pub(crate) first: bool,
    /// There is a runner, to whom `front` belongs.
    pub(crate) running: bool,
    /// Nobody uses the instance: the last duties are the caller's.
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
    /// It runs again.
    Again,
    /// The caller ends the actor.
    Dies,
    /// Somebody else has ended it.
    Dead,
}

/// What becomes of an actor in whose method a panic happened.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Crash {
    /// The instance is replaced; the caller interrupts the calls beside it.
    Restarts,
    /// The caller ends the actor.
    Dies,
    /// It was to be replaced before.
    Replaced,
    /// It was dead before.
    Dead,
}

/// What `kill_and_restart` does.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Restart {
    /// The actor is dead, or its creation waits for arguments.
    Nothing,
    /// A restart is used up; the constructor has yet to run anyway.
    Counted,
    /// A restart is used up; the caller interrupts what runs, and enqueues the actor if `enqueue`.
    Replace { enqueue: bool },
    /// No restart is left: the caller kills the actor.
    Kill,
}

/// Whether the constructor may run.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Start {
    Begin,
    /// Bodies use the old instance; the last of them has the actor run again.
    Bodies,
    Dead,
}

/// Whether a call of a concurrent actor may begin.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Admit {
    Enter,
    /// The next body that leaves has the actor run again.
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
    /// The actor is dead, and nobody uses the instance: the last duties are the caller's.
    Finalize,
}
