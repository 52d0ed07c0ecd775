//! Parameters: the types that a caller may pass, by the form in which the argument is kept.

use crate::call::arg::{Arg, IntoArg, IntoShared, Lend, Shared};

/// A form in which an argument is kept, made of an argument of type `X`: [`IntoArg`] for a parameter `T`, [`IntoShared`] for `&T`.
///
/// The argument is the type parameter and not `Self`, because rustc then reports an unsuitable argument with the message of `IntoArg`
/// or `IntoShared`, which name the types that the user wrote.
pub trait FromArgument<X> {
    /// Converts the argument into the form in which it is kept.
    fn from_argument(argument: X) -> Self;
}

impl<T, X: IntoArg<T>> FromArgument<X> for Arg<T> {
    #[inline]
    fn from_argument(argument: X) -> Self {
        argument.into_arg()
    }
}

impl<T: Lend + ?Sized, X: IntoShared<T>> FromArgument<X> for Shared<T> {
    #[inline]
    fn from_argument(argument: X) -> Self {
        argument.into_shared()
    }
}
