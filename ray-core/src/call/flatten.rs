//! What a closure returned as the outcome of its task: the three sorts of `Result` that are flattened, and all else.

use std::error::Error as StdError;

use crate::base::error::Error;
use crate::base::error::conversion::UserError;
use crate::call::function::Outcome;

/// Types that `Task` itself submits: a `Result` whose error is an `Error`. `()` and `!` are here for closures that only
/// panic: rustc knows their type when it has chosen the method.
pub trait Fallible {}
impl<T, E: StdError + Send + Sync + 'static> Fallible for Result<T, E> {}
impl Fallible for () {}
impl Fallible for Never {}

/// A `Result` whose error is a wrapper of errors.
pub trait FallibleByWrapper {}
impl<T, E: AsRef<dyn StdError + Send + Sync> + UserError> FallibleByWrapper for Result<T, E> {}

/// A `Result` whose error is a text.
pub trait FallibleByText {}
impl<T, E: UserError> FallibleByText for Result<T, E> {}

/// `!`, which stable Rust has no other name for.
pub(crate) type Never = <fn() -> ! as Returns>::Type;
/// What a function pointer returns.
pub trait Returns {
    /// The type.
    type Type;
}
impl<R> Returns for fn() -> R {
    type Type = R;
}

/// How what a closure returned becomes the value `T` of its object.
pub trait Finish<R, T>: 'static {
    /// The value, or the error that fails the object.
    fn finish(returned: R) -> Outcome<T>;
}
/// The value is what it returned.
#[derive(Debug)]
pub(crate) struct Whole;
/// The value is what its `Ok` held.
#[derive(Debug)]
pub struct Flattened;
/// The same, of a told task: no reference says which type a closure that never returns is of.
#[derive(Debug)]
pub struct FlattenedUnread;
/// The same, where the error wraps another.
#[derive(Debug)]
pub struct FlattenedByWrapper;
/// The same, where the error is a text.
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
