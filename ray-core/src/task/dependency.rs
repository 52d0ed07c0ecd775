//! Waiting for arguments: a counter in the task, an edge in each object that is not ready.
//!
//! The counter starts at one, for the registration itself, so that a task cannot become ready while its edges are
//! still being made. Whoever brings it to nought queues the task; the first dependency that fails fails the task, with
//! the original error and without running it.
//!
//! A long chain of tasks must not become a deep stack: what an ended task sets off is put on a list of this thread,
//! and worked off by the outermost call.

use crate::task::edges::{Edge, enter, leave, let_go};
use std::cell::{Cell, RefCell};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::base::error::Error;
use crate::call::arg::{ArgList, Dependency};
use crate::object::entry::Hold;
use crate::object::state::Phase;
use crate::object::waiter::Waiter;
use crate::task::head::TaskHead;

/// Each edge takes one of the task's holds, of which there are some eight million.
const MOST: u32 = 1 << 22;

/// Registers a task in `Waiting` with every argument that is not ready. `true`: all are ready, the caller queues it;
/// `false`: whoever settles the last of them does, or it was cancelled meanwhile.
///
/// # Errors
/// The error of an argument that has failed already, or is of a former engine.
pub(crate) fn register(task: &Hold, args: &impl ArgList) -> Result<bool, Error> {
    let Some(head) = task.task() else { return Ok(true) };
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
            failed = Some(crate::base::epoch::stale_object());
            return;
        }
        if task.pending.load(Ordering::Relaxed) > MOST {
            failed = Some(Error::new(
                crate::base::error::ErrorKind::InvalidArgument,
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
        let edge = Box::into_raw(Box::new(Edge {
            waiter: Waiter::new(fire),
            object,
            task: Cell::new(Some(hold)),
            next: Cell::new(null_mut()),
            prev: Cell::new(null_mut()),
            left: AtomicBool::new(false),
        }));
        // SAFETY: the node is ours, on the heap, and freed by the rules above; if it fires at once, the firing thread waits
        // for the lock that we hold.
        let linked = unsafe {
            let linked = header.link(edge.cast());
            match linked {
                Ok(()) => enter(head, edge),
                Err(_) => drop(Box::from_raw(edge)),
            }
            linked
        };
        if let Err(phase) = linked {
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
    let edge = node.cast::<Edge>();
    // SAFETY: the node is the first field of an edge made by `register`, and is fired once; the settling thread holds the
    // object.
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
        // SAFETY: in `Waiting`, under the lock, the edge is in the task's list, so nobody else reaches it after that. In any
        // other phase it belongs to the thread that ends the task, too.
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
    static AT_WORK: Cell<bool> = const { Cell::new(false) };
    static LIST: RefCell<Vec<(Hold, Option<Error>)>> = const { RefCell::new(Vec::new()) };
    static AFTER: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
}

/// Runs `work` when this thread has told all dependants of what it has settled: at once, if it tells none now.
pub(crate) fn after_telling(work: impl FnOnce() + 'static) {
    let mut work: Option<Box<dyn FnOnce()>> = Some(Box::new(work));
    if AT_WORK.try_with(Cell::get).unwrap_or(false) {
        let _ = AFTER.try_with(|after| after.borrow_mut().extend(work.take()));
    }
    // At once, too, where the thread is ending and its list is gone.
    if let Some(work) = work {
        work();
    }
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
            if task.pending.fetch_sub(1, Ordering::AcqRel) == 1
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
