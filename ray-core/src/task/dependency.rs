//! Waiting for arguments: a counter in the task, and an edge in each object that is not ready.
//!
//! The counter starts at one, for the registration itself, so that a task cannot become ready while its edges are being made.
//! The thread that decrements it to zero queues the task. The first argument that fails fails the task, with the original error;
//! the task does not run.
//!
//! A long chain of tasks must not become a deep stack: the dependants of a settled object are put on a list of the thread, which
//! the outermost call processes.

use std::cell::{Cell, RefCell};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::error::Error;
use crate::call::arg::{ArgList, Dependency};
use crate::object::entry::Hold;
use crate::object::state::Phase;
use crate::object::waiter::Waiter;
use crate::task::edges::{Edge, enter, leave, let_go};
use crate::task::head::TaskHead;

/// How many arguments of a task may not be ready. Each edge has a hold on the task, and the count of holds goes to 2^23.
const MAX_EDGES: u32 = 1 << 22;

/// Makes an edge to a task in `Waiting` in each argument that is not ready. `true`: all are ready, and the caller queues the task.
/// `false`: the thread that settles the last one queues it, or the task was cancelled meanwhile.
///
/// # Errors
/// The error of an argument that has failed already, or that belongs to a former engine.
pub(crate) fn register(task: &Hold, args: &impl ArgList) -> Result<bool, Error> {
    let Some(head) = task.task() else { return Ok(true) };
    task.pending_args().store(1, Ordering::Relaxed);
    // The task's lock protects the arguments, which are read here: a thread that fires an edge, cancels the task or kills its actor
    // would drop them, but `State::step` waits for the lock.
    if task.state.lock_if(|phase| phase == Phase::Waiting).is_err() {
        return Ok(false);
    }
    let mut failed = None;
    args.each_dependency(&mut |Dependency(object)| {
        if failed.is_some() {
            return;
        }
        // SAFETY: the arguments have a ref to the object, and they are not dropped while the task is locked in `Waiting`.
        let header = unsafe { object.as_ref() };
        if header.epoch != task.epoch {
            failed = Some(crate::base::epoch::stale_object());
            return;
        }
        if task.pending_args().load(Ordering::Relaxed) > MAX_EDGES {
            failed = Some(Error::new(
                crate::base::error::ErrorKind::InvalidArgument,
                format!("more than {MAX_EDGES} arguments are not ready: combine them in several steps"),
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
        task.pending_args().fetch_add(1, Ordering::Relaxed);
        let edge = Box::into_raw(Box::new(Edge {
            waiter: Waiter::new(fire),
            object,
            task: Cell::new(Some(task.clone())),
            next: Cell::new(null_mut()),
            prev: Cell::new(null_mut()),
            left: AtomicBool::new(false),
        }));
        // SAFETY: the edge is on the heap, and is freed by the rules of `edges`. If it fires at once, the firing thread waits for the
        // task's lock, which this thread holds, before it uses the task's list or frees the edge. An edge that was not linked is
        // freed here, and no other thread has it.
        let linked = unsafe {
            let linked = header.link(edge.cast());
            match linked {
                Ok(()) => enter(head, edge),
                Err(_) => drop(Box::from_raw(edge)),
            }
            linked
        };
        if let Err(phase) = linked {
            task.pending_args().fetch_sub(1, Ordering::Relaxed);
            if phase == Phase::Failed {
                header.state.set_seen();
                failed = Some(header.error());
            }
        }
    });
    task.state.unlock_keeping();
    match failed {
        Some(error) => Err(error),
        None => Ok(task.pending_args().fetch_sub(1, Ordering::AcqRel) == 1),
    }
}

/// # Safety
/// As of the `fire` of a [`Waiter`]: the node is that of an edge, and is fired once, by the thread that settles its object.
unsafe fn fire(node: *mut Waiter, failed: bool) {
    let edge = node.cast::<Edge>();
    // SAFETY: the node is the first field of an edge that `register` has made, and is alive until both sides let go of it. The
    // settling thread keeps the object alive. Only the firing thread takes `task`.
    let (task, error) = unsafe {
        let error = failed.then(|| {
            let object = (*edge).object.as_ref();
            object.state.set_seen();
            object.error()
        });
        ((*edge).task.take(), error)
    };
    let Some(task) = task else { return };
    if let Some(head) = task.task() {
        // SAFETY: while the task is locked in `Waiting`, the edge is in its list; once it was taken out, no other thread has it, so
        // this thread frees it. In another phase the thread that ends the task has the edge too, and `let_go` decides (rule 3).
        unsafe {
            if task.state.lock_if(|phase| phase == Phase::Waiting).is_ok() {
                leave(head, edge);
                task.state.unlock_keeping();
                drop(Box::from_raw(edge));
            } else {
                let_go(edge);
            }
        }
    }
    later(task, error);
}

thread_local! {
    /// Whether this thread is telling dependants.
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
    /// Dependants to be told.
    static LIST: RefCell<Vec<(Hold, Option<Error>)>> = const { RefCell::new(Vec::new()) };
    /// Work to be done after that.
    static AFTER: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` after this thread has told the dependants of all objects that it has settled: at once, unless it is doing so now.
pub(crate) fn after_telling(work: impl FnOnce() + 'static) {
    let mut work: Option<Box<dyn FnOnce()>> = Some(Box::new(work));
    if AT_WORK.try_with(Cell::get).unwrap_or(false) {
        let _ = AFTER.try_with(|after| after.borrow_mut().extend(work.take()));
    }
    // At once, too, if the thread is ending and its list was dropped.
    if let Some(work) = work {
        work();
    }
}

/// Tells a task that one of its arguments is settled; without recursion.
fn later(task: Hold, error: Option<Error>) {
    if AT_WORK.try_with(Cell::get).unwrap_or(true) {
        let mut rest = Some((task, error));
        let _ = LIST.try_with(|list| list.borrow_mut().extend(rest.take()));
        if let Some((task, error)) = rest {
            // The thread is ending and its list was dropped: tell the task now.
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
    while let Some(work) = AFTER.try_with(|after| after.borrow_mut().pop()).ok().flatten() {
        work();
    }
}

fn tell(task: Hold, error: Option<Error>) {
    match error {
        Some(error) => {
            let name = task.task().map_or_else(String::new, |head| head.name().into_owned());
            task.abort(error.as_dependency_of(&name));
            if let Some(head) = task.task() {
                (head.vtable().kind.dependency_failed)(head);
            }
        }
        None => {
            if task.pending_args().fetch_sub(1, Ordering::AcqRel) == 1
                && let Some(kind) = task.task().map(|head| head.vtable().kind)
            {
                (kind.ready)(task);
            }
        }
    }
}

/// The arguments of a waiting task that are not ready.
pub(crate) fn pending_arguments(task: &Hold) -> Vec<Hold> {
    let mut found = Vec::new();
    // While the lock is held no thread can take the arguments: `State::step` waits for it.
    if task.state.lock_if(|phase| phase == Phase::Waiting).is_err() {
        return found;
    }
    if let Some(head) = task.task() {
        // SAFETY: the task is locked in `Waiting`, so its arguments are not dropped. They have a ref to each object.
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

/// Adds the task's link to the error of an argument.
pub(crate) fn failed_argument(head: &TaskHead, error: Error) -> Error {
    error.as_dependency_of(&head.name())
}
