//! The builder for a submission of a function with options.

use std::fmt;
use std::marker::PhantomData;

use crate::api::placed::placement;
use crate::base::call_options::CallOptions;
use crate::base::error::Result;
use crate::base::options::RetryOn;
use crate::base::placement::SchedulingStrategy;
use crate::base::runtime_env::RuntimeEnv;
use crate::call::function::{ArgsOf, Function};
use crate::call::params::FromArgument;
use crate::call::refs::{Refs, StreamRefs};
use crate::engine::submit;
use crate::task::head::Keep;

/// A submission of a function with options; `f.options()` makes it, and `.remote(..)`, `.try_remote(..)` or `.tell(..)` submits the
/// task.
#[must_use = "options do nothing until `.remote(..)`"]
pub struct Configured<F, P> {
    options: CallOptions,
    keep: Option<Keep>,
    function: PhantomData<fn(F, P)>,
}

impl<F: Function, P> fmt::Debug for Configured<F, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Configured({}, {:?})", F::SPEC.path(), self.options)
    }
}

impl<F: Function, P> Default for Configured<F, P> {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! resources {
    () => {
        /// Sets the name of the task in errors and reports.
        pub fn name(mut self, name: impl Into<String>) -> Self {
            self.options_mut().name(name.into());
            self
        }

        /// Sets the number of CPUs that the task needs, in steps of 0.0001. The default is 1, or 0 for an `async fn`.
        pub fn num_cpus(mut self, amount: impl crate::base::amount::Amount) -> Self {
            self.options_mut().num_cpus(crate::base::amount::Amount::amount(amount));
            self
        }

        /// Sets the number of GPUs that the task needs.
        pub fn num_gpus(mut self, amount: impl crate::base::amount::Amount) -> Self {
            self.options_mut().num_gpus(crate::base::amount::Amount::amount(amount));
            self
        }

        /// Sets the memory that the task needs, in bytes. The engine only counts it, as Ray does, and does not limit allocations.
        pub fn memory(mut self, bytes: u64) -> Self {
            self.options_mut().memory(bytes);
            self
        }

        /// Sets the amount of a custom resource that the task needs.
        pub fn resource(mut self, name: impl Into<String>, amount: impl crate::base::amount::Amount) -> Self {
            self.options_mut().resource(name.into(), crate::base::amount::Amount::amount(amount));
            self
        }
    };
}
pub(super) use resources;

impl<F: Function, P> Configured<F, P> {
    /// A submission without options.
    pub const fn new() -> Self {
        Self { options: CallOptions::new(), keep: None, function: PhantomData }
    }

    resources!();
    placement!("task");

    fn options_mut(&mut self) -> &mut CallOptions {
        &mut self.options
    }

    /// Sets how many items of the stream may wait for their consumer before the task waits; -1 means without a limit. The default is
    /// 64.
    pub fn backpressure(mut self, items: i64) -> Self
    where
        F::Refs: StreamRefs,
    {
        self.options.backpressure(items);
        self
    }

    /// Sets how often the task is retried after errors that [`retry_exceptions`](Self::retry_exceptions) allows. The default is 3;
    /// -1 means without a limit.
    pub fn max_retries(mut self, retries: i64) -> Self
    where
        ArgsOf<F>: Clone,
    {
        self.options.max_retries(retries);
        self.keep = Some(Keep::new(<ArgsOf<F> as Clone>::clone));
        self
    }

    /// Sets the errors after which the task is retried: `true` for all, or a function of the error. The arguments are kept and
    /// cloned for each attempt.
    pub fn retry_exceptions(mut self, on: impl Into<RetryOn>) -> Self
    where
        ArgsOf<F>: Clone,
    {
        self.options.retry_exceptions(on);
        self.keep = Some(Keep::new(<ArgsOf<F> as Clone>::clone));
        self
    }
}

macro_rules! arities {
    ($($P:ident $X:ident $argument:ident)*) => {
        #[allow(clippy::too_many_arguments)]
        impl<F: Function<Args = ($($P,)*)>, $($P),*> Configured<F, ($($P,)*)> {
            /// Submits the task; returns at once.
            pub fn remote<$($X),*>(self, $($argument: $X),*) -> F::Refs
            where
                $($P: FromArgument<$X>,)*
            {
                F::Refs::from_whole(submit::submit_with::<F>(($($P::from_argument($argument),)*), Some(self.options), self.keep))
            }

            /// Submits the task, or returns an error if it cannot be submitted.
            ///
            /// # Errors
            /// The errors with which the reference of `remote` would have failed at once.
            pub fn try_remote<$($X),*>(self, $($argument: $X),*) -> Result<F::Refs>
            where
                $($P: FromArgument<$X>,)*
            {
                let whole = submit::submit_with::<F>(($($P::from_argument($argument),)*), Some(self.options), self.keep);
                submit::refuse_failed(&whole)?;
                Ok(F::Refs::from_whole(whole))
            }

            /// Submits the task and keeps no reference to the result; a failure is logged.
            pub fn tell<$($X),*>(self, $($argument: $X),*)
            where
                $($P: FromArgument<$X>,)*
            {
                submit::forget::<F>(submit::submit_with::<F>(($($P::from_argument($argument),)*), Some(self.options), self.keep));
            }
        }
    };
}
crate::base::arity::for_each_signature!(arities);
