//! What `#[remote]` says of a function: the trait that it implements, and the shapes a body may have.

use std::future::Future;
use std::pin::Pin;

use crate::base::error::Error;
use crate::base::error::conversion::ErrorCodec;
use crate::base::options::TaskOptions;
use crate::call::bounds::{Args, Shareable};
use crate::call::codec::Codec;
use crate::call::refs::Refs;
use crate::call::spec::Spec;

/// What a body ends with.
pub type Outcome<R> = Result<R, Error>;

/// A boxed future of the engine.
pub type BoxFuture<'a, R> = Pin<Box<dyn Future<Output = R> + Send + 'a>>;

/// The body of a function. A constant, so that the compiler sees through it.
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

/// How arguments are kept for another attempt.
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
    /// Each attempt gets a clone.
    #[must_use]
    pub const fn cloning() -> Self {
        Self(P::clone)
    }
}

/// The stored arguments of a function.
pub(crate) type ArgsOf<F> = <F as Function>::Args;

/// A remote function. Implemented by `#[remote]`, by nobody else.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no remote function",
    note = "write `#[remote]` above the function, or run a closure with `ray::task(move || ..)`"
)]
pub trait Function: Copy + Send + Sync + 'static {
    /// Its arguments as they are kept: `Arg<T>` for a parameter `T`, `Shared<T>` for `&T`.
    type Args: Args;
    /// The type of the object it makes (of a `Result`, the `Ok` type).
    type Output: Shareable;
    /// What a submission returns.
    type Refs: Refs<Self::Output>;
    /// Name and place.
    const SPEC: &'static Spec;
    /// The body.
    const CALL: FunctionCall<ArgsOf<Self>, Self::Output>;
    /// The attribute's options.
    const OPTIONS: TaskOptions = TaskOptions::new();
    /// How arguments are kept, where the attribute asks for retries.
    const RETRY: Option<RetryArgs<ArgsOf<Self>>> = None;
    /// How arguments and result are encoded and decoded; none for `local` ones.
    const CODEC: Option<Codec<ArgsOf<Self>, Self::Output>>;
    /// How the values of its error type are decoded; none where it returns no `Result`.
    const ERROR: Option<ErrorCodec>;
}
