//! A call that somebody has a reference to: one allocation, as a task's, with the actor's address and the caller.

use crate::actor::kinds;
use crate::base::config::Mode;
use crate::task::runner::Runner;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::mem::{MaybeUninit, needs_drop, offset_of};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::actor::cell::{ActorCell, ActorHold};
use crate::actor::class::{Actor, Constructor, InitArgs, MethodArgs, RemoteMethod};
use crate::actor::life;
use crate::base::error::Error;
use crate::call::arg::{ArgList, Closure, Dependency};
use crate::call::codec::Codec;
use crate::call::function::{BoxFuture, MethodCall, Outcome};
use crate::call::spec::Spec;
use crate::engine::task_cell::strict_outcome;
use crate::engine::thread_state::ThreadState;
use crate::object::block;
use crate::object::entry::{Header, Kind, VTable, ValueType};
use crate::object::state::{Phase, State};
use crate::task::head::{Extra, Ran, TaskHead, TaskVTable};

/// What calls add to a task's head.
#[repr(C)]
pub(crate) struct CallHead {
    pub(crate) task: TaskHead,
    pub(crate) actor: ActorHold,
    /// Who called: calls of one caller keep their order.
    pub(crate) caller: u64,
    /// It needs the instance for itself.
    pub(crate) exclusive: bool,
    /// It makes the instance.
    pub(crate) creates: bool,
    /// The actor starts anew under it: when the body is over it is made again. Only where its arguments are kept.
    pub(crate) cut_off: AtomicBool,
}

impl CallHead {
    /// # Safety
    /// The entry is a call, and alive for `'a`.
    #[inline]
    pub(crate) unsafe fn of<'a>(entry: NonNull<Header>) -> &'a Self {
        // SAFETY: the caller's promise.
        unsafe { entry.cast().as_ref() }
    }
}

/// An entry as a call, if it is one: of a method, or of a constructor.
#[inline]
pub(crate) fn as_call(header: &Header) -> Option<&CallHead> {
    let kind = header.task()?.vtable().kind;
    // SAFETY: entries of these kinds begin with a `CallHead`.
    (std::ptr::eq(kind, &kinds::CALL) || std::ptr::eq(kind, &kinds::CREATION))
        .then(|| unsafe { CallHead::of(NonNull::from(header)) })
}

/// The actor that an entry is a call of.
pub(crate) fn actor_of(entry: &Header) -> Option<ActorHold> {
    as_call(entry).map(|call| call.actor.clone())
}

/// What a body does when it is started.
pub(crate) enum Started<R> {
    Ended(Outcome<R>),
    Future(BoxFuture<'static, Outcome<R>>),
}

/// What runs on an actor's instance.
pub(crate) trait CallBody: 'static {
    type Class: Actor;
    type Args: ArgList + Send + 'static;
    type Output: Send + Sync + 'static;
    const SPEC: &'static Spec;
    /// It is a method of every handle, so its spec does not name the class.
    const OF_HANDLES: bool = false;
    const EXCLUSIVE: bool;
    const CREATES: bool = false;
    const IS_ASYNC: bool = false;
    const CODEC: Option<Codec<Self::Args, Self::Output>>;
    /// # Safety
    /// `place` is the class's instance (or, if it creates, the place for one), for the caller to use as `EXCLUSIVE`
    /// says until the body, its future included, is over.
    unsafe fn start(place: *mut Self::Class, args: Self::Args) -> Started<Self::Output>;
}

/// A method as a body.
pub(crate) struct MethodBody<M>(PhantomData<M>);

impl<M: RemoteMethod> CallBody for MethodBody<M> {
    type Class = M::Actor;
    type Args = MethodArgs<M>;
    type Output = M::Output;
    const SPEC: &'static Spec = M::SPEC;
    const EXCLUSIVE: bool = matches!(M::CALL, MethodCall::Mut(_) | MethodCall::AsyncMut(_));
    const IS_ASYNC: bool = matches!(M::CALL, MethodCall::AsyncRef(_) | MethodCall::AsyncMut(_));
    const CODEC: Option<Codec<MethodArgs<M>, M::Output>> = M::CODEC;

    #[inline]
    unsafe fn start(place: *mut M::Actor, args: MethodArgs<M>) -> Started<M::Output> {
        // SAFETY: the caller gives the instance as the method needs it.
        unsafe {
            match M::CALL {
                MethodCall::Ref(body) => Started::Ended(body(&*place, args)),
                MethodCall::Mut(body) => Started::Ended(body(&mut *place, args)),
                MethodCall::AsyncRef(body) => Started::Future(forever(body(&*place, args))),
                MethodCall::AsyncMut(body) => Started::Future(forever(body(&mut *place, args))),
            }
        }
    }
}

