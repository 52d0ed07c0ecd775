//! A task's one allocation: header, value, arguments.

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
use crate::engine::thread_state::ThreadState;
use crate::object::block;
use crate::object::entry::{Header, VTable};
use crate::object::kind::{Kind, ValueType};
use crate::object::state::{Phase, State};
use crate::task::head::{Extra, Ran, TaskHead, TaskVTable};

/// What a body does when it is started.
pub(crate) enum Started<R> {
    Ended(Outcome<R>),
    Future(BoxFuture<'static, Outcome<R>>),
}

/// What a task runs: a remote function, or a closure.
pub(crate) trait Body: 'static {
    type Args: ArgList + Send + 'static;
    type Output: Send + Sync + 'static;
    const SPEC: &'static Spec;
    const IS_ASYNC: bool;
    const CODEC: Option<Codec<Self::Args, Self::Output>>;
    const ERROR: Option<ErrorCodec> = None;
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
    #[inline]
    fn start(args: ArgsOf<F>) -> Started<F::Output> {
        match F::CALL {
            FunctionCall::Sync(body) => Started::Ended(body(args)),
            FunctionCall::Async(body) => Started::Future(body(args)),
        }
    }
}

/// Of all closures; each closure type has an instance of its own.
static CLOSURE: Spec = Spec::new("closure", "ray::task", 0).local();

/// A closure as a body; it is its own argument.
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

/// The allocation.
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
        wanted: None,
        drop_value: Self::drop_value,
        free: Self::free,
        task: Some(Self::TASK.erased()),
    };

    /// A task in `phase` with one ref, one hold beside the refs', and one more if `child`.
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

    /// The arguments of a task that nobody else can start now.
    ///
    /// # Safety
    /// The entry is a fresh cell of this type that has not been shared, or is in `Waiting` by the caller's doing.
    pub(crate) unsafe fn args<'a>(entry: NonNull<Header>) -> &'a B::Args {
        // SAFETY: the caller's promise.
        unsafe { (*entry.cast::<Self>().as_ref().args.get()).assume_init_ref() }
    }

    unsafe fn run(entry: NonNull<Header>, runner: Runner<'_>) -> Ran {
        let state = ThreadState::of(runner);
        // SAFETY: an entry with this table is such a cell; the caller claimed it, so the arguments are ours.
        let cell = unsafe { entry.cast::<Self>().as_ref() };
        let keep = cell.head.extra().and_then(|extra| extra.keep);
        let args = match keep {
            None => {
                cell.head.args_go();
                // SAFETY: as above; nobody reads them again.
                unsafe { (*cell.args.get()).assume_init_read() }
            }
            Some(keep) => {
                // SAFETY: as above; they stay for another attempt, and the table's type is the one Keep was made with.
                let clone = || unsafe { keep.get::<B::Args>()((*cell.args.get()).assume_init_ref()) };
                match crate::base::unwind::catch(clone) {
                    Ok(args) => args,
                    Err(error) => {
                        // SAFETY: the arguments are still ours.
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
                // SAFETY: the body is over, the attempt is still ours.
                unsafe { Self::end(entry, outcome, state.engine.settings.mode == Mode::Strict) }
            }
            Started::Future(future) => {
                // SAFETY: running by our doing; `end` is called once, by the future's end.
                unsafe { crate::engine::future::spawn(state, entry, future, Self::end) };
                Ran::Spawned
            }
        }
    }

    /// Takes a body's outcome in: writes the value, or says how it failed, and lets go of kept arguments.
    ///
    /// # Safety
    /// The caller runs the entry.
    unsafe fn end(entry: NonNull<Header>, outcome: Outcome<B::Output>, strict: bool) -> Ran {
        // SAFETY: as in `run`.
        let cell = unsafe { entry.cast::<Self>().as_ref() };
        let outcome = if strict { strictly::<B>(outcome) } else { outcome };
        let kept = cell.head.extra().is_some_and(|extra| extra.keep.is_some());
        match outcome {
            Ok(value) => {
                // SAFETY: the runner alone writes the value, before it is published.
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
                    // SAFETY: the runner's, and there is no other attempt.
                    unsafe { Self::drop_args(entry) };
                }
                Ran::Failed(error)
            }
        }
    }

    unsafe fn each_dependency(entry: NonNull<Header>, see: &mut dyn FnMut(Dependency)) {
        // SAFETY: the arguments are there and stay while the caller looks.
        unsafe { Self::args(entry) }.each_dependency(see);
    }

    unsafe fn drop_args(entry: NonNull<Header>) {
        // SAFETY: the caller owns the arguments.
        unsafe {
            let cell = entry.cast::<Self>().as_ref();
            cell.head.args_go();
            let args = cell.args.get();
            crate::base::users_code::quietly(|| (*args).assume_init_drop());
        }
    }

    unsafe fn drop_value(entry: NonNull<Header>) {
        // SAFETY: the caller owns the value.
        unsafe {
            let value = entry.cast::<Self>().as_ref().value.get();
            crate::base::users_code::quietly(|| (*value).assume_init_drop());
        }
    }

    unsafe fn free(entry: NonNull<Header>) {
        // SAFETY: the last hold is gone; value and arguments are, too.
        unsafe {
            entry.cast::<Self>().as_ref().head.check_args();
            block::remove(entry.cast::<Self>());
        }
    }
}

/// The outcome, encoded and decoded where the body has a codec.
fn strictly<B: Body>(outcome: Outcome<B::Output>) -> Outcome<B::Output> {
    let Some(codec) = B::CODEC else { return outcome };
    strict_outcome(outcome, &codec, B::ERROR, B::SPEC)
}

/// The result, encoded and decoded; an error as it would arrive in another process.
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
