//! What differs between the kinds of tasks: a function's task, an actor's call, an actor's creation. The task's own module, the
//! scheduler and the waits ask this table, and know no kind by name.

use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::base::error::Error;
use crate::object::entry::{Header, Hold};
use crate::task::blockers::Blockers;
use crate::task::head::TaskHead;

/// The functions of a kind of task.
pub(crate) struct TaskKind {
    /// For reports, with its article.
    pub(crate) noun: &'static str,
    /// Ready to begin, it stands in the queue of its [class](crate::task::head::Class), where any thread may take it. Otherwise it
    /// stands in a line of its own, behind others that must begin first.
    pub(crate) in_class_queue: bool,
    /// Why it cannot be cancelled by force, if it cannot.
    pub(crate) refuses_force: Option<&'static str>,
    /// All arguments are ready.
    pub(crate) ready: fn(Hold),
    /// It has failed before it began: for an argument, or cancelled. Tasks that stand behind it go on.
    pub(crate) dependency_failed: fn(&TaskHead),
    /// The caller has taken it in order to fail it before it begins: it leaves the place where it stands, and gives back what it
    /// was granted.
    pub(crate) leave_queue: fn(&TaskHead),
    /// Its resources belong to an actor for life; none: the task has them while its body runs.
    pub(crate) for_life: Option<ForLife>,
    /// An attempt has failed, and another follows.
    pub(crate) requeue: fn(Runner<'_>, Hold),
    /// Runs it on the thread of its getter, if that may be done: such `bodies` only, and those that must run before it as long as
    /// the closure says so. `true`: something was run.
    pub(crate) run_inline: fn(Runner<'_>, NonNull<Header>, Bodies, &dyn Fn() -> bool) -> bool,
    /// What it waits for with certainty, its arguments being ready.
    pub(crate) blockers: fn(&Hold) -> Blockers,
    /// The caller has failed it while its body runs: waits inside of the body end.
    pub(crate) stop_waits: fn(NonNull<Header>),
    /// Why waits in its body end though it has not failed: the attempt was cut off, and another follows.
    pub(crate) cut_off: fn(&Header) -> Option<Error>,
    /// Its body, a future, has panicked: the task's error.
    pub(crate) panicked: fn(NonNull<Header>, Error) -> Error,
}

/// Of a task whose resources belong to an actor for life.
pub(crate) struct ForLife {
    /// The address of the actor.
    pub(crate) owner: fn(&TaskHead) -> usize,
    /// The resources are granted.
    pub(crate) granted: fn(Hold),
}

/// Which bodies a waiting thread may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    /// Those that are known to be short: for a getter.
    Short,
    /// Of these, those of definitions that have never waited themselves: for an await, whose thread others need.
    Brief,
    /// All: for a getter that no other thread is left to help.
    Any,
}

/// The thread that runs a task, as the tables of tasks pass it on. The engine knows what it stands for.
#[derive(Clone, Copy)]
pub(crate) struct Runner<'a>(NonNull<()>, PhantomData<&'a ()>);

impl<'a> Runner<'a> {
    #[inline]
    pub(crate) fn erase<T>(thread: &'a T) -> Self {
        Self(NonNull::from(thread).cast(), PhantomData)
    }

    /// # Safety
    /// It was made of a `T`.
    #[inline]
    pub(crate) unsafe fn get<T>(self) -> &'a T {
        // SAFETY: the caller's promise; the borrow it was made of is `'a`.
        unsafe { self.0.cast().as_ref() }
    }
}
