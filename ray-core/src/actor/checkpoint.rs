//! Checkpoints of actors: copies of the state with which restarts begin.
//!
//! A class with `checkpoint_every = n` has two functions: `checkpoint`, which makes a checkpoint of the state, and `restore`,
//! which makes a state of a checkpoint. After each nth successful call that may change the state, and before the caller gets
//! the result, the thread that ran the call makes a checkpoint. A restart passes the last one to `restore` instead of running
//! the constructor (`ActorCell::restore`). An actor without a checkpoint restarts as every other one does.

use std::any::Any;
use std::sync::atomic::Ordering;

use crate::actor::cell::ActorCell;
use crate::actor::class::{Actor, ActorClass};
use crate::actor::head::ActorHold;
use crate::actor::run_state::Life;
use crate::base::error::{Error, ErrorKind, Result};

/// Makes a checkpoint, if one is due after a successful call that may have changed the state.
///
/// # Errors
/// The panic of the user's function, which counts as a crash of the actor.
///
/// # Safety
/// The actor is of the class `A`. The caller runs an exclusive call, whose body is over, and the instance exists.
pub(crate) unsafe fn after_call<A: Actor>(actor: &ActorHold) -> Result<()> {
    let Some(checkpoints) = A::Class::CHECKPOINTS else { return Ok(()) };
    if actor.life() != Life::Live {
        // The actor was killed or is to restart, so the call has failed.
        return Ok(());
    }
    let cold = actor.cold_state();
    if !(cold.changes.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(checkpoints.every()) {
        return Ok(());
    }
    // SAFETY: the caller guarantees the class, that the instance exists, and that no other body uses it.
    let instance = unsafe { &*ActorCell::<A>::instance(actor.head()) };
    let instance = (instance as &dyn Any).downcast_ref::<A::Class>().expect("a class is its own type");
    let checkpoint = crate::base::unwind::catch(|| checkpoints.save(instance)).map_err(|panic| {
        Error::new(ErrorKind::Panic, format!("`{}::checkpoint` has panicked: {panic}", A::SPEC.name())).with_cause(panic)
    })?;
    let former = cold.checkpoint.lock().replace(checkpoint);
    crate::base::users_code::quietly(|| drop(former));
    Ok(())
}

/// The error of a class with checkpoints on a cluster.
pub(super) fn refused(class: &str) -> Error {
    Error::new(
        ErrorKind::InvalidArgument,
        format!(
            "checkpoints are kept in one process, and actor `{class}` with its `checkpoint_every` would run in another: remove the option on a cluster, and have the caller keep what a method returns of the state"
        ),
    )
}
