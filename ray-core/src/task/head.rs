//! One invocation, erased: what the scheduler and the workers know of a task or a call.

use std::borrow::Cow;
use std::ptr::NonNull;

use crate::base::call_options::CallSettings;
use crate::base::error::Error;
use crate::base::id::ActorId;
use crate::base::sync::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use crate::call::spec;
use crate::call::spec::Spec;
use crate::object::entry::{Header, Hold, Kind};
use crate::object::state::Phase;
use crate::object::task_table::{About, TaskTable};
use crate::task::blockers::Blockers;
use crate::task::runner::{Bodies, Runner};

/// What a task asks of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// One CPU and nothing else: the fast path, on the threads' deques.
    OneCpu,
    /// Nothing: held up by nobody who holds CPUs.
    Free,
    /// Anything else: stands in claims until it is granted.
    Shaped,
}

/// What is known of a task without its types.
pub(crate) struct TaskVTable {
    /// Runs the body of an entry that the caller moved to `Running`; writes the value if there is one.
    pub(crate) run: unsafe fn(NonNull<Header>, Runner<'_>) -> Ran,
    /// Drops the arguments of an entry that the caller moved to `Running` and will not run.
    pub(crate) drop_args: unsafe fn(NonNull<Header>),
    /// Shows the references among the arguments of an entry in `Waiting`, under its lock.
    pub(crate) each_dependency: unsafe fn(NonNull<Header>, &mut dyn FnMut(crate::call::arg::Dependency)),
    pub(crate) spec: &'static Spec,
    /// The class, of a method that every handle has: its spec does not name one.
    pub(crate) class: Option<&'static Spec>,
    pub(crate) is_async: bool,
    pub(crate) kind: &'static TaskKind,
}

impl TaskVTable {
    /// As an object's table has it.
    pub(crate) const fn erased(&'static self) -> TaskTable {
        TaskTable::erase(self, |entry| {
            // SAFETY: an entry with a task's table is a task, and alive.
            let head = unsafe { TaskHead::of(entry.cast()) };
            About { name: head.vtable().spec.path(), actor: (head.vtable().kind.actor)(head) }
        })
    }

    /// The definition whose bodies this table runs, with their times; of a closure or a generic item, that type's own.
    #[inline]
    pub(crate) fn definition(&'static self) -> &'static Spec {
        spec::instance(self.spec, self)
    }

    /// The name of the definition in messages.
    pub(crate) fn name(&self) -> Cow<'static, str> {
        match self.class {
            Some(class) => format!("{}.{}", class.name(), self.spec.name()).into(),
            None => self.spec.name().into(),
        }
    }

    /// Adds a task of this definition to an error's chain.
    pub(crate) fn blame(&self, error: Error) -> Error {
        error.returned_by(self.spec.path()).in_task(&self.name(), self.spec.file(), self.spec.line())
    }
}

/// What differs between the kinds of tasks: a function's task, an actor's call, an actor's creation. The task's own module, the
/// scheduler and the waits ask this table, and know no kind by name.
pub(crate) struct TaskKind {
    /// For reports, with its article.
    pub(crate) noun: &'static str,
    /// The entry is an actor's call or creation: it begins with the head of a call.
    pub(crate) of_actor: bool,
    /// Ready to begin, it stands in the queue of its [class](Class), where any thread may take it. Otherwise it
    /// stands in a line of its own, behind others that must begin first.
    pub(crate) in_class_queue: bool,
    /// Why it cannot be cancelled by force, if it cannot.
    pub(crate) refuses_force: Option<&'static str>,
    /// The actor that it is a call of, for events.
    pub(crate) actor: fn(&TaskHead) -> Option<ActorId>,
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

/// How a body ended.
#[must_use]
pub(crate) enum Ran {
    /// The value is written.
    Value,
    Failed(Error),
    /// It failed, its arguments are still there, and it is to be tried again.
    Again,
    /// A future was spawned, which ends the task itself; it has a hold of its own.
    Spawned,
}

/// What tasks and calls add to the header.
#[repr(C)]
pub(crate) struct TaskHead {
    pub(crate) header: Header,
    /// Where it stands in its parent's list of children.
    pub(crate) sibling: AtomicPtr<Header>,
    /// The newest task that this one has submitted, see [`children`]; before it runs, its [edges](dependency).
    pub(crate) children: AtomicPtr<Header>,
    pub(crate) child_count: AtomicU32,
    /// Attempts that have failed.
    pub(crate) attempts: AtomicU32,
    /// What its options say, where they say something.
    extra: Option<Box<Extra>>,
    /// A body has the arguments, or they were dropped.
    #[cfg(debug_assertions)]
    args_gone: std::sync::atomic::AtomicBool,
}

/// The rarely used part of a task.
pub(crate) struct Extra {
    pub(crate) settings: CallSettings,
    /// `fn(&Args) -> Args`, where the arguments are kept for another attempt.
    pub(crate) keep: Option<Keep>,
    /// Resources that were granted and are to be given back at the end.
    pub(crate) granted: AtomicBool,
}

/// An erased `fn(&Args) -> Args`, of the task's own argument type.
#[derive(Clone, Copy)]
pub(crate) struct Keep(*const ());

// SAFETY: a function pointer.
unsafe impl Send for Keep {}
// SAFETY: a function pointer.
unsafe impl Sync for Keep {}

impl Keep {
    pub(crate) fn new<P>(keep: fn(&P) -> P) -> Self {
        Self(keep as *const ())
    }

