//! Listening to the events of tasks.

use std::sync::Arc;

use crate::base::error::Result;
use crate::base::event;
use crate::base::event::{Event, Listening};
use crate::engine::thread;

/// Has `listener` called for each event of tasks and actors, until what this returns is dropped. It is called on the engine's
/// threads and on those that submit, at once and in the middle of their work: it should be short. It must not call into
/// `ray`: submissions, `put` and `get` fail there. A panic of its is caught.
///
/// # Errors
/// `InvalidArgument` if the process has a listener.
pub fn listen(listener: Box<dyn Fn(&Event) + Send + Sync>) -> Result<Listening> {
    event::listen(Arc::new(move |event: &Event| thread::detached(|| listener(event))))
}