/// Forgets the borrow of the instance.
///
/// # Safety
/// The future is dropped before the instance is.
unsafe fn forever<'a, R>(future: BoxFuture<'a, R>) -> BoxFuture<'static, R> {
    // SAFETY: only the lifetime changes; the caller's promise.
    unsafe { std::mem::transmute::<BoxFuture<'a, R>, BoxFuture<'static, R>>(future) }
}

/// A constructor as a body.
pub(crate) struct InitBody<C>(PhantomData<C>);

impl<C: Constructor> CallBody for InitBody<C> {
    type Class = C::Actor;
    type Args = InitArgs<C>;
    type Output = ();
    const SPEC: &'static Spec = C::SPEC;
    const EXCLUSIVE: bool = true;
    const CREATES: bool = true;
    const CODEC: Option<Codec<InitArgs<C>, ()>> = C::CODEC;

    unsafe fn start(place: *mut C::Actor, args: InitArgs<C>) -> Started<()> {
        // SAFETY: the place is free, as the caller creates.
        Started::Ended((C::CALL)(args).map(|instance| unsafe { place.write(instance) }))
    }
}

/// A closure on the instance, as a body.
pub(crate) struct WithBody<A, C, R>(PhantomData<A>, PhantomData<C>, PhantomData<R>);

static WITH: Spec = Spec::new("ray::ActorHandle::with", file!(), line!()).local();

impl<A: Actor, C: FnOnce(&mut A) -> R + Send + 'static, R: Send + Sync + 'static> CallBody for WithBody<A, C, R> {
    type Class = A;
    type Args = (Closure<C>,);
    type Output = R;
    const SPEC: &'static Spec = &WITH;
    const OF_HANDLES: bool = true;
    const EXCLUSIVE: bool = true;
    const CODEC: Option<Codec<Self::Args, R>> = None;

    unsafe fn start(place: *mut A, (closure,): Self::Args) -> Started<R> {
        // SAFETY: the caller gives the instance for exclusive use.
        Started::Ended(Ok((closure.0)(unsafe { &mut *place })))
    }
}

/// The allocation.
#[repr(C)]
pub(crate) struct CallCell<B: CallBody> {
    head: CallHead,
    value: UnsafeCell<MaybeUninit<B::Output>>,
    args: UnsafeCell<MaybeUninit<B::Args>>,
}

