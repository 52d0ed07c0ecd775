//! Remote functions and methods in generic code.

use crate::actor::class::RemoteMethod;
use crate::actor::send;
use crate::api::method::BorrowedMethod;
use crate::call::function::Function;
use crate::call::params::FromArgument;
use crate::call::refs::WholeRefs;
use crate::engine::submit;
use crate::object::object_ref::ObjectRef;

/// A remote function, or a method of an actor's handle, that can be called with the arguments `Args`, a tuple: the bound of code that is
/// generic over the function. All functions and methods with `#[remote]` implement it, but functions that are themselves generic, and
/// those that return a stream. Sealed.
///
/// An argument is what `f.remote(..)` takes: a value, or a reference to one.
///
/// ```
/// # extern crate ray_core as ray;
/// # use ray_macros::remote;
/// use ray::{ObjectRef, RemoteFunction};
///
/// fn each<A, F: RemoteFunction<(A,)>>(function: F, items: Vec<A>) -> Vec<ObjectRef<F::Output>> {
///     items.into_iter().map(|item| function.remote((item,))).collect()
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no remote function that takes the arguments `{Args}`",
    label = "expected a function or a method with `#[remote]`",
    note = "the arguments are a tuple: `RemoteFunction<(A,)>` for a function with one parameter"
)]
pub trait RemoteFunction<Args>: sealed::Sealed<Args> {
    /// The type of the object that a call makes: for a `Result` the `Ok` type, with `num_returns` the whole tuple.
    type Output: Send + Sync + 'static;
    /// Submits a call and returns at once. All errors come from the reference.
    fn remote(&self, args: Args) -> ObjectRef<Self::Output>;
}

mod sealed {
    pub trait Sealed<Args> {}
}

/// A remote function or a method, as `#[remote]` makes it: it takes the arguments in the form in which they are kept.
#[doc(hidden)]
pub trait Called {
    /// The arguments.
    type Args;
    /// The type of the object that a call makes.
    type Output: Send + Sync + 'static;
    /// The return type of a submission.
    type Refs;
    /// Submits a call.
    fn call_whole(&self, args: Self::Args) -> ObjectRef<Self::Output>;
}

impl<F: Function> Called for F {
    type Args = F::Args;
    type Output = F::Output;
    type Refs = F::Refs;
    #[inline]
    fn call_whole(&self, args: F::Args) -> ObjectRef<F::Output> {
        submit::submit_plain::<F>(args)
    }
}

impl<M: RemoteMethod> Called for BorrowedMethod<'_, M> {
    type Args = M::Args;
    type Output = M::Output;
    type Refs = M::Refs;
    #[inline]
    fn call_whole(&self, args: M::Args) -> ObjectRef<M::Output> {
        send::call_whole::<M>(self.link(), args, None, None)
    }
}

macro_rules! functions {
    ($($P:ident $X:ident $argument:ident)*) => {
        impl<F: Called<Args = ($($P,)*), Refs: WholeRefs>, $($P: FromArgument<$X>, $X),*> sealed::Sealed<($($X,)*)> for F {}
        #[allow(clippy::unused_unit)]
        impl<F: Called<Args = ($($P,)*), Refs: WholeRefs>, $($P: FromArgument<$X>, $X),*> RemoteFunction<($($X,)*)> for F {
            type Output = F::Output;
            #[inline]
            fn remote(&self, ($($argument,)*): ($($X,)*)) -> ObjectRef<F::Output> {
                self.call_whole(($($P::from_argument($argument),)*))
            }
        }
    };
}
crate::base::arity::for_each_signature!(functions);
