//! Listening to the events of tasks.

use std::sync::Arc;

use crate::base::error::Result;
use crate::base::event;
use crate::base::event::{Event, Listening};
use crate::engine::thread;

/// Sets the listener of the process, which is called for each event of tasks and actors until the returned guard is dropped.
/// Threads of the engine and submitting threads call it in the middle of their work, so it should return soon. It must not call
/// into `ray`: a submission, a `put` and a wait return errors there. A panic of the listener is caught.
///
/// # Errors
/// `InvalidArgument` if a listener is set already.
pub fn listen(listener: Box<dyn Fn(&Event) + Send + Sync>) -> Result<Listening> {
    event::listen(Arc::new(move |event: &Event| thread::detached(|| listener(event))))
}