impl<B: CallBody> CallCell<B> {
    pub(super) const TASK: &'static TaskVTable = &TaskVTable {
        run: Self::run,
        drop_args: Self::drop_args,
        each_dependency: Self::each_dependency,
        spec: B::SPEC,
        class: if B::OF_HANDLES { Some(<B::Class as Actor>::SPEC) } else { None },
        is_async: B::IS_ASYNC,
        kind: if B::CREATES { &kinds::CREATION } else { &kinds::CALL },
    };

    const TABLE: &'static VTable = &VTable {
        value: offset_of!(Self, value),
        adopted: false,
        holds: ValueType::of::<B::Output>(),
        nested: needs_drop::<B::Output>(),
        kind: Kind::Task,
        drop_value: Self::drop_value,
        free: Self::free,
        task: Some(Self::TASK.erased()),
    };

    /// A call in `phase`, with one hold beside the refs', one more if `child`, and one ref unless `unread`.
    #[inline]
    pub(crate) fn allocate(
        actor: ActorHold,
        caller: u64,
        args: B::Args,
        phase: Phase,
        child: bool,
        unread: bool,
        extra: Option<Box<Extra>>,
    ) -> NonNull<Header> {
        let holds = 1 + u64::from(child);
        let state = if unread { State::unread(phase, holds) } else { State::new(phase, 1, holds) };
        let epoch = actor.epoch;
        let cell = Self {
            head: CallHead {
                task: TaskHead::new(Header::new(state, Self::TABLE, epoch), extra),
                actor,
                caller,
                exclusive: B::EXCLUSIVE,
                creates: B::CREATES,
                cut_off: AtomicBool::new(false),
            },
            value: UnsafeCell::new(MaybeUninit::uninit()),
            args: UnsafeCell::new(MaybeUninit::new(args)),
        };
        block::place(cell).cast()
    }

    /// # Safety
    /// The entry is such a cell that nobody else can start now.
    pub(crate) unsafe fn args<'a>(entry: NonNull<Header>) -> &'a B::Args {
        // SAFETY: the caller's promise.
        unsafe { (*entry.cast::<Self>().as_ref().args.get()).assume_init_ref() }
    }

    unsafe fn run(entry: NonNull<Header>, runner: Runner<'_>) -> Ran {
        let state = ThreadState::of(runner);
        // SAFETY: an entry with this table is such a cell, the caller claimed it and has the instance.
        let cell = unsafe { entry.cast::<Self>().as_ref() };
        let keep = cell.head.task.extra().and_then(|extra| extra.keep);
        let actor = cell.head.actor.head();
        let args = match keep {
            None => {
                cell.head.task.args_go();
                // SAFETY: the arguments are the runner's.
                unsafe { (*cell.args.get()).assume_init_read() }
            }
            Some(keep) => {
                // Said of an attempt that had just ended by itself.
                cell.head.cut_off.store(false, Ordering::Relaxed);
                // SAFETY: as above; they stay for another attempt, and the type is the one that Keep was made with.
                let clone = || unsafe { keep.get::<B::Args>()((*cell.args.get()).assume_init_ref()) };
                match crate::base::unwind::catch(clone) {
                    Ok(args) => args,
                    Err(error) => {
                        if !B::CREATES {
                            // SAFETY: the runner's.
                            unsafe { Self::drop_args(entry) };
                        }
                        return Ran::Failed(error);
                    }
                }
            }
        };
        // SAFETY: the actor's cell is of this class, and the runner has the instance.
        let started = crate::base::unwind::catch(|| unsafe { B::start(ActorCell::<B::Class>::instance(actor), args) });
        match started {
            Ok(Started::Ended(outcome)) => {
                // SAFETY: the body is over.
                unsafe { Self::end(entry, outcome, state.engine.settings.mode == Mode::Strict) }
            }
            Ok(Started::Future(future)) => {
                let over = crate::actor::concurrent::over(entry);
                // SAFETY: claimed, and `over` frees the slot when the future is gone.
                unsafe {
                    crate::engine::future::spawn_for(state, entry, future, Self::end, Some(actor), Some(over));
                }
                Ran::Spawned
            }
            Err(panic) => {
                // SAFETY: the body is over.
                unsafe { Self::crashed(entry, panic, state) }
            }
        }
    }

    /// # Safety
    /// As `TaskCell::end`.
    unsafe fn end(entry: NonNull<Header>, outcome: Outcome<B::Output>, strict: bool) -> Ran {
        // SAFETY: as in `run`.
        let cell = unsafe { entry.cast::<Self>().as_ref() };
        let outcome = match B::CODEC {
            Some(codec) if strict => strict_outcome(outcome, &codec, B::SPEC),
            _ => outcome,
        };
        let kept = !B::CREATES && cell.head.task.extra().is_some_and(|extra| extra.keep.is_some());
        if kept && cell.head.cut_off.swap(false, Ordering::AcqRel) {
            // It was made on an instance that is no more.
            crate::base::users_code::quietly(|| drop(outcome));
            return Ran::Again;
        }
        match outcome {
            Ok(value) => {
                // SAFETY: the runner alone writes the value; kept arguments are the runner's.
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
                    // SAFETY: as above.
                    unsafe { Self::drop_args(entry) };
                }
                Ran::Failed(error)
            }
        }
    }

    /// A panic: the actor may be torn, so it ends, or starts anew.
    ///
    /// # Safety
    /// As `end`.
    unsafe fn crashed(entry: NonNull<Header>, panic: Error, state: &ThreadState) -> Ran {
        // SAFETY: as in `run`.
        let cell = unsafe { entry.cast::<Self>().as_ref() };
        if B::CREATES {
            if let Some(frame) = state.frame() {
                frame.crashed.set(true);
            }
            return Ran::Failed(panic);
        }
        let error = life::crashed(&cell.head.actor, Some(entry), &cell.head.task.blame(panic));
        if cell.head.task.extra().is_some_and(|extra| extra.keep.is_some()) {
            if cell.head.cut_off.swap(false, Ordering::AcqRel) {
                return Ran::Again;
            }
            // SAFETY: the runner's.
            unsafe { Self::drop_args(entry) };
        }
        Ran::Failed(error)
    }

    unsafe fn each_dependency(entry: NonNull<Header>, see: &mut dyn FnMut(Dependency)) {
        // SAFETY: the arguments are there and stay while the caller looks.
        unsafe { Self::args(entry) }.each_dependency(see);
    }

    unsafe fn drop_args(entry: NonNull<Header>) {
        // SAFETY: the caller owns the arguments.
        unsafe {
            let cell = entry.cast::<Self>().as_ref();
            cell.head.task.args_go();
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
            entry.cast::<Self>().as_ref().head.task.check_args();
            block::remove(entry.cast::<Self>());
        }
    }
}
