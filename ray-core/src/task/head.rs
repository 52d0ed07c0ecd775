//! The erased task: the part of a task's or a call's entry that does not depend on types. The scheduler and the workers use it.

use std::borrow::Cow;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::base::call_options::CallSettings;
use crate::base::error::Error;
use crate::base::id::ActorId;
use crate::base::sync::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use crate::call::spec;
use crate::call::spec::Spec;
use crate::object::entry::{Header, Hold};
use crate::object::items::{AnyItems, Items};
use crate::object::state::Phase;
use crate::object::task_table::{About, TaskTable};
use crate::task::blockers::Blockers;
use crate::task::runner::{Bodies, Runner};

/// The class of a task's resource demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// One CPU and nothing else. The fast path, through the deques of the threads.
    OneCpu,
    /// No resources. The task never waits for a CPU.
    Free,
    /// Any other demand, or a place in a placement group. The task waits in the claims until it is granted.
    Shaped,
}

/// The functions and properties of a task that depend on its types.
pub(crate) struct TaskVTable {
    /// Runs the body of an entry that the caller moved to `Running`, and writes the value if the body returns one.
    pub(crate) run: unsafe fn(NonNull<Header>, Runner<'_>) -> Ran,
    /// Drops the arguments of an entry that the caller moved to `Running` and will not run.
    pub(crate) drop_args: unsafe fn(NonNull<Header>),
    /// Calls the closure with each reference among the arguments. The entry is in `Waiting`, and its lock is held.
    pub(crate) each_dependency: unsafe fn(NonNull<Header>, &mut dyn FnMut(crate::call::arg::Dependency)),
    pub(crate) spec: &'static Spec,
    /// The class of an actor, for methods that every handle has: their specs do not name a class.
    pub(crate) class: Option<&'static Spec>,
    pub(crate) is_async: bool,
    pub(crate) kind: &'static TaskKind,
}

impl TaskVTable {
    /// The table without its type, for the table of the entry.
    pub(crate) const fn erased(&'static self) -> TaskTable {
        TaskTable::erase(self, |entry| {
            // SAFETY: an entry with a task's table is a task, and alive.
            let head = unsafe { TaskHead::of(entry.cast()) };
            About { name: head.vtable().spec.path(), actor: (head.vtable().kind.actor)(head) }
        })
    }

    /// The definition of the bodies that this table runs, with their measured times. Each type of closure and each instance of a
    /// generic item has one of its own.
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

