//! The way of a call to a queue: hops 2 to 4 of *The ten hops of a call* in ARCHITECTURE.md.

use crate::base::config::Mode;
use crate::base::inherited;
use crate::engine::{capture, queue, remote, trace};
use std::fmt::Display;

use crate::base::call_options::{CallOptions, CallSettings};
use crate::base::error::{Error, Result};
use crate::base::id::NodeId;
use crate::base::placement::{InGroup, Placement};
use crate::base::resources::{Resources, UNITS};
use crate::call::arg::ArgList;
use crate::call::function::{ArgsOf, Function, FunctionCall};
use crate::call::refs::Refs;
use crate::engine::engine::Engine;
use crate::engine::task_cell::{Body, FunctionBody, TaskCell};
use crate::engine::thread;
use crate::engine::thread_state::ThreadState;
use crate::object::entry::Hold;
use crate::object::events;
use crate::object::kind::Kind;
use crate::object::object_ref::ObjectRef;
use crate::object::state::Phase;
use crate::task::head::{Class, Extra, Keep, TaskHead};
use crate::task::{children, dependency};

/// Submits a task. This is hop 2, the last generic function.
#[inline]
pub fn submit<F: Function>(args: ArgsOf<F>) -> F::Refs {
    F::Refs::from_whole(submit_plain::<F>(args))
}

/// Submits a task without a reference to its result; a failure is logged.
#[inline]
pub fn tell<F: Function>(args: ArgsOf<F>) {
    forget::<F>(submit_plain::<F>(args));
}

/// Drops the reference of a submission.
#[inline]
pub(crate) fn forget<F: Function>(whole: ObjectRef<F::Output>) {
    if F::STREAM.is_some() {
        // The stream must learn that its items are not needed.
        drop(F::Refs::from_whole(whole));
    } else {
        drop(whole);
    }
}

/// Like [`submit`], but returns an error if the task cannot be submitted.
///
/// # Errors
/// The errors with which the reference of [`submit`] would have failed at once: options out of range, more resources than the node
/// has, an argument that has failed, an engine that has ended.
pub fn try_submit<F: Function>(args: ArgsOf<F>) -> Result<F::Refs> {
    let whole = submit_plain::<F>(args);
    refuse_failed(&whole)?;
    Ok(F::Refs::from_whole(whole))
}

/// Returns the error of a reference that was made as failed.
pub(crate) fn refuse_failed<T>(object: &ObjectRef<T>) -> Result<()> {
    if object.header().vtable.kind == Kind::Put && object.header().phase() == Phase::Failed {
        return Err(object.seen_error());
    }
    Ok(())
}

/// The facts about a function's attribute that are constants.
struct Known<F>(std::marker::PhantomData<F>);

impl<F: Function> Known<F> {
    const OPTIONS: &'static crate::base::options::TaskOptions = &F::OPTIONS;
    /// Whether the attribute sets no option, so that calls take the fast path.
    const PLAIN: bool = Self::OPTIONS.is_silent() && F::RETRY.is_none() && F::STREAM.is_none();
}

const fn default_cpu<F: Function>() -> u64 {
    match F::CALL {
        FunctionCall::Sync(_) => UNITS,
        FunctionCall::Async(_) => 0,
    }
}

/// Submits a function's task without options of its own.
#[inline]
pub(crate) fn submit_plain<F: Function>(args: ArgsOf<F>) -> ObjectRef<F::Output> {
    if Known::<F>::PLAIN {
        let class = if const { default_cpu::<F>() } == 0 { Class::Free } else { Class::OneCpu };
        return submit_body::<FunctionBody<F>>(args, class, None);
    }
    submit_with::<F>(args, None, None)
}

/// Submits a task with options; `keep` clones the arguments if the options of the caller allow retries.
#[cold]
pub(crate) fn submit_with<F: Function>(
    args: ArgsOf<F>,
    options: Option<CallOptions>,
    keep: Option<Keep>,
) -> ObjectRef<F::Output> {
    let settings = match options.unwrap_or_default().over_task(Known::<F>::OPTIONS, default_cpu::<F>()) {
        Ok(settings) => settings,
        Err(error) => return ObjectRef::failed(blame::<FunctionBody<F>>(error), crate::base::epoch::current()),
    };
    let keep = keep.or(F::RETRY.map(|retry| Keep::new(retry.0)));
    submit_settings::<FunctionBody<F>>(args, settings, keep)
}

/// Submits a body with checked settings.
pub(crate) fn submit_settings<B: Body>(args: B::Args, settings: CallSettings, keep: Option<Keep>) -> ObjectRef<B::Output> {
    let class = if settings.in_group().is_some() {
        Class::Shaped
    } else if !B::IS_ASYNC && settings.resources.is_only_one_cpu() {
        Class::OneCpu
    } else if settings.resources.is_none() {
        Class::Free
    } else {
        Class::Shaped
    };
    let keep = keep.filter(|_| !settings.retry_on.is_never() && settings.max_retries != 0);
    let items = B::STREAM.map(|stream| stream.make(settings.backpressure));
    submit_body::<B>(args, class, Some(Box::new(Extra { settings, keep, items, granted: false.into() })))
}

fn blame<B: Body>(error: Error) -> Error {
    error.in_task(B::SPEC.name(), B::SPEC.file(), B::SPEC.line())
}

