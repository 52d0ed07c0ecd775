//! The one allocation of a task: header, value, arguments.
//!
//! The thread that moves the task to `Running` owns the arguments and the place of the value until it settles the task. A canceller
//! of a task that has not started owns and drops the arguments (`task::abort`).

use crate::base::config::Mode;
use crate::engine::task_kind::TASK;
use crate::task::runner::Runner;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, offset_of};
use std::ptr::NonNull;

use crate::base::error::Arrived;
use crate::base::error::conversion::ErrorCodec;
use crate::call::arg::{ArgList, Closure, Dependency};
use crate::call::codec::Codec;
use crate::call::flatten::Finish;
use crate::call::function::{ArgsOf, BoxFuture, Function, FunctionCall, Outcome};
use crate::call::spec::Spec;
use crate::call::stream_spec::StreamSpec;
use crate::engine::thread_state::ThreadState;
use crate::object::block;
use crate::object::entry::{Header, VTable};
use crate::object::kind::{Kind, ValueType};
use crate::object::state::{Phase, State};
use crate::task::head::{Extra, Ran, TaskHead, TaskVTable};

/// The result of starting a body.
pub(crate) enum Started<R> {
    Ended(Outcome<R>),
    Future(BoxFuture<'static, Outcome<R>>),
}

/// The body of a task: a remote function, or a closure.
pub(crate) trait Body: 'static {
    type Args: ArgList + Send + 'static;
    type Output: Send + Sync + 'static;
    const SPEC: &'static Spec;
    const IS_ASYNC: bool;
    const CODEC: Option<Codec<Self::Args, Self::Output>>;
    const ERROR: Option<ErrorCodec> = None;
    const STREAM: Option<StreamSpec> = None;
    fn start(args: Self::Args) -> Started<Self::Output>;
}

/// A remote function as a body.
pub(crate) struct FunctionBody<F>(PhantomData<F>);

impl<F: Function> Body for FunctionBody<F> {
    type Args = ArgsOf<F>;
    type Output = F::Output;
    const SPEC: &'static Spec = F::SPEC;
    const IS_ASYNC: bool = matches!(F::CALL, FunctionCall::Async(_));
    const CODEC: Option<Codec<ArgsOf<F>, F::Output>> = F::CODEC;
    const ERROR: Option<ErrorCodec> = F::ERROR;
    const STREAM: Option<StreamSpec> = F::STREAM;
    #[inline]
    fn start(args: ArgsOf<F>) -> Started<F::Output> {
        match F::CALL {
            FunctionCall::Sync(body) => Started::Ended(body(args)),
            FunctionCall::Async(body) => Started::Future(body(args)),
        }
    }
}

/// The definition that all closures share.
static CLOSURE: Spec = Spec::new("closure", "ray::task", 0).local();

/// A closure as a body; the closure is the only argument.
pub(crate) struct ClosureBody<C, R, T, F>(PhantomData<C>, PhantomData<R>, PhantomData<T>, PhantomData<F>);

impl<C, R, T, F> Body for ClosureBody<C, R, T, F>
where
    C: FnOnce() -> R + Send + 'static,
    R: 'static,
    T: Send + Sync + 'static,
    F: Finish<R, T>,
{
    type Args = (Closure<C>,);
    type Output = T;
    const SPEC: &'static Spec = &CLOSURE;
    const IS_ASYNC: bool = false;
    const CODEC: Option<Codec<Self::Args, T>> = None;
    fn start((closure,): Self::Args) -> Started<T> {
        Started::Ended(F::finish((closure.0)()))
    }
}

/// The allocation of a task, which begins with its head.
#[repr(C)]
pub(crate) struct TaskCell<B: Body> {
    head: TaskHead,
    value: UnsafeCell<MaybeUninit<B::Output>>,
    args: UnsafeCell<MaybeUninit<B::Args>>,
}

