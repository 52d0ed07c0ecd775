//! The one allocation of a call that has a reference: as a task's, with the actor and the caller.

use crate::base::config::Mode;
use crate::base::error::conversion::ErrorCodec;
use std::cell::UnsafeCell;
use std::mem::{MaybeUninit, needs_drop, offset_of};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::actor::call::{CallHead, CallHold};
use crate::actor::cell::ActorCell;
use crate::actor::class::{Actor, ActorClass};
use crate::actor::head::ActorHold;
use crate::actor::{async_constructor, checkpoint, concurrent, lifecycle};
use crate::base::concurrency_group::Group;
use crate::base::error::Error;
use crate::call::arg::{ArgList, Dependency};
use crate::call::codec::Codec;
use crate::call::function::{BoxFuture, Outcome};
use crate::call::spec::Spec;
use crate::call::stream_spec::StreamSpec;
use crate::engine::task_cell::strict_outcome;
use crate::engine::thread_state::ThreadState;
use crate::object::block;
use crate::object::entry::{Header, Hold, VTable};
use crate::object::kind::{Kind, ValueType};
use crate::object::state::{Phase, State};
use crate::task::head::{Extra, Keep, Ran, TaskHead, TaskKind, TaskVTable};
use crate::task::runner::Runner;

/// The result of the start of a body.
pub(crate) enum Started<R> {
    Ended(Outcome<R>),
    Future(BoxFuture<'static, Outcome<R>>),
}

/// A body that runs on an actor's instance.
pub(crate) trait CallBody: 'static {
    type Class: Actor;
    type Args: ArgList + Send + 'static;
    type Output: Send + Sync + 'static;
    const SPEC: &'static Spec;
    /// The table of the kind of call. Its `of_actor` is set.
    const KIND: &'static TaskKind;
    /// Every handle has the method, so its spec does not name the class.
    const OF_HANDLES: bool = false;
    /// No other body may use the instance while this one runs.
    const EXCLUSIVE: bool;
    /// The body may change the instance, so checkpoints follow such calls.
    const CHANGES: bool = false;
    /// The body makes the instance.
    const CREATES: bool = false;
    const IS_ASYNC: bool = false;
    /// The concurrency group of a call without one of its own.
    const GROUP: Option<Group> = None;
    const CODEC: Option<Codec<Self::Args, Self::Output>>;
    const ERROR: Option<ErrorCodec> = None;
    const STREAM: Option<StreamSpec> = None;
    /// # Safety
    /// `place` is an instance of the class, or free memory for one if the body creates it. Until the body is over, its
    /// future included, no other code uses the place, except for other bodies that are not `EXCLUSIVE` if this one is not.
    unsafe fn start(place: *mut Self::Class, args: Self::Args) -> Started<Self::Output>;
}

/// See the [module](self).
#[repr(C)]
pub(crate) struct CallCell<B: CallBody> {
    head: CallHead,
    value: UnsafeCell<MaybeUninit<B::Output>>,
    args: UnsafeCell<MaybeUninit<B::Args>>,
}

/// What a new call is made of, apart from its arguments.
pub(crate) struct Origin {
    pub(crate) actor: ActorHold,
    pub(crate) caller: u64,
    pub(crate) phase: Phase,
    /// A list of children will hold the call.
    pub(crate) child: bool,
    /// The call has no reference.
    pub(crate) unread: bool,
    /// The number of the concurrency group.
    pub(crate) group: u8,
    pub(crate) extra: Option<Box<Extra>>,
}

