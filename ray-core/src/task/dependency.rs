//! Waiting for arguments: a counter in the task, an edge in each object that is not ready.
//!
//! The counter starts at one, for the registration itself, so that a task cannot become ready while its edges are
//! still being made. Whoever brings it to nought queues the task; the first dependency that fails fails the task, with
//! the original error and without running it.
//!
//! A long chain of tasks must not become a deep stack: what an ended task sets off is put on a list of this thread,
//! and worked off by the outermost call.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;

use super::TaskHead;
use crate::callable::arg::{ArgList, Dependency};
use crate::error::Error;
use crate::store::entry::Hold;
use crate::store::state::Phase;
use crate::store::waiter::Waiter;

/// Each edge takes one of the task's holds, of which there are some eight million.
const MOST: u32 = 1 << 22;

/// An edge from an object to a task that needs it.
#[repr(C)]
struct Edge {
    waiter: Waiter,
    /// The object; valid when the edge fires, since whoever settles it holds it.
    object: std::ptr::NonNull<crate::store::entry::Header>,
    task: Hold,
}

/// Registers a task in `Waiting` with every argument that is not ready. `true`: all are ready, the caller queues it;
/// `false`: whoever settles the last of them does, or it was cancelled meanwhile.
///
/// # Errors
/// The error of an argument that has failed already, or is of a former engine.
pub(crate) fn register(task: &Hold, args: &impl ArgList) -> Result<bool, Error> {
    task.pending.store(1, Ordering::Relaxed);
    // Under the task's lock: an edge that fires at once, a canceller or a killer would drop the arguments while they are
    // read here, were it not for `State::step`, which waits for the lock.
    if task.state.lock_if(|phase| phase == Phase::Waiting).is_err() {
        return Ok(false);
    }
    let mut failed = None;
    args.each_dependency(&mut |Dependency(object)| {
        if failed.is_some() {
            return;
        }
        // SAFETY: the arguments hold a ref.
        let header = unsafe { object.as_ref() };
        if header.epoch != task.epoch {
            failed = Some(crate::blocking::stale());
            return;
        }
        if task.pending.load(Ordering::Relaxed) > MOST {
            failed = Some(Error::new(
                crate::error::ErrorKind::InvalidArgument,
                format!("more than {MOST} arguments that are not ready: combine them in several steps"),
            ));
            return;
        }
        match header.phase() {
            Phase::Ready => return,
            Phase::Failed => {
                header.state.set_seen();
                failed = Some(header.error());
                return;
            }
            _ => {}
        }
        task.pending.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the task is alive by our hold.
        let hold = unsafe { Hold::new(task.entry()) };
        let edge = Box::into_raw(Box::new(Edge { waiter: Waiter::new(fire), object, task: hold }));
        // SAFETY: the node is ours, on the heap, and freed by whoever fires it.
        if let Err(phase) = unsafe { header.link(edge.cast()) } {
            // SAFETY: it was not linked, so it is still ours.
            drop(unsafe { Box::from_raw(edge) });
            task.pending.fetch_sub(1, Ordering::Relaxed);
            if phase == Phase::Failed {
                header.state.set_seen();
                failed = Some(header.error());
            }
        }
    });
    task.state.unlock_keeping();
    match failed {
        Some(error) => Err(error),
        None => Ok(task.pending.fetch_sub(1, Ordering::AcqRel) == 1),
    }
}

unsafe fn fire(node: *mut Waiter, failed: bool) {
    // SAFETY: the node is the first field of an edge made by `register`, and is fired once.
    let edge = unsafe { Box::from_raw(node.cast::<Edge>()) };
    let error = failed.then(|| {
        // SAFETY: who fires holds the object.
        let object = unsafe { edge.object.as_ref() };
        object.state.set_seen();
        object.error()
    });
    later(edge.task, error);
}

thread_local! {
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
    static LIST: RefCell<Vec<(Hold, Option<Error>)>> = const { RefCell::new(Vec::new()) };
}

/// Tells a task that an argument of its is settled; without recursion.
fn later(task: Hold, error: Option<Error>) {
    if AT_WORK.try_with(Cell::get).unwrap_or(true) {
        let mut rest = Some((task, error));
        let _ = LIST.try_with(|list| list.borrow_mut().extend(rest.take()));
        if let Some((task, error)) = rest {
            // The thread is ending and its list is gone: nobody else would do it.
            tell(task, error);
        }
        return;
    }
    AT_WORK.set(true);
    tell(task, error);
    while let Some((task, error)) = LIST.try_with(|list| list.borrow_mut().pop()).ok().flatten() {
        tell(task, error);
    }
    AT_WORK.set(false);
}

fn tell(task: Hold, error: Option<Error>) {
    match error {
        Some(error) => {
            let name = task.task().map_or_else(String::new, |head| head.name().into_owned());
            // SAFETY: alive by the hold.
            unsafe { super::abort(task.entry(), error.as_dependency_of(&name)) };
            if let Some(head) = task.task() {
                crate::runtime::submit::forget(head);
            }
        }
        None => {
            if task.pending.fetch_sub(1, Ordering::AcqRel) == 1 {
                crate::runtime::submit::ready(task);
            }
        }
    }
}

/// The arguments of a waiting task that are not ready.
pub(crate) fn pending_arguments(task: &Hold) -> Vec<Hold> {
    let mut found = Vec::new();
    // While the lock is held nobody can take the arguments: `State::step` waits for it.
    if task.state.lock_if(|phase| phase == Phase::Waiting).is_err() {
        return found;
    }
    if let Some(head) = task.task() {
        // SAFETY: the entry is in `Waiting`, and stays so under the lock.
        unsafe {
            (head.vtable().each_dependency)(task.entry(), &mut |Dependency(object)| {
                if !object.as_ref().phase().is_settled() {
                    found.push(Hold::new(object));
                }
            });
        }
    }
    task.state.unlock_keeping();
    found
}

/// Adds the task's name to the error of an argument.
pub(crate) fn failed_argument(head: &TaskHead, error: Error) -> Error {
    error.as_dependency_of(&head.name())
}
