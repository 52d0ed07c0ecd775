//! The methods of a handle, and the builders for calls and creations with options.

use std::fmt;
use std::marker::PhantomData;

use crate::actor::class::{Actor, Constructor, InitArgs, Link, MethodArgs, RemoteMethod};
use crate::actor::handle::ActorHandle;
use crate::actor::{create, send};
use crate::api::placed::placement;
use crate::base::amount::Amount;
use crate::base::call_options::{CallOptions, CreateOptions};
use crate::base::error::Result;
use crate::base::options::RetryOn;
use crate::base::placement::{Lifetime, SchedulingStrategy};
use crate::base::runtime_env::RuntimeEnv;
use crate::call::params::FromArgument;
use crate::call::refs::StreamRefs;
use crate::call::registry::MethodEntry;
use crate::object::object_ref::ObjectRef;
use crate::task::head::Keep;

/// A borrowed method of a handle, which [`Map`](crate::Map) calls.
#[doc(hidden)]
pub struct BorrowedMethod<'a, M>(&'a M);

impl<'a, M: RemoteMethod> BorrowedMethod<'a, M> {
    /// Borrows the method; for the generated code.
    pub fn new(method: &'a M) -> Self {
        Self(method)
    }

    pub(super) fn link(&self) -> Link<M::Actor> {
        self.0.link()
    }
}

impl<M: RemoteMethod> fmt::Debug for BorrowedMethod<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Method({})", M::SPEC.path())
    }
}

/// Begins a call with options; for the generated code.
pub fn configure_method<M: RemoteMethod>(method: &M) -> ConfiguredMethod<'_, M, MethodArgs<M>> {
    ConfiguredMethod { method, params: PhantomData, options: CallOptions::new(), keep: None }
}

/// Calls a method, with the tuple of `num_returns` as one object; for the generated code.
#[inline]
pub fn whole_call_method<M: RemoteMethod>(method: &M, args: MethodArgs<M>) -> ObjectRef<M::Output> {
    send::call_whole::<M>(method.link(), args, None, None)
}

/// Calls a method and returns at once; for the generated code.
#[inline]
pub fn call_method<M: RemoteMethod>(method: &M, args: MethodArgs<M>) -> M::Refs {
    send::call::<M>(method.link(), args, None, None)
}

/// Calls a method, or returns an error if the call cannot be made; for the generated code.
///
/// # Errors
/// The errors with which the reference of [`call_method`] would have failed at once.
pub fn try_call_method<M: RemoteMethod>(method: &M, args: MethodArgs<M>) -> Result<M::Refs> {
    send::try_call::<M>(method.link(), args, None, None)
}

/// Calls a method without a reference to the result; for the generated code.
#[inline]
pub fn tell_method<M: RemoteMethod>(method: &M, args: MethodArgs<M>) {
    send::tell::<M>(method.link(), args);
}

/// A call of a method with options; `.remote(..)`, `.try_remote(..)` or `.tell(..)` submits it.
#[must_use = "options do nothing until `.remote(..)`"]
pub struct ConfiguredMethod<'a, M: RemoteMethod, P> {
    method: &'a M,
    params: PhantomData<fn(P)>,
    options: CallOptions,
    keep: Option<Keep>,
}

impl<M: RemoteMethod, P> fmt::Debug for ConfiguredMethod<'_, M, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConfiguredMethod({}, {:?})", M::SPEC.path(), self.options)
    }
}