impl<B: Body> TaskCell<B> {
    const TASK: &'static TaskVTable = &TaskVTable {
        run: Self::run,
        drop_args: Self::drop_args,
        each_dependency: Self::each_dependency,
        spec: B::SPEC,
        class: None,
        is_async: B::IS_ASYNC,
        kind: &TASK,
    };

    const TABLE: &'static VTable = &VTable {
        value: offset_of!(Self, value),
        adopted: false,
        holds: ValueType::of::<B::Output>(),
        nested: std::mem::needs_drop::<B::Output>(),
        kind: Kind::Task,
        remote: None,
        drop_value: Self::drop_value,
        free: Self::free,
        task: Some(Self::TASK.erased()),
    };

    /// Allocates a task in `phase` with one ref, one hold for the queue, and one more hold if it is a `child`.
    #[inline]
    pub(crate) fn allocate(args: B::Args, epoch: u32, phase: Phase, child: bool, extra: Option<Box<Extra>>) -> NonNull<Header> {
        let state = State::new(phase, 1, 1 + u64::from(child));
        let cell = Self {
            head: TaskHead::new(Header::new(state, Self::TABLE, epoch), extra),
            value: UnsafeCell::new(MaybeUninit::uninit()),
            args: UnsafeCell::new(MaybeUninit::new(args)),
        };
        block::place(cell).cast()
    }

    /// The arguments of a task that has not started.
    ///
    /// # Safety
    /// The entry is a cell of this type, in `Waiting` or not yet shared. The caller reads the arguments only before the entry is
    /// shared, or under a lock that keeps a canceller from dropping them.
    pub(crate) unsafe fn args<'a>(entry: NonNull<Header>) -> &'a B::Args {
        // SAFETY: the caller guarantees that this is such a cell, and reads the arguments only while nothing can take or drop them.
        unsafe { (*entry.cast::<Self>().as_ref().args.get()).assume_init_ref() }
    }

    unsafe fn run(entry: NonNull<Header>, runner: Runner<'_>) -> Ran {
        let state = ThreadState::of(runner);
        // SAFETY: an entry with this table is a `TaskCell<B>`. The caller claimed it, so this thread owns the arguments.
        let cell = unsafe { entry.cast::<Self>().as_ref() };
        let keep = cell.head.extra().and_then(|extra| extra.keep);
        let args = match keep {
            None => {
                cell.head.args_go();
                // SAFETY: this thread owns the arguments, and they are read out once: without `keep` there is no other attempt.
                unsafe { (*cell.args.get()).assume_init_read() }
            }
            Some(keep) => {
                // SAFETY: this thread owns the arguments, which stay in the cell for another attempt; `keep` was made for
                // `B::Args`.
                let clone = || unsafe { keep.get::<B::Args>()((*cell.args.get()).assume_init_ref()) };
                match crate::base::unwind::catch(clone) {
                    Ok(args) => args,
                    Err(error) => {
                        // SAFETY: this thread owns the arguments, and `keep` has only borrowed them.
                        unsafe { Self::drop_args(entry) };
                        return Ran::Failed(error);
                    }
                }
            }
        };
        let started = match crate::base::unwind::catch(|| B::start(args)) {
            Ok(started) => started,
            Err(panic) => Started::Ended(Err(panic)),
        };
        match started {
            Started::Ended(outcome) => {
                // SAFETY: the body has ended, and this thread still runs the attempt.
                unsafe { Self::end(entry, outcome, state.engine.settings.mode == Mode::Strict) }
            }
            Started::Future(future) => {
                // SAFETY: the caller moved the entry to `Running`; `Self::end` is the function for this type of cell, and the
                // future calls it once.
                unsafe { crate::engine::future::spawn(state, entry, future, Self::end) };
                Ran::Spawned
            }
        }
    }

    /// Ends a body with its outcome: writes the value, or decides between failure and retry, and drops kept arguments after the
    /// last attempt.
    ///
    /// # Safety
    /// The entry is a cell of this type, and the caller runs its attempt.
    unsafe fn end(entry: NonNull<Header>, outcome: Outcome<B::Output>, strict: bool) -> Ran {
        // SAFETY: the caller guarantees that the entry is a `TaskCell<B>`, and alive.
        let cell = unsafe { entry.cast::<Self>().as_ref() };
        let outcome = if strict { strictly::<B>(outcome) } else { outcome };
        let kept = cell.head.extra().is_some_and(|extra| extra.keep.is_some());
        match outcome {
            Ok(value) => {
                // SAFETY: the thread that runs the attempt alone writes the value, before it is published, and owns kept arguments.
                unsafe {
                    (*cell.value.get()).write(value);
                    if kept {
                        Self::drop_args(entry);
                    }
                }
                Ran::Value
            }
            Err(error) => {
                if cell.head.may_retry(&error) {
                    return Ran::Again;
                }
                if kept {
                    // SAFETY: the thread that runs the attempt owns the kept arguments, and no other attempt follows.
                    unsafe { Self::drop_args(entry) };
                }
                Ran::Failed(error)
            }
        }
    }

    unsafe fn each_dependency(entry: NonNull<Header>, see: &mut dyn FnMut(Dependency)) {
        // SAFETY: the caller of the table's function guarantees that the arguments exist until this returns.
        unsafe { Self::args(entry) }.each_dependency(see);
    }

    unsafe fn drop_args(entry: NonNull<Header>) {
        // SAFETY: the caller of the table's function owns the arguments and calls this once; the entry is a `TaskCell<B>`.
        unsafe {
            let cell = entry.cast::<Self>().as_ref();
            cell.head.args_go();
            let args = cell.args.get();
            crate::base::users_code::quietly(|| (*args).assume_init_drop());
        }
    }

    unsafe fn drop_value(entry: NonNull<Header>) {
        // SAFETY: the caller of the table's function owns the value and calls this once; the entry is a `TaskCell<B>`.
        unsafe {
            let value = entry.cast::<Self>().as_ref().value.get();
            crate::base::users_code::quietly(|| (*value).assume_init_drop());
        }
    }

    unsafe fn free(entry: NonNull<Header>) {
        // SAFETY: the last hold is gone, so no thread refers to the cell; its value and arguments were dropped or taken before.
        unsafe {
            entry.cast::<Self>().as_ref().head.check_args();
            block::remove(entry.cast::<Self>());
        }
    }
}

/// The outcome, encoded and decoded if the body has a codec.
fn strictly<B: Body>(outcome: Outcome<B::Output>) -> Outcome<B::Output> {
    let Some(codec) = B::CODEC else { return outcome };
    strict_outcome(outcome, &codec, B::ERROR, B::SPEC)
}

/// The result encoded and decoded, or the error as it would arrive in another process.
pub(crate) fn strict_outcome<P, R>(
    outcome: Outcome<R>,
    codec: &Codec<P, R>,
    errors: Option<ErrorCodec>,
    spec: &'static Spec,
) -> Outcome<R> {
    match outcome {
        Ok(value) => codec.renew_result(value),
        Err(error) => {
            let Arrived { error, lost } = error.encode().arrive(errors);
            if let Some(name) = lost {
                crate::base::log::strict_listing(&format!(
                    "{} ({}:{}) fails with a `{name}`, which another process cannot decode: on a cluster it travels as its text",
                    spec.path(),
                    spec.file(),
                    spec.line()
                ));
            }
            Err(error)
        }
    }
}
