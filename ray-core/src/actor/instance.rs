//! An instance of an actor class outside of the engine, as an executor in another process has one.
//!
//! It has no mailbox: the executor calls a method when it has decided that its turn has come. The instance only sees to it
//! that calls do not collide. They stand in a line, in which a call takes its place when it is made, not when it is polled first. A
//! method by `&mut self` waits until no other call runs, and calls that come later wait for it.
//! Methods by `&self` run at the same time where the class allows that, which makes it `Sync`: it has an `async` method, or
//! its attribute asks for a `max_concurrency` above 1 or for concurrency groups. In all other classes every call has the instance for itself.
//!
//! After a panic the instance may be torn, so later calls fail, as those of an actor that has panicked do.

use crate::actor::remote::erased_proxy;
use std::cell::UnsafeCell;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::FutureExt as _;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::actor::call_cell::{CallBody, Started};
use crate::actor::class::{Actor, ActorClass, Constructor, RemoteMethod};
use crate::actor::send::MethodBody;
use crate::base::error::{Error, ErrorKind, Result};
use crate::call::codec::EncodedArg;
use crate::call::function::{BoxFuture, FunctionCall, MethodCall};
use crate::call::instance::{Constructing, Instance};
use crate::call::invoke::{Running, blame, caught, polled, portable};
use crate::call::registry::{Kind, MethodEntry, Registration};
use crate::call::spec::Spec;

struct InstanceCell<A> {
    /// Held by the calls that run: one that needs the instance for itself, or several others.
    lock: Arc<RwLock<()>>,
    /// A body has panicked.
    torn: AtomicBool,
    value: UnsafeCell<ManuallyDrop<A>>,
}

// SAFETY: a thread reaches the value with the lock only. Several threads do so at the same time only where methods by `&self`
// share the instance (see `shares`), and such a class is `Sync`. Otherwise one thread has it at a time, and `A` is `Send` (see
// `Actor::MOVABLE`).
unsafe impl<A: Actor> Sync for InstanceCell<A> {}
// SAFETY: the cell owns the value, which is `Send` (see `Actor::MOVABLE`).
unsafe impl<A: Actor> Send for InstanceCell<A> {}

impl<A> Drop for InstanceCell<A> {
    fn drop(&mut self) {
        // SAFETY: dropped once, here.
        crate::base::users_code::quietly(|| unsafe { ManuallyDrop::drop(self.value.get_mut()) });
    }
}

/// A call holds the lock of the instance.
enum Turn {
    Alone { _lock: OwnedRwLockWriteGuard<()> },
    Shared { _lock: OwnedRwLockReadGuard<()> },
}

impl Turn {
    /// Takes a place in the line now; the future waits for the turn.
    fn wait(lock: &Arc<RwLock<()>>, alone: bool) -> BoxFuture<'static, Self> {
        let lock = Arc::clone(lock);
        let mut waiting: BoxFuture<'static, Self> = Box::pin(async move {
            if alone { Self::Alone { _lock: lock.write_owned().await } } else { Self::Shared { _lock: lock.read_owned().await } }
        });
        // tokio's lock enters a waiter in its line in the first poll.
        match (&mut waiting).now_or_never() {
            Some(turn) => Box::pin(std::future::ready(turn)),
            None => waiting,
        }
    }
}

/// Whether methods by `&self` of the class run at the same time. The macro has checked then that the class is `Sync`.
const fn shares<A: Actor>() -> bool {
    let options = <A::Class as ActorClass>::OPTIONS;
    A::IS_ASYNC || matches!(options.max_concurrency, Some(calls) if calls > 1) || !options.groups.is_empty()
}

