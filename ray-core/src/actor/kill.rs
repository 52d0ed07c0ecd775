//! Killing actors.

use crate::actor::errors::{killed, restarted};
use crate::actor::head::ActorHold;
use crate::actor::interrupt::{By, cut_off_runner, cut_off_running};
use crate::actor::lifecycle;
use crate::actor::remote::executor_of;
use crate::actor::run_state::Restart;
use crate::actor::schedule::enqueue;

/// Kills an actor for good.
pub(crate) fn kill(actor: &ActorHold) {
    if let Some(executor) = executor_of(actor) {
        return executor.kill_actor(actor.caller(), false);
    }
    if !actor.is_dead() {
        lifecycle::end(actor, killed(actor), By::Other);
    }
}

/// Kills an actor and restarts it, as after a crash: the running calls are interrupted, the queued ones run on the new
/// instance.
pub(crate) fn kill_and_restart(actor: &ActorHold) {
    if let Some(executor) = executor_of(actor) {
        return executor.kill_actor(actor.caller(), true);
    }
    let error = restarted(actor);
    let cold = actor.cold_state();
    let (restart, running) = {
        let states = actor.lock();
        let unready = states.is_pending() && cold.is_unready();
        (states.restart(unready, || cold.spend_restart()), states.has_runner())
    };
    match restart {
        Restart::Nothing | Restart::Counted => {}
        Restart::Kill => kill(actor),
        Restart::Replace { enqueue: enqueue_it } => {
            if let Some(call) = running.then(|| cut_off_runner(actor)).flatten() {
                call.end(&error);
            }
            cut_off_running(actor, &error, None);
            // The next runner replaces the instance before it takes another call.
            if enqueue_it {
                enqueue(actor.clone());
            }
        }
    }
}