impl<B: CallBody> CallCell<B> {
    pub(super) const TASK: &'static TaskVTable = &TaskVTable {
        run: Self::run,
        drop_args: Self::drop_args,
        each_dependency: Self::each_dependency,
        spec: B::SPEC,
        class: if B::OF_HANDLES { Some(<B::Class as Actor>::SPEC) } else { None },
        is_async: B::IS_ASYNC,
        kind: B::KIND,
    };

    const TABLE: &'static VTable = &VTable {
        value: offset_of!(Self, value),
        adopted: false,
        holds: ValueType::of::<B::Output>(),
        nested: needs_drop::<B::Output>(),
        kind: Kind::Task,
        remote: None,
        drop_value: Self::drop_value,
        free: Self::free,
        task: Some(Self::TASK.erased()),
    };

    /// Allocates a call with one hold for the caller, one for the list of children if it is a child, and one reference
    /// unless it is unread.
    #[inline]
    pub(crate) fn allocate(origin: Origin, args: B::Args) -> CallHold {
        const { assert!(B::KIND.of_actor, "the entry begins with a CallHead") };
        let holds = 1 + u64::from(origin.child);
        let state = if origin.unread { State::unread(origin.phase, holds) } else { State::new(origin.phase, 1, holds) };
        let epoch = origin.actor.epoch;
        let cell = Self {
            head: CallHead {
                task: TaskHead::new(Header::new(state, Self::TABLE, epoch), origin.extra),
                actor: origin.actor,
                caller: origin.caller,
                exclusive: B::EXCLUSIVE,
                creates: B::CREATES,
                group: origin.group,
                cut_off: AtomicBool::new(false),
            },
            value: UnsafeCell::new(MaybeUninit::uninit()),
            args: UnsafeCell::new(MaybeUninit::new(args)),
        };
        // SAFETY: the entry is a call, and the state counts a hold for the caller.
        unsafe { CallHold::of_call(Hold::adopt(block::place(cell).cast())) }
    }

    /// # Safety
    /// The entry is a call of this type, and alive for `'a`. No other thread can start it, or it is in `Waiting` and the
    /// caller has its lock.
    pub(crate) unsafe fn args<'a>(entry: NonNull<Header>) -> &'a B::Args {
        // SAFETY: the caller guarantees the type, and that no thread takes the arguments out.
        unsafe { (*entry.cast::<Self>().as_ref().args.get()).assume_init_ref() }
    }

    /// # Safety
    /// As [`TaskVTable::run`]; the caller has the instance, as `EXCLUSIVE` says.
    unsafe fn run(entry: NonNull<Header>, runner: Runner<'_>) -> Ran {
        let state = ThreadState::of(runner);
        // SAFETY: an entry with this table is a call of this type, and the caller keeps it alive while it runs.
        let cell = unsafe { entry.cast::<Self>().as_ref() };
        let actor = cell.head.actor.head();
        let args = match cell.head.task.extra().and_then(|extra| extra.keep) {
            None => {
                cell.head.task.args_go();
                // SAFETY: the caller has moved the entry to `Running`, and so owns the arguments. No thread reads them
                // after this.
                unsafe { (*cell.args.get()).assume_init_read() }
            }
            // SAFETY: the caller runs the entry, and the body has not begun.
            Some(keep) => match unsafe { Self::clone_args(entry, keep) } {
                Ok(args) => args,
                Err(error) => return Ran::Failed(error),
            },
        };
        // SAFETY: the actor's cell is of this class, since a `CallBody` is called through a handle or link of its class;
        // the caller has the instance.
        let started = crate::base::unwind::catch(|| unsafe { B::start(ActorCell::<B::Class>::instance(actor), args) });
        match started {
            Ok(Started::Ended(outcome)) => {
                // SAFETY: the body is over, and this thread runs the entry.
                unsafe { Self::end(entry, outcome, state.engine.settings.mode == Mode::Strict) }
            }
            Ok(Started::Future(future)) if B::CREATES => {
                // SAFETY: the entry is a creation, alive while it runs.
                let creation = unsafe { CallHold::of_call(Hold::new(entry)) };
                // SAFETY: the caller is the runner of the actor, whose constructor this is, and returns `Spawned`. `end` is
                // called once, at the future's end.
                unsafe { async_constructor::spawn(state, creation, future, Self::end) };
                Ran::Spawned
            }
            Ok(Started::Future(future)) => {
                // SAFETY: the entry is a call, alive while it runs.
                let over = concurrent::over(unsafe { CallHold::of_call(Hold::new(entry)) });
                // SAFETY: this thread runs the entry. `end` is called once, at the future's end; `over` gives the slot back
                // after the future was dropped, so the instance outlives the future.
                unsafe {
                    crate::engine::future::spawn_for(state, entry, future, Self::end, Some(actor), Some(over));
                }
                Ran::Spawned
            }
            Err(panic) => {
                // SAFETY: the body is over, and this thread runs the entry.
                unsafe { Self::crashed(entry, panic, state) }
            }
        }
    }

    /// Clones the arguments, which are kept for another attempt.
    ///
    /// # Safety
    /// The caller runs the entry, which is a call of this type, and whose body has not begun.
    unsafe fn clone_args(entry: NonNull<Header>, keep: Keep) -> Result<B::Args, Error> {
        // SAFETY: the caller guarantees the type, and keeps the entry alive while it runs.
        let cell = unsafe { entry.cast::<Self>().as_ref() };
        // The mark of a former attempt, which had just ended by itself when it was set.
        cell.head.cut_off.store(false, Ordering::Relaxed);
        // SAFETY: the runner owns the arguments, which stay; `Keep` was made for the arguments of this definition.
        let clone = || unsafe { keep.get::<B::Args>()((*cell.args.get()).assume_init_ref()) };
        let cloned = crate::base::unwind::catch(clone);
        if cloned.is_err() && !B::CREATES {
            // SAFETY: the runner owns the arguments, and there is no other attempt.
            unsafe { Self::drop_args(entry) };
        }
        cloned
    }

    /// Takes the outcome of a body: writes the value, or returns how the body failed, and drops arguments that were kept.
    ///
    /// # Safety
    /// The caller runs the entry, which is a call of this type, and the body is over.
    unsafe fn end(entry: NonNull<Header>, outcome: Outcome<B::Output>, strict: bool) -> Ran {
        // SAFETY: the caller guarantees the type, and keeps the entry alive while it runs.
        let cell = unsafe { entry.cast::<Self>().as_ref() };
        let outcome = match B::CODEC {
            Some(codec) if strict => strict_outcome(outcome, &codec, B::ERROR, B::SPEC),
            _ => outcome,
        };
        let kept = !B::CREATES && cell.head.task.extra().is_some_and(|extra| extra.keep.is_some());
        if kept && cell.head.cut_off.swap(false, Ordering::AcqRel) {
            // The result comes from an instance that was replaced.
            crate::base::users_code::quietly(|| drop(outcome));
            return Ran::Again;
        }
        match outcome {
            Ok(value) => {
                if const { B::CHANGES && <<B::Class as Actor>::Class as ActorClass>::CHECKPOINTS.is_some() } {
                    // SAFETY: the call is exclusive and of this class, and its body is over.
                    if let Err(panic) = unsafe { checkpoint::after_call::<B::Class>(&cell.head.actor) } {
                        crate::base::users_code::quietly(|| drop(value));
                        // SAFETY: the caller runs the entry, whose body is over.
                        return unsafe { Self::crash(entry, panic) };
                    }
                }
                // SAFETY: only the runner writes the value, before it is published; the runner owns the kept arguments.
                unsafe {
                    (*cell.value.get()).write(value);
                    if kept {
                        Self::drop_args(entry);
                    }
                }
                Ran::Value
            }
            Err(error) => {
                if !B::CREATES && cell.head.task.may_retry(&error) {
                    return Ran::Again;
                }
                if kept {
                    // SAFETY: the runner owns the kept arguments, and there is no other attempt.
                    unsafe { Self::drop_args(entry) };
                }
                Ran::Failed(error)
            }
        }
    }

    /// The body has panicked. The instance may be inconsistent, so the actor restarts or ends.
    ///
    /// # Safety
    /// As [`end`](Self::end).
    unsafe fn crashed(entry: NonNull<Header>, panic: Error, state: &ThreadState) -> Ran {
        if B::CREATES {
            if let Some(frame) = state.frame() {
                frame.crashed.set(true);
            }
            return Ran::Failed(panic);
        }
        // SAFETY: the caller guarantees the same.
        unsafe { Self::crash(entry, panic) }
    }

    /// Restarts or ends the actor, after a panic in a call that is not a creation.
    ///
    /// # Safety
    /// As [`end`](Self::end).
    unsafe fn crash(entry: NonNull<Header>, panic: Error) -> Ran {
        // SAFETY: the caller guarantees the type, and keeps the entry alive while it runs.
        let cell = unsafe { entry.cast::<Self>().as_ref() };
        let error = lifecycle::crashed(&cell.head.actor, Some(&cell.head), &cell.head.task.blame(panic));
        if cell.head.task.extra().is_some_and(|extra| extra.keep.is_some()) {
            if cell.head.cut_off.swap(false, Ordering::AcqRel) {
                return Ran::Again;
            }
            // SAFETY: the runner owns the kept arguments, and there is no other attempt.
            unsafe { Self::drop_args(entry) };
        }
        Ran::Failed(error)
    }

    /// # Safety
    /// As [`TaskVTable::each_dependency`].
    unsafe fn each_dependency(entry: NonNull<Header>, see: &mut dyn FnMut(Dependency)) {
        // SAFETY: an entry with this table is a call of this type. It is in `Waiting` and the caller has its lock, so the
        // arguments stay.
        unsafe { Self::args(entry) }.each_dependency(see);
    }

    /// # Safety
    /// As [`TaskVTable::drop_args`].
    unsafe fn drop_args(entry: NonNull<Header>) {
        // SAFETY: an entry with this table is a call of this type, and the caller owns the arguments.
        unsafe {
            let cell = entry.cast::<Self>().as_ref();
            cell.head.task.args_go();
            let args = cell.args.get();
            crate::base::users_code::quietly(|| (*args).assume_init_drop());
        }
    }

    /// # Safety
    /// As [`VTable::drop_value`].
    unsafe fn drop_value(entry: NonNull<Header>) {
        // SAFETY: an entry with this table is a call of this type, and the caller owns the value.
        unsafe {
            let value = entry.cast::<Self>().as_ref().value.get();
            crate::base::users_code::quietly(|| (*value).assume_init_drop());
        }
    }

    /// # Safety
    /// As [`VTable::free`].
    unsafe fn free(entry: NonNull<Header>) {
        // SAFETY: an entry with this table is a call of this type. The last hold is gone, and value and arguments before
        // it.
        unsafe {
            entry.cast::<Self>().as_ref().head.task.check_args();
            block::remove(entry.cast::<Self>());
        }
    }
}
