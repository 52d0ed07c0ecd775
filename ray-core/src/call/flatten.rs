//! The conversion of a closure's return value into the outcome of its task: three kinds of `Result` are flattened, all other types
//! are the value itself.

use std::error::Error as StdError;

use crate::base::error::Error;
use crate::base::error::conversion::UserError;
use crate::call::function::Outcome;

/// Return types of closures that `Task` itself submits: a `Result` whose error is an `Error`. `()` and `!` are included for
/// closures that only panic, because rustc chooses the method before it knows their type.
pub trait Fallible {}
impl<T, E: StdError + Send + Sync + 'static> Fallible for Result<T, E> {}
impl Fallible for () {}
impl Fallible for Never {}

/// A `Result` whose error wraps another error.
pub trait FallibleByWrapper {}
impl<T, E: AsRef<dyn StdError + Send + Sync> + UserError> FallibleByWrapper for Result<T, E> {}

/// A `Result` whose error is only a text.
pub trait FallibleByText {}
impl<T, E: UserError> FallibleByText for Result<T, E> {}

/// The type `!`; stable Rust has no other way to name it.
pub(crate) type Never = <fn() -> ! as Returns>::Type;
/// The return type of a function pointer.
pub trait Returns {
    /// The type.
    type Type;
}
impl<R> Returns for fn() -> R {
    type Type = R;
}

/// The conversion of a closure's return value `R` into the value `T` of the object.
pub trait Finish<R, T>: 'static {
    /// Returns the value, or the error with which the object fails.
    fn finish(returned: R) -> Outcome<T>;
}
/// The value is the return value itself.
#[derive(Debug)]
pub(crate) struct Whole;
/// The value is that of the `Ok`.
#[derive(Debug)]
pub struct Flattened;
/// Like [`Flattened`], for a task without a reference. There the type of a closure that never returns would be ambiguous.
#[derive(Debug)]
pub struct FlattenedUnread;
/// Like [`Flattened`], for an error that wraps another.
#[derive(Debug)]
pub struct FlattenedByWrapper;
/// Like [`Flattened`], for an error that is only a text.
#[derive(Debug)]
pub struct FlattenedByText;

impl<R> Finish<R, R> for Whole {
    fn finish(returned: R) -> Outcome<R> {
        Ok(returned)
    }
}
impl<T, E: StdError + Send + Sync + 'static> Finish<Result<T, E>, T> for Flattened {
    fn finish(returned: Result<T, E>) -> Outcome<T> {
        returned.map_err(|error| Error::of_body(error, |error| Some(error)))
    }
}
impl Finish<(), ()> for Flattened {
    fn finish((): ()) -> Outcome<()> {
        Ok(())
    }
}
impl<T> Finish<Never, T> for Flattened {
    fn finish(returned: Never) -> Outcome<T> {
        returned
    }
}
impl<T, E: StdError + Send + Sync + 'static> Finish<Result<T, E>, T> for FlattenedUnread {
    fn finish(returned: Result<T, E>) -> Outcome<T> {
        Flattened::finish(returned)
    }
}
impl Finish<(), ()> for FlattenedUnread {
    fn finish((): ()) -> Outcome<()> {
        Ok(())
    }
}
impl Finish<Never, ()> for FlattenedUnread {
    fn finish(returned: Never) -> Outcome<()> {
        returned
    }
}
impl<T, E: AsRef<dyn StdError + Send + Sync> + UserError> Finish<Result<T, E>, T> for FlattenedByWrapper {
    fn finish(returned: Result<T, E>) -> Outcome<T> {
        returned.map_err(|error| Error::of_body(error, |error| Some(error.as_ref())))
    }
}
impl<T, E: UserError> Finish<Result<T, E>, T> for FlattenedByText {
    fn finish(returned: Result<T, E>) -> Outcome<T> {
        returned.map_err(|error| Error::of_body(error, |_| None))
    }
}
