//! Remote functions and methods in generic code.

use crate::actor::class::RemoteMethod;
use crate::actor::send;
use crate::api::method::{BorrowedMethod, Method};
use crate::call::function::Function;
use crate::call::params::IntoParam;
use crate::engine::submit;
use crate::object::object_ref::ObjectRef;

/// A remote function, or a method of an actor's handle, that can be called with the arguments `Args`, a tuple: the bound of code that is
/// generic over the function. All functions and methods with `#[remote]` implement it, but functions that are themselves generic. Sealed.
///
/// An argument is what `f.remote(..)` takes: a value, or a reference to one.
///
/// ```
/// # mod ray { pub use ray_core::*; pub use ray_macros::remote; }
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

macro_rules! functions {
    ($($X:ident $P:ident)*) => {
        impl<F: Function<Args = ($($P,)*)>, $($P, $X: IntoParam<$P>),*> sealed::Sealed<($($X,)*)> for F {}
        #[allow(non_snake_case, clippy::unused_unit)]
        impl<F: Function<Args = ($($P,)*)>, $($P, $X: IntoParam<$P>),*> RemoteFunction<($($X,)*)> for F {
            type Output = F::Output;
            #[inline]
            fn remote(&self, ($($X,)*): ($($X,)*)) -> ObjectRef<F::Output> {
                submit::submit_plain::<F>(($($X.into_param(),)*))
            }
        }

        impl<M: RemoteMethod<Args = ($($P,)*)>, $($P, $X: IntoParam<$P>),*> sealed::Sealed<($($X,)*)> for Method<M, ($($P,)*)> {}
        #[allow(non_snake_case, clippy::unused_unit)]
        impl<M: RemoteMethod<Args = ($($P,)*)>, $($P, $X: IntoParam<$P>),*> RemoteFunction<($($X,)*)> for Method<M, ($($P,)*)> {
            type Output = M::Output;
            #[inline]
            fn remote(&self, ($($X,)*): ($($X,)*)) -> ObjectRef<M::Output> {
                send::call_whole::<M>(self.link(), ($($X.into_param(),)*), None, None)
            }
        }

        impl<M: RemoteMethod<Args = ($($P,)*)>, $($P, $X: IntoParam<$P>),*> sealed::Sealed<($($X,)*)> for BorrowedMethod<'_, M, ($($P,)*)> {}
        #[allow(non_snake_case, clippy::unused_unit)]
        impl<M: RemoteMethod<Args = ($($P,)*)>, $($P, $X: IntoParam<$P>),*> RemoteFunction<($($X,)*)> for BorrowedMethod<'_, M, ($($P,)*)> {
            type Output = M::Output;
            #[inline]
            fn remote(&self, ($($X,)*): ($($X,)*)) -> ObjectRef<M::Output> {
                send::call_whole::<M>(self.0.link(), ($($X.into_param(),)*), None, None)
            }
        }
    };
}
functions! {}
functions! { X0 P0 }
functions! { X0 P0 X1 P1 }
functions! { X0 P0 X1 P1 X2 P2 }
functions! { X0 P0 X1 P1 X2 P2 X3 P3 }
functions! { X0 P0 X1 P1 X2 P2 X3 P3 X4 P4 }
functions! { X0 P0 X1 P1 X2 P2 X3 P3 X4 P4 X5 P5 }
functions! { X0 P0 X1 P1 X2 P2 X3 P3 X4 P4 X5 P5 X6 P6 }
functions! { X0 P0 X1 P1 X2 P2 X3 P3 X4 P4 X5 P5 X6 P6 X7 P7 }
functions! { X0 P0 X1 P1 X2 P2 X3 P3 X4 P4 X5 P5 X6 P6 X7 P7 X8 P8 }
functions! { X0 P0 X1 P1 X2 P2 X3 P3 X4 P4 X5 P5 X6 P6 X7 P7 X8 P8 X9 P9 }
functions! { X0 P0 X1 P1 X2 P2 X3 P3 X4 P4 X5 P5 X6 P6 X7 P7 X8 P8 X9 P9 X10 P10 }
functions! { X0 P0 X1 P1 X2 P2 X3 P3 X4 P4 X5 P5 X6 P6 X7 P7 X8 P8 X9 P9 X10 P10 X11 P11 }
