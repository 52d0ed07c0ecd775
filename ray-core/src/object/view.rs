//! `View`, which reads an object in place, and the error of taking an object out.

use std::fmt;
use std::ops::Deref;

use crate::base::error::Error;
use crate::object::object_ref::ObjectRef;

/// Read access to an object in place; made by [`ObjectRef::view`]. It keeps the object alive.
///
/// ```
/// # extern crate ray_core as ray;
/// let view = ray::put(vec![1, 2, 3]).view()?;
/// assert_eq!(view.iter().sum::<i32>(), 6);
/// # Ok::<(), ray::Error>(())
/// ```
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

/// Why [`ObjectRef::take`] could not take the value out of an object.
pub enum TakeError<T> {
    /// Other references to the object exist. This is the reference of the call.
    Shared(ObjectRef<T>),
    /// The task failed, or the engine was shut down.
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
