//! Cancelling tasks.

use crate::object::remote;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::options::CancelOptions;
use crate::engine::engine::Engine;
use crate::object::entry::Hold;
use crate::object::object_ref::ObjectRef;
use crate::object::part;
use crate::task::children;
use crate::task::head::TaskHead;

/// Cancels the task that makes the object, and the tasks that it has submitted: getting it gives `Cancelled` at once.
/// One that has not started never runs. An async one is dropped at its next await. A sync one that runs cannot be
/// interrupted: it goes on, its value is dropped, and `ray::context().is_cancelled()` tells it. An ended task, or an
/// object that was put, stays as it is. [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.cancel.html).
///
/// # Errors
/// `RuntimeGone` after a shutdown.
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

/// As [`cancel`], with options: not `recursive`, to spare the tasks that it has submitted; `force`, which embedded has
/// nothing to add, since no thread can be killed.
///
/// # Errors
/// As [`cancel`]; `InvalidArgument` for `force` on an actor's call, as in Ray.
pub fn cancel_with<T>(object: &ObjectRef<T>, options: CancelOptions) -> Result<()> {
    let header = object.header();
    crate::base::epoch::check_object(header.epoch)?;
    let whole = part::producer(header);
    let entry = whole.map_or(object.entry(), Hold::entry);
    // SAFETY: alive by the reference, or by the part that holds it.
    let header = unsafe { entry.as_ref() };
    if options.force
        && let Some(why) = header.task().and_then(|head| head.vtable().kind.refuses_force)
    {
        return Err(Error::new(ErrorKind::InvalidArgument, why));
    }
    let Some(engine) = crate::engine::engine::running() else { return Err(crate::base::epoch::stale_object()) };
    if let (Some(executor), Some(_)) = (&engine.executor, remote::task_of(header)) {
        let cancelled = Error::new(ErrorKind::Cancelled, "the task was cancelled");
        if header.fail(|_| true, cancelled) {
            executor.cancel(header.id(), options.recursive, options.force);
        }
        return Ok(());
    }
    // SAFETY: alive by the reference.
    cancel_entry(&engine, unsafe { Hold::new(entry) }, options.recursive);
    Ok(())
}

/// Cancels a task and, if `recursive`, what it has submitted, without recursion.
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

/// Cancels the task when it is dropped; made by [`ObjectRef::cancel_on_drop`]. It is a future, as the reference is: awaited
/// to its end it cancels nothing, given up before that it does.
#[derive(Debug)]
#[must_use]
pub struct CancelOnDrop<T>(Option<ObjectRef<T>>);

impl<T> CancelOnDrop<T> {
    /// The reference again, with nothing cancelled any more.
    pub fn keep(mut self) -> ObjectRef<T> {
        self.0.take().expect("it is there until the guard goes")
    }
}

impl<T> std::ops::Deref for CancelOnDrop<T> {
    type Target = ObjectRef<T>;
    fn deref(&self) -> &ObjectRef<T> {
        self.0.as_ref().expect("it is there until the guard goes")
    }
}

impl<T: Clone> Future for CancelOnDrop<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T>> {
        // A reference that has given its result is ready, so the drop of the guard cancels nothing.
        Pin::new(self.0.as_mut().expect("it is there until the guard goes")).poll(context)
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
    /// Ties the task to a guard: when that is dropped, the task is cancelled. (Dropping a reference alone does not.)
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
