//! Bodies that another process has sent to this one.
//!
//! Such a body is no task of this process's engine: no queue, no claim, no retry. It runs on the thread that the worker gives
//! it, in a frame like any other body's, so that calls in it have a parent, `ray::context()` tells about it, and its waits end
//! when it is cancelled. An entry without a value stands for the task, under the number that the task has in all processes.

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::base::error::{Error, ErrorKind, Result};
use crate::call::invoke::{Running, block_on};
use crate::call::spec::Spec;
use crate::engine::blocking::interrupt;
use crate::engine::execute::leave_frame;
use crate::engine::thread;
use crate::engine::thread_state::{Frame, Host};
use crate::object::encoded::Encoded;
use crate::object::object_ref::ObjectRef;
use crate::object::remote;

/// A body of another process's task.
#[derive(Debug)]
pub struct RemoteBody {
    task: ObjectRef<()>,
    spec: &'static Spec,
    is_async: bool,
}

impl RemoteBody {
    /// The body of the task of that number and name.
    #[must_use]
    pub fn new(task: u64, name: &str, spec: &'static Spec, is_async: bool) -> Self {
        let (object, reply) = remote::result(crate::base::epoch::current(), |_| Ok(()));
        // The entry stands for the task and is never settled with a value.
        reply.forget();
        object.header().set_id(task);
        remote::set_name(object.header(), name);
        Self { task: object, spec, is_async }
    }

    /// Runs the body on this thread, to its end.
    ///
    /// # Errors
    /// The body's own. `Cancelled`, where it was cancelled before.
    pub fn run(&self, running: Running) -> Result<Encoded> {
        self.run_in(running, None)
    }

    /// As [`run`](Self::run), in a method of an actor. The actor lives until this returns.
    pub(crate) fn run_in(&self, running: Running, actor: Option<NonNull<dyn Host>>) -> Result<Encoded> {
        let state = thread::current()?;
        if self.task.is_ready() {
            return Err(self.task.seen_error());
        }
        let frame = Frame {
            below: state.frame.get(),
            entry: Some(self.task.entry()),
            actor,
            spec: self.spec,
            caller: Cell::new(0),
            is_async: self.is_async,
            crashed: Cell::new(false),
        };
        let _runtime = if self.is_async { Some(state.engine.tokio()?.enter()) } else { None };
        state.frame.set(&raw const frame);
        state.shared.running.store(std::ptr::from_ref(frame.spec).cast_mut(), Ordering::Relaxed);
        let ended = block_on(running);
        leave_frame(state, &frame);
        // The body's error names the definition, and the task may have a name of its own.
        let name = remote::name_of(self.task.header());
        ended.map_err(|error| match name {
            Some(name) => error.rename_last_task(name),
            None => error,
        })
    }

    /// Asks the body to stop: its waits end with `Cancelled`, and `ray::context().is_cancelled()` tells it.
    pub fn cancel(&self) {
        self.task.header().state.set_seen();
        self.task.header().fail(|_| true, Error::new(ErrorKind::Cancelled, "the task was cancelled"));
        interrupt::wake(self.task.entry());
    }
}