    /// Adds the link of a task of this definition to an error.
    pub(crate) fn blame(&self, error: Error) -> Error {
        error.returned_by(self.spec.path()).in_task(&self.name(), self.spec.file(), self.spec.line())
    }
}

/// The differences between the kinds of tasks: a function's task, an actor's call, an actor's creation. The module `task`, the
/// scheduler and the waits use this table, and name no kind.
pub(crate) struct TaskKind {
    /// The name of the kind in reports, with its article.
    pub(crate) noun: &'static str,
    /// The entry is an actor's call or creation: it begins with the head of a call.
    pub(crate) of_actor: bool,
    /// `true`: a task that is ready is in the queue of its [class](Class), where any thread may take it. `false`: it is in a queue
    /// of its kind, behind others that must begin first.
    pub(crate) in_class_queue: bool,
    /// The reason, if the kind cannot be cancelled by force.
    pub(crate) refuses_force: Option<&'static str>,
    /// The actor that it is a call of, for events.
    pub(crate) actor: fn(&TaskHead) -> Option<ActorId>,
    /// Called when all arguments are ready.
    pub(crate) ready: fn(Hold),
    /// Called when the task has failed before it began, by an argument or by a cancellation. Tasks that are queued behind it go on.
    pub(crate) dependency_failed: fn(&TaskHead),
    /// Called by the thread that fails the task before it begins. The task leaves its queue, and gives back the resources that it was
    /// granted.
    pub(crate) leave_queue: fn(&TaskHead),
    /// The entry may fail as soon as the actor that hosts its body is dead, before the body ends. `false` for a creation: its runner
    /// fails it, and no reference reads it.
    pub(crate) fails_with_actor: bool,
    /// Set if the resources belong to an actor as long as it lives. None: the task has them while its body runs.
    pub(crate) for_life: Option<ForLife>,
    /// Called when an attempt has failed and is retried.
    pub(crate) requeue: fn(Runner<'_>, Hold),
    /// Runs the task on the thread of its getter, if that is allowed: only the given kinds of bodies, and tasks that must run
    /// before it while the closure returns `true`. `true`: a body was run.
    pub(crate) run_inline: fn(Runner<'_>, NonNull<Header>, Bodies, &dyn Fn() -> bool) -> bool,
    /// The blockers of a task whose arguments are ready; only those that it certainly waits for.
    pub(crate) blockers: fn(&Hold) -> Blockers,
    /// Called by the thread that has failed the task while its body runs: ends the waits of the body.
    pub(crate) stop_waits: fn(NonNull<Header>),
    /// The error of the waits in its body if the attempt was cut off and is retried, although the task has not failed.
    pub(crate) cut_off: fn(&Header) -> Option<Error>,
    /// The error of a task whose body, a future, has panicked with the given error.
    pub(crate) panicked: fn(NonNull<Header>, Error) -> Error,
}

/// The functions of a task whose resources belong to an actor as long as it lives.
pub(crate) struct ForLife {
    /// Returns the address of the actor.
    pub(crate) owner: fn(&TaskHead) -> usize,
    /// Called when the resources are granted.
    pub(crate) granted: fn(Hold),
    /// Called when the placement group of the actor was removed, with the error of that.
    pub(crate) group_removed: fn(&TaskHead, Error),
}

/// The outcome of running a body.
#[must_use]
pub(crate) enum Ran {
    /// The value was written.
    Value,
    Failed(Error),
    /// The body failed, its arguments were kept, and it is to be retried.
    Again,
    /// A future was spawned. It has a hold of its own, and settles the task.
    Spawned,
}

/// The beginning of the entry of a task or a call: the header and the fields that all kinds of tasks have.
#[repr(C)]
pub(crate) struct TaskHead {
    pub(crate) header: Header,
    /// The next one in its parent's list of children.
    pub(crate) sibling: AtomicPtr<Header>,
    /// The head of the list of its [`children`](crate::task::children) or, before it runs, of its [`edges`](crate::task::edges).
    pub(crate) children: AtomicPtr<Header>,
    pub(crate) child_count: AtomicU32,
    /// The number of failed attempts.
    pub(crate) attempts: AtomicU32,
    /// The settings, if they are not the defaults.
    extra: Option<Box<Extra>>,
    /// Whether a body has taken the arguments, or they were dropped.
    #[cfg(debug_assertions)]
    args_gone: std::sync::atomic::AtomicBool,
}

/// The rarely used part of a task.
pub(crate) struct Extra {
    pub(crate) settings: CallSettings,
    /// `fn(&Args) -> Args`, if the arguments are kept for a retry.
    pub(crate) keep: Option<Keep>,
    /// The items of the task, if it makes a stream.
    pub(crate) items: Option<AnyItems>,
    /// Whether resources were granted, which are to be given back at the end.
    pub(crate) granted: AtomicBool,
}

impl Extra {
    /// The settings of a task that is not retried and makes no stream.
    pub(crate) fn new(settings: CallSettings) -> Box<Self> {
        Box::new(Self { settings, keep: None, items: None, granted: false.into() })
    }

    /// The items of the task, if it makes a stream of this type.
    pub(crate) fn items_of<T: Send + Sync + 'static>(&self) -> Option<Arc<Items<T>>> {
        self.items.as_ref()?.typed()
    }
}

/// An erased `fn(&Args) -> Args`, of the task's own argument type.
#[derive(Clone, Copy)]
pub(crate) struct Keep(*const ());

// SAFETY: it is a function pointer, which any thread may have.
unsafe impl Send for Keep {}
// SAFETY: it is a function pointer, which does not change.
unsafe impl Sync for Keep {}

impl Keep {
    pub(crate) fn new<P>(keep: fn(&P) -> P) -> Self {
        Self(keep as *const ())
    }

