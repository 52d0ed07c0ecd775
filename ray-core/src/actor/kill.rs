//! Killing actors.

use crate::actor::class::Actor;
use crate::actor::errors::{killed, restarted};
use crate::actor::handle::ActorHandle;
use crate::actor::head::ActorHold;
use crate::actor::interrupt::{By, cut_off_runner, cut_off_running, stop_constructor};
use crate::actor::lifecycle;
use crate::actor::remote::executor_of;
use crate::actor::run_state::Restart;
use crate::actor::schedule::enqueue;
use crate::actor::weak_handle::WeakActorHandle;
use crate::base::epoch;
use crate::base::error::Result;

/// The handles that [`kill`] takes: an [`ActorHandle`], or a [`WeakActorHandle`] as [`get_actor`](crate::get_actor) returns it. Sealed.
pub trait Handle: sealed::Sealed {}

mod sealed {
    pub trait Sealed {
        fn kill(&self, restart: bool) -> super::Result<()>;
    }
}

impl<A: Actor> Handle for ActorHandle<A> {}

impl<A: Actor> sealed::Sealed for ActorHandle<A> {
    fn kill(&self, restart: bool) -> Result<()> {
        kill_actor(&self.hold(), restart)
    }
}

impl<A: Actor> Handle for WeakActorHandle<A> {}

impl<A: Actor> sealed::Sealed for WeakActorHandle<A> {
    fn kill(&self, restart: bool) -> Result<()> {
        kill_actor(&self.hold(), restart)
    }
}

/// Kills an actor. The running and the queued calls fail with `ActorDied` at once, and so does every later call. A sync
/// method that runs cannot be interrupted: it continues, `ray::context().is_cancelled()` returns `true` in it, and the
/// actor's state is dropped when it returns. For an actor that is dead already nothing changes. [Ray's
/// page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.kill.html).
///
/// # Errors
/// `RuntimeGone` if the engine of the handle was shut down.
///
/// ```
/// # extern crate ray_core as ray;
/// fn stop<A: ray::__private::Actor>(worker: &ray::ActorHandle<A>) -> ray::Result<()> {
///     ray::kill(worker)?;
///     ray::kill(&worker.downgrade()) // it is dead already
/// }
/// ```
pub fn kill(actor: &impl Handle) -> Result<()> {
    actor.kill(false)
}

/// As [`kill`], but the actor restarts if its `max_restarts` allows it. The running calls fail; the queued ones run on the
/// new state. It is Ray's `kill(no_restart=False)`.
///
/// # Errors
/// As [`kill`].
pub fn kill_and_restart(actor: &impl Handle) -> Result<()> {
    actor.kill(true)
}

fn kill_actor(actor: &ActorHold, restarts: bool) -> Result<()> {
    if !epoch::is_current(actor.epoch) {
        return Err(epoch::gone("the actor ended with its engine"));
    }
    match executor_of(actor) {
        Some(executor) => executor.kill_actor(actor.caller(), restarts),
        None if restarts => restart(actor),
        None => end(actor),
    }
    Ok(())
}

fn end(actor: &ActorHold) {
    if !actor.is_dead() {
        lifecycle::end(actor, killed(actor), By::Other);
    }
}

/// Kills an actor and restarts it, as after a crash: the running calls are interrupted, the queued ones run on the new
/// instance.
fn restart(actor: &ActorHold) {
    let error = restarted(actor);
    let cold = actor.cold_state();
    let (restart, running) = {
        let states = actor.lock();
        let unready = states.is_pending() && cold.is_unready();
        (states.restart(unready, || cold.spend_restart()), states.has_runner())
    };
    match restart {
        Restart::Nothing | Restart::Counted => {}
        Restart::Kill => end(actor),
        Restart::Replace { enqueue: enqueue_it } => {
            if let Some(call) = running.then(|| cut_off_runner(actor)).flatten() {
                call.end(&error);
            }
            cut_off_running(actor, &error, None);
            stop_constructor(cold);
            // The next runner replaces the instance before it takes another call.
            if enqueue_it {
                enqueue(actor.clone());
            }
        }
    }
}
