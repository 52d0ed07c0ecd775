//! Parameters: the types that a caller may pass, by the form in which the argument is kept.

use crate::call::arg::{Arg, IntoArg, IntoShared, Lend, Shared};

/// The types that a caller may pass for a parameter: [`IntoArg`] for a `T`, [`IntoShared`] for a `&T`.
#[diagnostic::on_unimplemented(
    message = "the remote call does not take a `{Self}` here",
    label = "not for a parameter that is kept as `{P}`",
    note = "a parameter `T` is kept as `Arg<T>`: it takes a `T`, an `ObjectRef<T>` or `&ObjectRef<T>`, an `Arc<T>`; a reference or an `Arc` needs `T: Clone`",
    note = "a parameter `&T` is kept as `Shared<T>`: it takes the owned value, a reference to such an object, or an `Arc` of it"
)]
pub trait IntoParam<P> {
    /// Converts the argument into the form in which it is kept.
    fn into_param(self) -> P;
}

impl<T, X: IntoArg<T>> IntoParam<Arg<T>> for X {
    #[inline]
    fn into_param(self) -> Arg<T> {
        self.into_arg()
    }
}

impl<T: Lend + ?Sized, X: IntoShared<T>> IntoParam<Shared<T>> for X {
    #[inline]
    fn into_param(self) -> Shared<T> {
        self.into_shared()
    }
}