/// Makes an instance of encoded arguments.
pub(crate) fn construct<C: Constructor>(args: Vec<EncodedArg>) -> Constructing {
    // The evidence must be evaluated: a constant that is never used may panic.
    const { _ = <C::Actor as Actor>::MOVABLE };
    let spec = C::SPEC;
    Box::pin(async move {
        let args = portable(spec, C::CODEC)?.decode_args(spec, args)?;
        let ended = match C::CALL {
            FunctionCall::Sync(body) => caught(|| body(args)),
            FunctionCall::Async(body) => match caught(|| body(args)) {
                Ok(future) => polled(future).await,
                Err(panic) => Err(panic),
            },
        };
        let made = ended.and_then(|outcome| outcome).map_err(|error| blame(spec, error))?;
        let value = UnsafeCell::new(ManuallyDrop::new(made));
        let cell = InstanceCell::<C::Actor> { lock: Arc::default(), torn: AtomicBool::new(false), value };
        Ok(Instance { class: C::Actor::SPEC, cell: Arc::new(cell) })
    })
}

/// Calls a method of an instance with encoded arguments.
pub(crate) fn call<M: RemoteMethod>(instance: &Instance, args: Vec<EncodedArg>) -> Running {
    let spec = M::SPEC;
    let cell = cell_of::<M>(instance);
    let place = cell.as_ref().ok().map(|cell| Turn::wait(&cell.lock, MethodBody::<M>::EXCLUSIVE || !shares::<M::Actor>()));
    let class = instance.class;
    Box::pin(async move {
        let codec = portable(spec, M::CODEC)?;
        let (cell, place) = (cell?, place.expect("there is a cell"));
        let args = codec.decode_args(spec, args)?;
        let turn = place.await;
        if cell.torn.load(Ordering::Acquire) {
            return Err(blame(spec, torn(class)));
        }
        // SAFETY: the cell holds an instance of the class. The lock gives it to this call as the method needs it, until the
        // body is over; a future of the body is declared after the lock's guard and the cell, so it is dropped before them.
        let started = caught(|| unsafe { MethodBody::<M>::start(cell.value.get().cast(), args) });
        let ended = match started {
            Ok(Started::Ended(outcome)) => Ok(outcome),
            Ok(Started::Future(future)) => polled(future).await,
            Err(panic) => Err(panic),
        };
        if ended.is_err() {
            cell.torn.store(true, Ordering::Release);
        }
        drop(turn);
        let result = ended.and_then(|outcome| outcome).map_err(|error| blame(spec, error))?;
        codec.encode_result(spec, &result)
    })
}

fn cell_of<M: RemoteMethod>(instance: &Instance) -> Result<Arc<InstanceCell<M::Actor>>> {
    Arc::clone(&instance.cell).downcast().map_err(|_| {
        let what = format!(
            "`{}` is a method of `{}`, and the instance is of class `{}`: call it on an instance of its own class",
            M::SPEC.path(),
            M::Actor::SPEC.path(),
            instance.class()
        );
        Error::new(ErrorKind::InvalidArgument, what)
    })
}

fn torn(class: &Spec) -> Error {
    Error::new(
        ErrorKind::ActorDied,
        format!("a method of this `{}` has panicked, and its state may be torn: make another instance", class.name()),
    )
}

impl MethodEntry {
    /// The entry of a method.
    #[must_use]
    pub const fn new<M: RemoteMethod>() -> Self {
        Self {
            spec: M::SPEC,
            call: call::<M>,
            error: M::ERROR,
            is_async: matches!(M::CALL, MethodCall::AsyncRef(_) | MethodCall::AsyncMut(_)),
            is_exclusive: matches!(M::CALL, MethodCall::Mut(_) | MethodCall::AsyncMut(_)),
            repeatable: M::KEEP.is_some(),
            retry_on: || M::OPTIONS.retry_on.clone(),
            group: || M::OPTIONS.group.map(|group| group.name),
            signature: || std::any::type_name::<(M::Args, M::Output)>(),
        }
    }
}

impl Registration {
    /// Registers an actor class by its constructor.
    #[must_use]
    pub const fn actor<C: Constructor>() -> Self {
        let methods = <C::Actor as Actor>::METHODS;
        Self {
            spec: <C::Actor as Actor>::SPEC,
            kind: Kind::Class {
                construct: construct::<C>,
                is_async: matches!(C::CALL, FunctionCall::Async(_)),
                error: C::ERROR,
                methods,
                proxy: erased_proxy::<C::Actor>,
                signature: || std::any::type_name::<C::Args>(),
            },
        }
    }
}