/// Makes the task and passes it to the engine.
#[inline]
fn submit_body<B: Body>(args: B::Args, class: Class, extra: Option<Box<Extra>>) -> ObjectRef<B::Output> {
    let state = match thread::current() {
        Ok(state) => state,
        Err(error) => return ObjectRef::failed(blame::<B>(error), crate::base::epoch::current()),
    };
    let args = if state.engine.settings.checks_submissions {
        if let Some(executor) = &state.engine.executor {
            return remote::submit::<B>(state, executor, &args, extra);
        }
        match checked::<B>(&state.engine, args, class) {
            Ok(args) => args,
            Err(error) => return ObjectRef::failed(blame::<B>(error), state.epoch),
        }
    } else {
        args
    };
    if let Some(extra) = &extra
        && (class == Class::Shaped || extra.settings.placement.is_some())
        && let Err(error) = feasible(
            &state.engine,
            &extra.settings.resources,
            extra.settings.placement.as_deref(),
            &format_args!("`{}`", B::SPEC.name()),
        )
    {
        return ObjectRef::failed(blame::<B>(error), state.epoch);
    }
    if inherited::is_used() {
        return enter_inheriting::<B>(state, args, class, extra);
    }
    enter::<B>(state, args, class, extra)
}

/// As [`enter`], for a task that may inherit something. Apart from it, so that the class of other tasks remains a constant there.
#[cold]
#[inline(never)]
fn enter_inheriting<B: Body>(
    state: &ThreadState,
    args: B::Args,
    class: Class,
    extra: Option<Box<Extra>>,
) -> ObjectRef<B::Output> {
    match inherit(state, class, extra, B::SPEC.name()) {
        Ok((class, extra)) => enter::<B>(state, args, class, extra),
        Err(error) => ObjectRef::failed(blame::<B>(error), state.epoch),
    }
}

/// Makes the task, and puts it into its queue when its arguments are ready.
#[inline]
fn enter<B: Body>(state: &ThreadState, args: B::Args, class: Class, extra: Option<Box<Extra>>) -> ObjectRef<B::Output> {
    let plain = args.is_plain();
    let phase = if plain { Phase::Queued } else { Phase::Waiting };
    let parent = state.frame().and_then(|frame| frame.entry);
    let entry = TaskCell::<B>::allocate(args, state.epoch, phase, parent.is_some(), extra);
    // SAFETY: this thread has just made the entry, and the parent's body runs on this thread.
    unsafe { events::submitted(entry, parent, plain) };
    if let Some(parent) = parent {
        // SAFETY: the parent's body runs on this thread, so it is alive; `allocate` counted a hold of the child for the parent's
        // list.
        unsafe { children::adopt(TaskHead::of(parent), entry) };
    }
    // SAFETY: `allocate` counted one ref and one hold for these two, and they are adopted once.
    let (object, hold) = unsafe { (ObjectRef::adopt(entry), Hold::adopt(entry)) };
    if plain {
        queue::enqueue(state, hold, class);
    } else {
        // SAFETY: the entry was made in `Waiting`, and `register` reads the arguments under the lock, if they still exist.
        wait_for_arguments(state, hold, unsafe { TaskCell::<B>::args(entry) });
    }
    if B::IS_ASYNC || class != Class::OneCpu {
        return object;
    }
    state.tip.submitted(entry);
    object
}

/// Checks that the node can run the task, and in strict mode encodes and decodes the arguments.
#[cold]
fn checked<B: Body>(engine: &Engine, args: B::Args, class: Class) -> Result<B::Args> {
    if class == Class::OneCpu {
        engine.total().check_covers(&Resources::ONE_CPU, &format_args!("`{}`", B::SPEC.name()))?;
    }
    if engine.settings.mode == Mode::Embedded {
        return Ok(args);
    }
    match B::CODEC {
        Some(codec) => codec.renew_args(args),
        None => {
            let spec = B::SPEC;
            crate::base::log::strict_listing(&format!(
                "{} ({}:{}) is local: its values are not checked, and a cluster refuses it",
                spec.path(),
                spec.file(),
                spec.line()
            ));
            Ok(args)
        }
    }
}

/// What a task gets from the body that submits it: a placement group, and the trace context.
#[cold]
fn inherit(state: &ThreadState, class: Class, mut extra: Option<Box<Extra>>, name: &str) -> Result<(Class, Option<Box<Extra>>)> {
    let settings = || CallSettings {
        resources: if class == Class::OneCpu { Resources::ONE_CPU } else { Resources::NONE },
        ..CallSettings::none()
    };
    let mut placement = extra.as_ref().and_then(|extra| extra.settings.placement.clone());
    let class = if capture::capture(state, &mut placement) {
        let settings = &mut extra.get_or_insert_with(|| Extra::new(settings())).settings;
        settings.placement = placement;
        feasible(&state.engine, &settings.resources, settings.placement.as_deref(), &format_args!("`{name}`"))?;
        Class::Shaped
    } else {
        class
    };
    Ok((class, trace::attach(state, extra, settings)))
}

/// Returns an error if the node or the placement group does not have what the work demands, or is not a place where it may run.
#[cold]
pub(crate) fn feasible(engine: &Engine, demand: &Resources, placement: Option<&Placement>, who: &dyn Display) -> Result<()> {
    let Some(placement) = placement else { return engine.total().check_covers(demand, who) };
    match placement.in_group() {
        None => engine.total().check_covers(demand, who)?,
        Some(InGroup { group, bundle, .. }) => {
            if group.epoch != engine.epoch {
                return Err(crate::base::epoch::gone("the placement group ended with it"));
            }
            group.check(bundle, demand, who)?;
            engine.groups.open(group)?;
        }
    }
    placement.check(NodeId::of_process(), &engine.settings.labels, who)
}

#[cold]
fn wait_for_arguments(state: &ThreadState, task: Hold, args: &impl ArgList) {
    match dependency::register(&task, args) {
        Ok(true) => queue::ready_on(state, task),
        Ok(false) => {
            // The thread that settles the last argument queues this task.
        }
        Err(error) => {
            let error = match task.task() {
                Some(head) => dependency::failed_argument(head, error),
                None => error,
            };
            task.abort(error);
        }
    }
}
