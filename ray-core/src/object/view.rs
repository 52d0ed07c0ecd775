//! Reading an object in place, and taking it out.

use std::fmt;
use std::ops::Deref;

use crate::base::error::Error;
use crate::object::object_ref::ObjectRef;

/// An object, read where it lies; it keeps the object alive. Made by [`ObjectRef::view`].
pub struct View<T>(pub(crate) ObjectRef<T>);

impl<T> Deref for View<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.ready_value()
    }
}

impl<T: fmt::Debug> fmt::Debug for View<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Why an object could not be taken out.
pub enum TakeError<T> {
    /// Others hold references too: here is yours back.
    Shared(ObjectRef<T>),
    /// The task failed, or the engine is gone.
    Failed(Error),
}

impl<T> fmt::Debug for TakeError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(object) => f.debug_tuple("Shared").field(object).finish(),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<T> fmt::Display for TakeError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shared(_) => {
                f.write_str("other references share the object: read it in place with `view`, or clone it with `ray::get`")
            }
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<T> std::error::Error for TakeError<T> {}

impl<T> From<TakeError<T>> for Error {
    fn from(error: TakeError<T>) -> Self {
        match error {
            TakeError::Failed(error) => error,
            shared @ TakeError::Shared(_) => Self::new(crate::base::error::ErrorKind::InvalidArgument, shared.to_string()),
        }
    }
}
