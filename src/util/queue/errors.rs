//! The errors of a queue.

use std::fmt;

use ray_core::{Error, ErrorKind};

/// Why an item was not put. `?` converts it to a [`ray::Error`](crate::Error), whose kind is `QueueFull` for `Full`.
pub enum PutError<T> {
    /// The queue is full, or was full until the time-out; the item comes back.
    Full(T),
    /// The call failed. The item is lost, except if the error says that it was refused.
    Failed(Error),
}

/// Why the items of a batch were not put. `?` converts it to a [`ray::Error`](crate::Error), whose kind is `QueueFull` for `Full`.
pub enum PutBatchError<T> {
    /// The queue has no room for all of them; they come back.
    Full {
        /// The items, in their order.
        items: Vec<T>,
        /// The number of items in the queue.
        size: usize,
    },
    /// The call failed. The items are lost.
    Failed(Error),
}

/// Why there is no item. `?` converts it to a [`ray::Error`](crate::Error), whose kind is `QueueEmpty` for `Empty`.
#[derive(Debug)]
pub enum GetError {
    /// The queue has too few items, or had none until the time-out.
    Empty,
    /// The call failed.
    Failed(Error),
}

const FULL: &str = "the queue is full";
const EMPTY: &str = "the queue has too few items";

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str(FULL),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl<T> fmt::Display for PutBatchError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { items, size } => write!(f, "the queue has no room for {} items: it has {size}", items.len()),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str(EMPTY),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

/// Does not print the item, so that `unwrap` works for all types.
impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

/// Does not print the items, so that `unwrap` works for all types.
impl<T> fmt::Debug for PutBatchError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { items, size } => write!(f, "Full {{ {} items, size: {size} }}", items.len()),
            Self::Failed(error) => f.debug_tuple("Failed").field(error).finish(),
        }
    }
}

impl<T> std::error::Error for PutError<T> {}
impl<T> std::error::Error for PutBatchError<T> {}
impl std::error::Error for GetError {}

impl<T> From<Error> for PutError<T> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<T> From<Error> for PutBatchError<T> {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Error> for GetError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl<T> From<PutError<T>> for Error {
    fn from(error: PutError<T>) -> Error {
        match error {
            PutError::Full(_) => Error::of_kind(ErrorKind::QueueFull, FULL),
            PutError::Failed(error) => error,
        }
    }
}

impl<T> From<PutBatchError<T>> for Error {
    fn from(error: PutBatchError<T>) -> Error {
        let what = error.to_string();
        match error {
            PutBatchError::Full { .. } => Error::of_kind(ErrorKind::QueueFull, what),
            PutBatchError::Failed(error) => error,
        }
    }
}

impl From<GetError> for Error {
    fn from(error: GetError) -> Error {
        match error {
            GetError::Empty => Error::of_kind(ErrorKind::QueueEmpty, EMPTY),
            GetError::Failed(error) => error,
        }
    }
}
