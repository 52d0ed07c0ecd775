//! The cancellation of tasks.

use crate::object::remote;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::options::CancelOptions;
use crate::engine::engine::Engine;
use crate::object::entry::Hold;
use crate::object::kind::Kind;
use crate::object::object_ref::ObjectRef;
use crate::object::part;
use crate::task::children;
use crate::task::head::TaskHead;

/// Cancels the task that makes the object, and the tasks that it has submitted. A get of the object returns `Cancelled` at once. A
/// task that has not started never runs. The future of an `async` body is dropped at its next await. A sync body that runs cannot
/// be interrupted: it goes on, its value is dropped, and `ray::context().is_cancelled()` returns true in it. For a task that has
/// ended and an object that was put nothing changes. [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.cancel.html).
///
/// # Errors
/// `RuntimeGone` if the engine was shut down.
///
/// ```
/// # extern crate ray_core as ray;
/// let object = ray::task(|| while !ray::context().is_cancelled() { std::thread::yield_now() }).remote();
/// ray::cancel(&object)?;
/// assert!(ray::get(object).unwrap_err().is_cancelled());
/// # Ok::<(), ray::Error>(())
/// ```
pub fn cancel<T>(object: &ObjectRef<T>) -> Result<()> {
    cancel_with(object, CancelOptions::new())
}

/// Like [`cancel`], with options: [`recursive(false)`](CancelOptions::recursive) spares the tasks that the task has submitted;
/// [`force`](CancelOptions::force) has no further effect in the embedded engine, since it cannot end a thread.
///
/// # Errors
/// Those of [`cancel`]; `InvalidArgument` for `force` on a call of an actor, as in Ray.
///
/// ```
/// # extern crate ray_core as ray;
/// let object = ray::task(|| while !ray::context().is_cancelled() { std::thread::yield_now() }).remote();
/// ray::cancel_with(&object, ray::CancelOptions::new().recursive(false))?;
/// assert!(ray::get(object).unwrap_err().is_cancelled());
/// # Ok::<(), ray::Error>(())
/// ```
pub fn cancel_with<T>(object: &ObjectRef<T>, options: CancelOptions) -> Result<()> {
    let header = object.header();
    crate::base::epoch::check_object(header.epoch)?;
    let header = part::producer(header).map_or(header, |whole| whole);
    if options.force
        && let Some(why) = header.task().map_or_else(|| remote::refuses_force(header), |head| head.vtable().kind.refuses_force)
    {
        return Err(Error::new(ErrorKind::InvalidArgument, why));
    }
    let Some(engine) = crate::engine::engine::running() else { return Err(crate::base::epoch::stale_object()) };
    if let Some(executor) = &engine.executor
        && header.vtable.kind == Kind::Remote
        && !header.phase().is_settled()
    {
        // The object of a reference that was decoded fails when the executor's reply comes: it may be an object that was put.
        let cancelled = || Error::new(ErrorKind::Cancelled, "the task was cancelled");
        if remote::task_of(header).is_none() || header.fail(|_| true, cancelled()) {
            executor.cancel(header.id(), options.recursive, options.force);
        }
        return Ok(());
    }
    cancel_entry(&engine, Hold::of(header), options.recursive);
    Ok(())
}

/// Cancels a task and, if `recursive`, all tasks below it. A list replaces recursion, so deep trees do not overflow the stack.
fn cancel_entry(engine: &Engine, root: Hold, recursive: bool) {
    let mut todo = vec![root];
    while let Some(task) = todo.pop() {
        let Some(head) = task.task() else { continue };
        if recursive {
            todo.extend(children::collect(head));
        }
        if task.abort(cancelled(head)) {
            (head.vtable().kind.dependency_failed)(head);
        }
        if head.vtable().is_async {
            crate::engine::future::abort(engine, task.entry());
        }
    }
}

fn cancelled(head: &TaskHead) -> Error {
    head.blame(Error::new(ErrorKind::Cancelled, "the task was cancelled"))
}

/// A guard that cancels the task when it is dropped; [`ObjectRef::cancel_on_drop`] makes it. It is also a future, like the
/// reference: if it is awaited to its end it cancels nothing, and if it is dropped before it cancels the task.
#[derive(Debug)]
#[must_use]
pub struct CancelOnDrop<T>(Option<ObjectRef<T>>);

impl<T> CancelOnDrop<T> {
    /// Converts the guard back into the reference; nothing is cancelled.
    pub fn keep(mut self) -> ObjectRef<T> {
        self.0.take().expect("the guard has its reference until it is consumed")
    }
}

impl<T> std::ops::Deref for CancelOnDrop<T> {
    type Target = ObjectRef<T>;
    fn deref(&self) -> &ObjectRef<T> {
        self.0.as_ref().expect("the guard has its reference until it is consumed")
    }
}

impl<T: Clone> Future for CancelOnDrop<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        // After the future has returned its result the reference is ready, so the drop of the guard cancels nothing.
        Pin::new(self.0.as_mut().expect("the guard has its reference until it is consumed")).poll(context)
    }
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        if let Some(object) = &self.0
            && !object.is_ready()
        {
            object.header().state.set_seen();
            let _ = cancel(object);
        }
    }
}

impl<T> ObjectRef<T> {
    /// Converts the reference into a guard that cancels the task when it is dropped. (Dropping a reference does not cancel.)
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let object = ray::task(|| 7).remote();
    /// let again = object.clone();
    /// drop(object.cancel_on_drop());
    /// assert!(ray::get(again).map_or_else(|error| error.is_cancelled(), |value| value == 7));
    /// ```
    pub fn cancel_on_drop(self) -> CancelOnDrop<T> {
        CancelOnDrop(Some(self))
    }
}
