//! Bodies that another process has sent to this one.
//!
//! Such a body is not a task of this process's engine: it has no queue, no claim and no retry. It runs on the thread that calls
//! [`RemoteBody::run`], in a frame like the body of a task. So calls in it have a parent, `ray::context()` returns its name and its
//! number, and its waits and its awaits end when it is cancelled. An entry without a value represents the task. The entry has the
//! number that the task has in all processes.

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Wake;

use crate::base::error::{Error, ErrorKind, Result};
use crate::call::invoke::{Running, Signal, block_on};
use crate::call::spec::Spec;
use crate::engine::blocking::interrupt;
use crate::engine::execute::leave_frame;
use crate::engine::thread;
use crate::engine::thread_state::{Frame, Host};
use crate::object::encoded::Encoded;
use crate::object::object_ref::ObjectRef;
use crate::object::remote::{self, BodyInfo};
use crate::object::state::Phase;

/// The body of a task of another process.
#[derive(Debug)]
pub struct RemoteBody {
    task: ObjectRef<()>,
    spec: &'static Spec,
    is_async: bool,
    /// Wakes the thread in [`run`](Self::run) while the body awaits.
    signal: Arc<Signal>,
}

impl RemoteBody {
    /// The body of the task with this number.
    #[must_use]
    pub fn new(task: u64, body: BodyInfo, spec: &'static Spec, is_async: bool) -> Self {
        let (object, reply) = remote::result(crate::base::epoch::current(), |_| Ok(()));
        // The entry stands for the task and is never settled with a value.
        reply.forget();
        object.header().set_id(task);
        remote::set_body(object.header(), body);
        Self { task: object, spec, is_async, signal: Arc::default() }
    }

    /// Runs the body on this thread, to its end.
    ///
    /// # Errors
    /// The body's own. `Cancelled`: it was cancelled. `RuntimeGone`: the engine was shut down after the body was made.
    /// `InvalidArgument`: the engine of this process has no executor.
    pub fn run(&self, running: Running) -> Result<Encoded> {
        self.run_in(running, None)
    }

    /// Like [`run`](Self::run), in a method of an actor. The actor lives until this returns.
    pub(crate) fn run_in(&self, running: Running, actor: Option<NonNull<dyn Host>>) -> Result<Encoded> {
        let state = thread::current()?;
        self.check_cancelled()?;
        crate::base::epoch::check_object(self.task.header().epoch)?;
        if state.engine.executor.is_none() {
            let what = "a body of another process needs an engine with an executor: start the engine with `init_with_executor`";
            return Err(Error::new(ErrorKind::InvalidArgument, what));
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
        // A sync body sees the async runtime if it has been started, as in the embedded engine.
        let runtime = if self.is_async { Some(state.engine.tokio()?) } else { state.engine.started_tokio() };
        let _runtime = runtime.map(tokio::runtime::Handle::enter);
        state.frame.set(&raw const frame);
        state.shared.running.store(std::ptr::from_ref(frame.spec).cast_mut(), Ordering::Relaxed);
        crate::base::unwind::install_hook();
        // A panic outside of the body, in the user's code that decodes an argument or encodes the result, must not skip `leave_frame`.
        let ended = crate::base::unwind::catch(|| block_on(running, &self.signal, || self.check_cancelled()));
        let ended = ended.and_then(|ended| ended);
        leave_frame(state, &frame);
        // As in the embedded engine, the outcome of a body that was cancelled is dropped.
        self.check_cancelled()?;
        // The error of the body names the definition, but the task may have a name of its own.
        let body = remote::body_of(self.task.header());
        ended.map_err(|error| match body {
            Some(body) => error.rename_last_task(&body.name),
            None => error,
        })
    }

    /// # Errors
    /// `Cancelled`: it was cancelled.
    fn check_cancelled(&self) -> Result<()> {
        let header = self.task.header();
        if header.phase() == Phase::Failed { Err(header.error()) } else { Ok(()) }
    }

    /// Asks the body to stop. Its waits end with `Cancelled`, an async body is dropped at its next await, and
    /// `ray::context().is_cancelled()` is true.
    pub fn cancel(&self) {
        self.task.header().state.set_seen();
        self.task.header().fail(|_| true, Error::new(ErrorKind::Cancelled, "the task was cancelled"));
        interrupt::wake(self.task.entry());
        self.signal.wake_by_ref();
    }
}
