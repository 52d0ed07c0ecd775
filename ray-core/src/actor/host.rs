//! Actors as the engine's frames know them.

use std::sync::Arc;

use crate::actor::errors;
use crate::actor::head::{ActorHead, ActorHold};
use crate::base::error::Error;
use crate::base::placement::Placement;
use crate::engine::thread_state::{Frame, Host};

impl Host for ActorHead {
    fn caller(&self) -> u64 {
        ActorHead::caller(self)
    }

    fn end_call(&self) {
        self.current.end_call();
    }

    fn death(&self) -> Option<Error> {
        self.is_dead().then(|| errors::death(self))
    }

    fn placement(&self) -> Option<Arc<Placement>> {
        self.known_cold_state()?.settings()?.placement.clone()
    }
}

/// A hold on the actor whose body runs in a frame.
pub(crate) fn hold_of_frame(frame: &Frame) -> Option<ActorHold> {
    // SAFETY: `ActorHead` is the only `Host`, and an actor outlives the frames of its bodies.
    frame.actor.map(|host| unsafe { ActorHold::new(host.cast()) })
}