    /// # Safety
    /// `P` is the type that was passed to `new`.
    pub(crate) unsafe fn get<P>(self) -> fn(&P) -> P {
        // SAFETY: `new` has made the pointer of an `fn(&P) -> P`, with the `P` that the caller names; function pointers survive the cast
        // to a raw pointer and back.
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
        // SAFETY: the entry of a task begins with a `TaskHead`; the caller guarantees that it is a task, and alive for `'a`.
        unsafe { entry.cast().as_ref() }
    }

    /// Called by the owner of the arguments before it takes them out or drops them. Checks, with debug assertions, that this happens
    /// once.
    #[inline]
    pub(crate) fn args_go(&self) {
        #[cfg(debug_assertions)]
        assert!(!self.args_gone.swap(true, Ordering::AcqRel), "the arguments of `{}` are taken or dropped twice", self.name());
    }

    /// Called before the memory is freed. Checks, with debug assertions, that the arguments were taken or dropped, not leaked.
    #[inline]
    pub(crate) fn check_args(&self) {
        #[cfg(debug_assertions)]
        assert!(self.args_gone.load(Ordering::Acquire), "`{}` is freed before its arguments", self.name());
    }

    #[inline]
    pub(crate) fn vtable(&self) -> &'static TaskVTable {
        let table = self.header.vtable.task.expect("a task's entry has a task's table");
        // SAFETY: only `TaskVTable::erased` makes tables of tasks, of a `TaskVTable`.
        unsafe { table.get() }
    }

    #[inline]
    pub(crate) fn extra(&self) -> Option<&Extra> {
        self.extra.as_deref()
    }

    /// The class of its resource demand.
    pub(crate) fn class(&self) -> Class {
        let is_async = self.vtable().is_async;
        match self.extra() {
            None if is_async => Class::Free,
            None => Class::OneCpu,
            Some(extra) if extra.settings.in_group().is_some() => Class::Shaped,
            Some(extra) if !is_async && extra.settings.resources.is_only_one_cpu() => Class::OneCpu,
            Some(extra) if extra.settings.resources.is_none() => Class::Free,
            Some(_) => Class::Shaped,
        }
    }

    /// The address of the actor that owns what the task is granted, if an actor does.
    pub(crate) fn owner(&self) -> Option<usize> {
        self.vtable().kind.for_life.as_ref().map(|for_life| (for_life.owner)(self))
    }

    /// Records whether the task has the resources that it asked for; returns whether it had them before.
    pub(crate) fn mark_granted(&self, granted: bool) -> bool {
        self.extra().is_some_and(|extra| extra.granted.swap(granted, Ordering::AcqRel))
    }

    /// The name of the task in errors and reports.
    pub(crate) fn name(&self) -> Cow<'_, str> {
        let given = self.extra().and_then(|extra| extra.settings.name.as_deref());
        given.map_or_else(|| self.vtable().name(), Cow::Borrowed)
    }

    /// Adds this task's link to an error.
    pub(crate) fn blame(&self, error: Error) -> Error {
        let spec = self.vtable().spec;
        error.returned_by(spec.path()).in_task(&self.name(), spec.file(), spec.line())
    }

    /// Whether to retry a call that was cut off because its actor has crashed and restarts. Counts the failed attempt if so.
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

    /// Whether to retry after a failed attempt. Counts the attempt if so.
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
    /// The head of a task; none for an entry of another kind.
    pub(crate) fn task(&self) -> Option<&TaskHead> {
        // SAFETY: only an entry of a task has a task's table. It begins with a `TaskHead`, which begins with the header, and lives as
        // long as `self`.
        self.vtable.task.as_ref().map(|_| unsafe { TaskHead::of(NonNull::from(self)) })
    }
}

/// Moves a task back to `Queued`, for a retry. `true`: the caller queues the task. `false`: it was cancelled meanwhile, and the
/// arguments that were kept are dropped.
///
/// # Safety
/// The caller ran the attempt, and the arguments were kept.
#[must_use]
pub(crate) unsafe fn begins_again(task: &Hold) -> bool {
    let again = task.state.step(Phase::Running, Phase::Queued);
    if !again {
        // SAFETY: the caller was the runner, which owns the arguments; the canceller of a running task does not drop them.
        unsafe { (TaskHead::of(task.entry()).vtable().drop_args)(task.entry()) };
    }
    again
}