impl<M: RemoteMethod, P> ConfiguredMethod<'_, M, P> {
    /// Sets the name of the call in errors and reports.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name(name.into());
        self
    }

    /// Runs the call in this concurrency group of the class, instead of that of the method's attribute. If the class has no such
    /// group, the reference fails with `InvalidArgument`, and the error lists the groups. [Ray's
    /// page](https://docs.ray.io/en/latest/ray-core/actors/concurrency_group_api.html).
    pub fn group(mut self, name: impl Into<String>) -> Self {
        self.options.group(name.into());
        self
    }

    /// Sets how many items of the stream may wait for their consumer before the call waits; -1 means without a limit. The default is
    /// 64.
    pub fn backpressure(mut self, items: i64) -> Self
    where
        M::Refs: StreamRefs,
    {
        self.options.backpressure(items);
        self
    }

    /// Sets how often the call is retried when the actor crashes during it and restarts, or when it fails in a way that
    /// `retry_exceptions` allows; -1 means without a limit.
    pub fn max_task_retries(mut self, retries: i64) -> Self
    where
        MethodArgs<M>: Clone,
    {
        self.options.max_task_retries(retries);
        self.keep = Some(Keep::new(<MethodArgs<M> as Clone>::clone));
        self
    }

    /// Sets the errors of the method itself after which the call is retried: `true` for all, or a function of the error.
    pub fn retry_exceptions(mut self, on: impl Into<RetryOn>) -> Self
    where
        MethodArgs<M>: Clone,
    {
        self.options.retry_exceptions(on);
        self.keep = Some(Keep::new(<MethodArgs<M> as Clone>::clone));
        self
    }
}

/// The creation of an actor with options; `.remote(..)` or `.try_remote(..)` creates it.
#[must_use = "options do nothing until `.remote(..)`"]
pub struct ActorBuilder<C: Constructor, P> {
    options: CreateOptions,
    keep: Option<Keep>,
    class: PhantomData<fn(C, P)>,
}

impl<C: Constructor, P> fmt::Debug for ActorBuilder<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ActorBuilder({}, {:?})", C::Actor::SPEC.path(), self.options)
    }
}

impl<C: Constructor, P> Default for ActorBuilder<C, P> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Constructor, P> ActorBuilder<C, P> {
    /// A creation without options.
    pub fn new() -> Self {
        Self { options: CreateOptions::new(), keep: None, class: PhantomData }
    }

    /// Sets the name for [`get_actor`](crate::get_actor). The name is free again when the actor has ended.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.options.name(name.into());
        self
    }

    /// Sets the namespace of the name. The default is that of the engine.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.options.namespace(namespace.into());
        self
    }

    /// Whether to return the actor that has the name, if there is one, instead of creating an actor.
    pub fn get_if_exists(mut self, get: bool) -> Self {
        self.options.get_if_exists(get);
        self
    }

    /// Sets how long the actor lives: `Counter::options().lifetime(ray::Lifetime::Detached).name("counter").remote()` makes an actor
    /// that lives until it is killed.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.options.lifetime(lifetime);
        self
    }

    placement!("actor");

    fn options_mut(&mut self) -> &mut CreateOptions {
        &mut self.options
    }

    /// Sets the number of CPUs that the actor holds for life. The default is none.
    pub fn num_cpus(mut self, amount: impl Amount) -> Self {
        self.options.num_cpus(amount.amount());
        self
    }

    /// Sets the number of GPUs that the actor holds for life.
    pub fn num_gpus(mut self, amount: impl Amount) -> Self {
        self.options.num_gpus(amount.amount());
        self
    }

    /// Sets the memory that the actor holds for life, in bytes. The engine only counts it, as Ray does, and does not limit
    /// allocations.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.options.memory(bytes);
        self
    }

    /// Sets the amount of a custom resource that the actor holds for life.
    pub fn resource(mut self, name: impl Into<String>, amount: impl Amount) -> Self {
        self.options.resource(name.into(), amount.amount());
        self
    }

    /// Sets how often the actor restarts after a panic; its state is lost. -1 means without a limit.
    pub fn max_restarts(mut self, restarts: i64) -> Self
    where
        InitArgs<C>: Clone,
    {
        self.options.max_restarts(restarts);
        self.keep = Some(Keep::new(<InitArgs<C> as Clone>::clone));
        self
    }

    /// Sets how often each call is retried when the actor crashes during it and restarts; -1 means without a limit. This does not
    /// compile for a class with a method whose arguments are not `Clone`.
    pub fn max_task_retries(mut self, retries: i64) -> Self {
        const {
            assert!(
                MethodEntry::all_repeatable(C::Actor::METHODS),
                "`max_task_retries` of a creation needs arguments that are `Clone` in all methods of the class: give it to the calls instead, `method.options().max_task_retries(..)`"
            );
        };
        self.options.max_task_retries(retries);
        self
    }

    /// Sets how many `&self` calls may run at once. `&mut self` calls still run alone.
    pub fn max_concurrency(mut self, calls: u32) -> Self
    where
        C::Actor: Sync,
    {
        self.options.max_concurrency(calls);
        self
    }

    /// Whether a call whose arguments are ready may begin before an earlier call of the same caller whose arguments are not. By
    /// default the later call waits. Concurrent actors have no such order in any case. [Ray's
    /// page](https://docs.ray.io/en/latest/ray-core/actors/task-orders.html).
    pub fn allow_out_of_order_execution(mut self, allow: bool) -> Self {
        self.options.allow_out_of_order_execution(allow);
        self
    }

    /// Sets how many calls may wait to be started; further calls are refused. -1 means without a limit.
    pub fn max_pending_calls(mut self, calls: i64) -> Self {
        self.options.max_pending_calls(calls);
        self
    }
}

