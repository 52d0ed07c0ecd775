//! A user's error value, and the chain of its causes.
//!
//! The user code that is called here (`Display`, `source`, `as_ref`) may panic, and a chain of sources may never end. The engine
//! prints errors on its own threads, so a panic becomes a text, and the length of a chain is bounded.

use std::any::{Any, TypeId, type_name};
use std::error::Error as StdError;
use std::fmt::{Display, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::base::error::Result;
use crate::base::error::std_errors::for_each_std_error;

/// Returns a user's value, or the error that it wraps, as the first error of its chain; none for a type that is only `Display`.
pub(super) type Head<E> = for<'a> fn(&'a E) -> Option<&'a (dyn StdError + 'static)>;

/// The bytes of a user's value.
pub(super) type Encode<E> = fn(&E) -> Result<Vec<u8>>;

pub(super) type BoxedError = Box<dyn StdError + Send + Sync>;

/// How many causes of one value are followed: a `source` that returns its own error would never end.
pub(super) const LONGEST_CHAIN: usize = 128;

/// A user's own error value, erased.
pub(super) trait Payload: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    /// The value's text, formatted with `{:#}` if `alternate`.
    fn text(&self, alternate: bool) -> String;
    /// The first error of the chain: the value itself, or what it wraps.
    fn head(&self) -> Option<&(dyn StdError + 'static)>;
    /// The value in MessagePack; none where its type is not serialisable, or its `Serialize` fails.
    fn encode(&self) -> Option<Vec<u8>>;
    /// The name of the value's type, for messages.
    fn type_name(&self) -> &'static str;
}

/// A user's value with the functions that the macro found for its type.
pub(super) struct Owned<E> {
    /// None only during the drop.
    error: Option<E>,
    head: Head<E>,
    encode: Option<Encode<E>>,
}

impl<E> Owned<E> {
    pub(super) fn new(error: E, head: Head<E>, encode: Option<Encode<E>>) -> Owned<E> {
        Owned { error: Some(error), head, encode }
    }

    fn value(&self) -> &E {
        self.error.as_ref().expect("only the drop takes the value")
    }
}

/// The engine's threads drop errors too; a panic of a user's `Drop` must not end them.
impl<E> Drop for Owned<E> {
    fn drop(&mut self) {
        crate::base::users_code::quietly(|| drop(self.error.take()));
    }
}

impl<E: Display + Send + Sync + 'static> Payload for Owned<E> {
    fn as_any(&self) -> &dyn Any {
        self.value()
    }

    fn text(&self, alternate: bool) -> String {
        shown(self.value(), alternate)
    }

    fn head(&self) -> Option<&(dyn StdError + 'static)> {
        // In generic code method resolution does not see that the type is a box of an error.
        match (self.value() as &dyn Any).downcast_ref::<BoxedError>() {
            Some(boxed) => Some(&**boxed),
            None => guarded(|| (self.head)(self.value())).flatten(),
        }
    }

    fn encode(&self) -> Option<Vec<u8>> {
        let encode = self.encode?;
        guarded(|| encode(self.value()).ok()).flatten()
    }

    fn type_name(&self) -> &'static str {
        type_name::<E>()
    }
}

/// The [`Head`] of a type that is only `Display`.
pub(super) fn no_head<E>(_: &E) -> Option<&(dyn StdError + 'static)> {
    None
}

/// `error.source()`; none if that panics.
pub(super) fn source_of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    guarded(|| error.source()).flatten()
}

/// An error and its causes, at most [`LONGEST_CHAIN`].
pub(super) fn chain<'a>(first: Option<&'a (dyn StdError + 'static)>) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(first, |error| source_of(*error)).take(LONGEST_CHAIN)
}

/// The cause as an `E`, if `E` is an error type of the standard library or [`Error`](crate::base::error::Error). The `downcast_ref`
/// of `dyn Error` needs an `E: Error`, which is not known here.
pub(super) fn as_known<'a, E: 'static>(cause: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    macro_rules! known {
        ($($type:ty),*) => {
            $(if TypeId::of::<E>() == TypeId::of::<$type>() {
                return (cause.downcast_ref::<$type>()? as &dyn Any).downcast_ref();
            })*
        };
    }
    known!(crate::base::error::Error);
    for_each_std_error!(known);
    None
}

/// The text of a user's value, also if its `Display` fails or panics.
pub(super) fn shown(value: &(impl Display + ?Sized), alternate: bool) -> String {
    let mut text = String::new();
    let written = guarded(|| if alternate { write!(text, "{value:#}") } else { write!(text, "{value}") });
    match written {
        Some(Ok(())) => text,
        Some(Err(_)) => text + "(an error whose Display failed)",
        None => text + "(an error whose Display panicked)",
    }
}

/// The result of user code; none if it panics.
pub(super) fn guarded<R>(call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call)).map_err(crate::base::users_code::drop_payload).ok()
}
