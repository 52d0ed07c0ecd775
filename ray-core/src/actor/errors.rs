//! The errors of actors.

use crate::actor::cold_state::ColdState;
use crate::actor::head::ActorHead;
use crate::base::error::{Error, ErrorKind};

/// How messages name an actor.
pub(crate) fn title(actor: &ActorHead) -> String {
    match actor.name() {
        Some(name) => format!("actor `{}` (named `{name}`)", actor.vtable.spec.name()),
        None => format!("actor `{}`", actor.vtable.spec.name()),
    }
}

fn died(text: String) -> Error {
    Error::new(ErrorKind::ActorDied, text)
}

/// The error of calls that a crash has interrupted, if the actor restarts.
pub(crate) fn unavailable(actor: &ActorHead, panic: &Error) -> Error {
    let saved = actor.known_cold_state().is_some_and(|cold| cold.checkpoint.lock().is_some());
    let how = if saved { "from its last checkpoint" } else { "without its state" };
    Error::new(
        ErrorKind::ActorUnavailable,
        format!("{} crashed during the call ({panic}) and starts anew {how}: call again, or set max_task_retries", title(actor)),
    )
    .with_cause(panic.clone())
}

/// The error of calls that `kill_and_restart` has interrupted.
pub(crate) fn restarted(actor: &ActorHead) -> Error {
    Error::new(
        ErrorKind::ActorUnavailable,
        format!("{} was killed by `ray::kill_and_restart` and starts anew: call again", title(actor)),
    )
}

/// The cause of death of an actor whose method has panicked.
pub(crate) fn fatal(actor: &ActorHead, panic: &Error) -> Error {
    let allowed = actor.known_cold_state().and_then(ColdState::settings).map_or(0, |settings| settings.max_restarts);
    let advice = if allowed == 0 {
        "create a new one, or set max_restarts".to_owned()
    } else {
        let times = if allowed == 1 { "once".to_owned() } else { format!("{allowed} times") };
        format!(
            "it has restarted {times} before, and `max_restarts = {allowed}` allows no more: create a new one, or raise max_restarts"
        )
    };
    died(format!("{} died of a panic in its method ({panic}); {advice}", title(actor))).with_cause(panic.clone())
}

/// The error of the calls of a dead actor.
pub(crate) fn death(actor: &ActorHead) -> Error {
    actor.known_cold_state().and_then(|cold| cold.cause_of_death()).unwrap_or_else(|| without_handles(actor))
}

/// The cause of death of an actor without handles.
pub(crate) fn without_handles(actor: &ActorHead) -> Error {
    died(format!("{} has ended: no handle was left", title(actor)))
}

/// The cause of death of an actor whose constructor has failed.
pub(crate) fn constructor_error(actor: &ActorHead, error: Error) -> Error {
    died(format!("the constructor of {} failed: {error}", title(actor))).with_cause(error)
}

/// The cause of death of an actor that was killed.
pub(crate) fn killed(actor: &ActorHead) -> Error {
    died(format!("{} was killed by `ray::kill`", title(actor)))
}

/// The cause of death of an actor whose placement group was removed.
pub(crate) fn lost_its_group(actor: &ActorHead, removed: Error) -> Error {
    died(format!("{} died because its placement group was removed: {removed}", title(actor))).with_cause(removed)
}

/// The cause of death of an actor that has called `exit_actor`.
pub(crate) fn exited(actor: &ActorHead) -> Error {
    died(format!("{} has ended itself by `ray::exit_actor`: create a new one", title(actor)))
}
