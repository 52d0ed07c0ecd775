//! The trait that `#[remote]` implements for a function, and the forms of bodies.

use std::future::Future;
use std::pin::Pin;

use crate::base::error::Error;
use crate::base::error::conversion::ErrorCodec;
use crate::base::options::TaskOptions;
use crate::call::bounds::{Args, Shareable};
use crate::call::codec::Codec;
use crate::call::refs::Refs;
use crate::call::spec::Spec;
use crate::call::stream_spec::StreamSpec;

/// The outcome of a body.
pub type Outcome<R> = Result<R, Error>;

/// A boxed future of the engine.
pub type BoxFuture<'a, R> = Pin<Box<dyn Future<Output = R> + Send + 'a>>;

/// The body of a function or of a constructor. It is a constant, so the compiler can inline the call.
#[derive(Debug)]
pub enum FunctionCall<P, R> {
    /// `fn`
    Sync(fn(P) -> Outcome<R>),
    /// `async fn`
    Async(fn(P) -> BoxFuture<'static, Outcome<R>>),
}

/// The body of a method.
#[derive(Debug)]
pub enum MethodCall<A, P, R> {
    /// `fn(&self, ..)`
    Ref(fn(&A, P) -> Outcome<R>),
    /// `fn(&mut self, ..)`
    Mut(fn(&mut A, P) -> Outcome<R>),
    /// `async fn(&self, ..)`
    AsyncRef(for<'a> fn(&'a A, P) -> BoxFuture<'a, Outcome<R>>),
    /// `async fn(&mut self, ..)`
    AsyncMut(for<'a> fn(&'a mut A, P) -> BoxFuture<'a, Outcome<R>>),
}

/// The function that clones arguments for another attempt.
pub struct RetryArgs<P>(pub(crate) fn(&P) -> P);

impl<P> std::fmt::Debug for RetryArgs<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RetryArgs")
    }
}

impl<P> Clone for RetryArgs<P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for RetryArgs<P> {}

impl<P: Clone> RetryArgs<P> {
    /// Each attempt gets a clone of the arguments.
    #[must_use]
    pub const fn cloning() -> Self {
        Self(P::clone)
    }
}

/// The stored arguments of a function.
pub(crate) type ArgsOf<F> = <F as Function>::Args;

/// A remote function. Only `#[remote]` implements this trait.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no remote function",
    note = "write `#[remote]` above the function, or run a closure with `ray::task(move || ..)`"
)]
pub trait Function: Copy + Send + Sync + 'static {
    /// The arguments in the form in which they are kept: `Arg<T>` for a parameter `T`, `Shared<T>` for `&T`.
    type Args: Args;
    /// The type of the object that a call makes; for a `Result` the `Ok` type.
    type Output: Shareable;
    /// The return type of a submission.
    type Refs: Refs<Self::Output>;
    /// The name and the place of the function.
    const SPEC: &'static Spec;
    /// The body of the function.
    const CALL: FunctionCall<ArgsOf<Self>, Self::Output>;
    /// The options of the attribute.
    const OPTIONS: TaskOptions = TaskOptions::new();
    /// How arguments are cloned for retries, if the attribute asks for retries.
    const RETRY: Option<RetryArgs<ArgsOf<Self>>> = None;
    /// The codec of arguments and result; none for a `local` function.
    const CODEC: Option<Codec<ArgsOf<Self>, Self::Output>>;
    /// The decoder of the values of the function's error type; none if it returns no `Result`.
    const ERROR: Option<ErrorCodec>;
    /// The items, if the function makes a stream.
    const STREAM: Option<StreamSpec> = None;
}