macro_rules! arities {
    ($($P:ident $X:ident $argument:ident)*) => {
        #[allow(clippy::too_many_arguments)]
        impl<M: RemoteMethod<Args = ($($P,)*)>, $($P),*> ConfiguredMethod<'_, M, ($($P,)*)> {
            /// Calls the method and returns at once. All errors come from the reference.
            pub fn remote<$($X),*>(self, $($argument: $X),*) -> M::Refs
            where
                $($P: FromArgument<$X>,)*
            {
                send::call::<M>(self.method.link(), ($($P::from_argument($argument),)*), Some(self.options), self.keep)
            }

            /// Calls the method, or returns an error if the call cannot be made.
            ///
            /// # Errors
            /// The errors with which the reference of `remote` would have failed at once.
            pub fn try_remote<$($X),*>(self, $($argument: $X),*) -> Result<M::Refs>
            where
                $($P: FromArgument<$X>,)*
            {
                send::try_call::<M>(self.method.link(), ($($P::from_argument($argument),)*), Some(self.options), self.keep)
            }

            /// Calls the method and keeps no reference to the result; a failure is logged.
            pub fn tell<$($X),*>(self, $($argument: $X),*)
            where
                $($P: FromArgument<$X>,)*
            {
                drop(self.remote($($argument),*));
            }
        }

        #[allow(clippy::too_many_arguments)]
        impl<C: Constructor<Args = ($($P,)*)>, $($P),*> ActorBuilder<C, ($($P,)*)> {
            /// Creates the actor and returns at once. All errors come from the first call.
            pub fn remote<$($X),*>(self, $($argument: $X),*) -> ActorHandle<C::Actor>
            where
                $($P: FromArgument<$X>,)*
            {
                match self.try_remote($($argument),*) {
                    Ok(handle) => handle,
                    Err(error) => create::failed(error),
                }
            }

            /// Creates the actor, or returns an error if it cannot be created (a name that is taken, more resources than the node
            /// has).
            ///
            /// # Errors
            /// `ActorAlreadyExists`, `Infeasible`, `InvalidArgument`, `RuntimeGone`.
            pub fn try_remote<$($X),*>(self, $($argument: $X),*) -> Result<ActorHandle<C::Actor>>
            where
                $($P: FromArgument<$X>,)*
            {
                create::try_create_with::<C>(($($P::from_argument($argument),)*), Some(self.options), self.keep)
            }
        }
    };
}
crate::base::arity::for_each_signature!(arities);
