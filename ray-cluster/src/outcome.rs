//! The errors that the Python package answers with.

use std::borrow::Cow;

use ray_core::__private::executor::fail;
use ray_core::{Error, ErrorKind};

use crate::actors::Actors;

/// What an object is the result of, for its error.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// It came in a value, or was stored.
    Other,
    /// A function.
    Task(Cow<'static, str>),
    /// A method of the actor with this number.
    Method(Cow<'static, str>, u64),
}

/// Adds to an error of a body through which call it has come here, and notes the panic of which an actor has died.
pub(crate) fn placed(whose: u8, error: Error, origin: &Origin, actors: &Actors) -> Error {
    match (whose, origin) {
        (_, Origin::Other) | (0, Origin::Task(_)) => error,
        (0, Origin::Method(name, actor)) if error.is_panic() => {
            let error = fail::panic(name, actors.name(*actor).as_deref(), error);
            actors.died(*actor, &error);
            error
        }
        (0, Origin::Method(..)) => error,
        (3, Origin::Method(name, _)) => fail::restart(name, error),
        (4, Origin::Method(_, actor)) => {
            let error = fail::dead(actors.name(*actor).as_deref(), error);
            actors.died(*actor, &error);
            error
        }
        (1, Origin::Task(name) | Origin::Method(name, _)) => fail::argument(name, error),
        (_, Origin::Task(name) | Origin::Method(name, _)) => {
            fail::constructor(name.rsplit_once('.').map_or(name, |(class, _)| class), error)
        }
    }
}

/// The kind of an error that the Python package names.
pub(crate) fn kind_of(name: &str) -> ErrorKind {
    match name {
        "Cancelled" => ErrorKind::Cancelled,
        "ActorUnavailable" => ErrorKind::ActorUnavailable,
        "ActorDied" => ErrorKind::ActorDied,
        "ActorAlreadyExists" => ErrorKind::ActorAlreadyExists,
        "WorkerCrashed" => ErrorKind::WorkerCrashed,
        "PendingCallsLimitExceeded" => ErrorKind::PendingCallsLimitExceeded,
        "Infeasible" => ErrorKind::Infeasible,
        "OutOfMemory" => ErrorKind::OutOfMemory,
        "ObjectLost" => ErrorKind::ObjectLost,
        "Authentication" => ErrorKind::Authentication,
        "GetTimeout" => ErrorKind::GetTimeout,
        "InvalidArgument" => ErrorKind::InvalidArgument,
        "ClusterUnavailable" => ErrorKind::ClusterUnavailable,
        _ => ErrorKind::System,
    }
}