    /// # Safety
    /// `P` is the type it was made with.
    pub(crate) unsafe fn get<P>(self) -> fn(&P) -> P {
        // SAFETY: the caller's promise; function pointers round-trip through raw pointers.
        unsafe { std::mem::transmute::<*const (), fn(&P) -> P>(self.0) }
    }
}

impl TaskHead {
    #[inline]
    pub(crate) fn new(header: Header, extra: Option<Box<Extra>>) -> Self {
        Self {
            header,
            sibling: AtomicPtr::new(std::ptr::null_mut()),
            children: AtomicPtr::new(std::ptr::null_mut()),
            child_count: AtomicU32::new(0),
            attempts: AtomicU32::new(0),
            extra,
            #[cfg(debug_assertions)]
            args_gone: false.into(),
        }
    }

    /// # Safety
    /// The entry is a task, and alive for `'a`.
    #[inline]
    pub(crate) unsafe fn of<'a>(entry: NonNull<Header>) -> &'a Self {
        // SAFETY: the entry of a task starts with a TaskHead.
        unsafe { entry.cast().as_ref() }
    }

    /// The caller owns the arguments, and is about to take them out or drop them.
    #[inline]
    pub(crate) fn args_go(&self) {
        #[cfg(debug_assertions)]
        assert!(!self.args_gone.swap(true, Ordering::AcqRel), "the arguments of `{}` go twice", self.name());
    }

    /// The memory is about to be freed. Arguments that were still there would be leaked.
    #[inline]
    pub(crate) fn check_args(&self) {
        #[cfg(debug_assertions)]
        assert!(self.args_gone.load(Ordering::Acquire), "`{}` is freed under its arguments", self.name());
    }

    #[inline]
    pub(crate) fn vtable(&self) -> &'static TaskVTable {
        let table = self.header.vtable.task.expect("a task's entry has a task's table");
        // SAFETY: `erased` alone makes such tables.
        unsafe { table.get() }
    }

    #[inline]
    pub(crate) fn extra(&self) -> Option<&Extra> {
        self.extra.as_deref()
    }

    /// What it asks of the node.
    pub(crate) fn class(&self) -> Class {
        let is_async = self.vtable().is_async;
        match self.extra() {
            None if is_async => Class::Free,
            None => Class::OneCpu,
            Some(extra) if !is_async && extra.settings.resources.is_only_one_cpu() => Class::OneCpu,
            Some(extra) if extra.settings.resources.is_none() => Class::Free,
            Some(_) => Class::Shaped,
        }
    }

    /// The address of the actor that owns what the task is granted, if an actor does.
    pub(crate) fn owner(&self) -> Option<usize> {
        self.vtable().kind.for_life.as_ref().map(|for_life| (for_life.owner)(self))
    }

    /// It holds what it asked for, or no longer; whether it did.
    pub(crate) fn mark_granted(&self, granted: bool) -> bool {
        self.extra().is_some_and(|extra| extra.granted.swap(granted, Ordering::AcqRel))
    }

    /// Its name in errors and reports.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        let given = self.extra().and_then(|extra| extra.settings.name.as_deref());
        given.map_or_else(|| self.vtable().name(), Cow::Borrowed)
    }

    /// Adds this task to an error's chain.
    pub(crate) fn blame(&self, error: Error) -> Error {
        let spec = self.vtable().spec;
        error.returned_by(spec.path()).in_task(&self.name(), spec.file(), spec.line())
    }

    /// Whether a call is tried again whose actor crashed under it and starts anew.
    pub(crate) fn may_retry_crash(&self) -> bool {
        let failed = self.attempts.load(Ordering::Relaxed);
        let again = self.extra().is_some_and(|extra| {
            let most = extra.settings.max_retries;
            extra.keep.is_some() && (most < 0 || i64::from(failed) < most)
        });
        if again {
            self.attempts.fetch_add(1, Ordering::Relaxed);
        }
        again
    }

    /// Whether a failed attempt is to be followed by another.
    pub(crate) fn may_retry(&self, error: &Error) -> bool {
        let Some(extra) = self.extra() else { return false };
        if extra.keep.is_none() || !crate::task::retry::allows(&extra.settings, self.attempts.load(Ordering::Relaxed), error) {
            return false;
        }
        self.attempts.fetch_add(1, Ordering::Relaxed);
        true
    }
}

impl Header {
    /// The part that tasks have.
    pub(crate) fn task(&self) -> Option<&TaskHead> {
        match self.vtable.kind {
            // SAFETY: the entry of a task starts with a TaskHead, which starts with the header.
            Kind::Task => Some(unsafe { TaskHead::of(NonNull::from(self)) }),
            Kind::Put | Kind::Part | Kind::Remote => None,
        }
    }
}

/// An attempt of a task has failed and is to be followed by another: `true`, the caller queues the task; `false`, it was
/// cancelled meanwhile, and the arguments that were kept are gone.
///
/// # Safety
/// The caller ran the attempt, whose arguments were kept.
#[must_use]
pub(crate) unsafe fn begins_again(task: &Hold) -> bool {
    let again = task.state.step(Phase::Running, Phase::Queued);
    if !again {
        // SAFETY: the runner owns the arguments.
        unsafe { (TaskHead::of(task.entry()).vtable().drop_args)(task.entry()) };
    }
    again
}
