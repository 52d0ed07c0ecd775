//! What `#[remote]` writes about a body's outcome, decided by the types it cannot see.
//!
//! The macro knows only the words of a return type. The choices below are made where the types are known, by method
//! resolution: a method is looked up on `&&Carrier<E>`, which finds the most special of several traits whose bounds hold.
//! In a generic function only the bounds that its author wrote count.

use std::fmt::Display;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::error::payload::{Head, Owned, guarded};
use crate::base::error::wire::UserValue;
use crate::base::error::{Error, ErrorKind};

/// A type, in a value that methods can be looked up on.
#[derive(Debug)]
pub struct Carrier<T: ?Sized>(PhantomData<fn() -> PhantomData<T>>);

impl<T: ?Sized> Carrier<T> {
    /// The carrier of a type that is written.
    pub const NEW: Carrier<T> = Carrier(PhantomData);
}

impl<T> Carrier<T> {
    /// The carrier of a value's type.
    #[must_use]
    pub const fn of(_: &T) -> Carrier<T> {
        Carrier::NEW
    }
}

/// What the error of a remote function or method must be.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a remote function",
    label = "this body's `Err` is a `{Self}`, which is not `Display + Send + Sync + 'static`",
    note = "implement `std::fmt::Display` for it, or return `ray::Result<..>` and make the error with `ray::Error::other(..)`"
)]
pub trait UserError: Display + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<E: Display + Send + Sync + 'static> UserError for E {}

/// Ray's own error passes through unwrapped.
#[derive(Debug)]
pub struct Own;
/// A serde type travels typed.
#[derive(Debug)]
pub struct Portable;
/// Any other error travels as its text.
#[derive(Debug)]
pub struct Text;

/// First choice: types that are known by name.
pub trait KnownKind {
    /// Which of the ways.
    type Kind;
    /// The way to an [`Error`].
    fn ray_error_kind(&self) -> Self::Kind;
}
impl KnownKind for &&Carrier<Error> {
    type Kind = Own;
    fn ray_error_kind(&self) -> Own {
        Own
    }
}
/// It is `Deserialize`, but only from bytes that live for ever, which method resolution, blind to lifetimes, does not see.
impl KnownKind for &&Carrier<&'static str> {
    type Kind = Text;
    fn ray_error_kind(&self) -> Text {
        Text
    }
}

/// Second choice.
pub trait PortableKind {
    /// The way to an [`Error`].
    fn ray_error_kind(&self) -> Portable {
        Portable
    }
}
impl<E: Serialize + DeserializeOwned + Display + Send + Sync + 'static> PortableKind for &Carrier<E> {}

/// Last choice; of every type, so that a type that will not do is refused by [`UserError`]'s words.
pub trait TextKind {
    /// The way to an [`Error`].
    fn ray_error_kind(&self) -> Text {
        Text
    }
}
impl<E> TextKind for Carrier<E> {}

impl Own {
    /// The error itself.
    #[must_use]
    pub fn ray_error(self, error: Error, _: Head<Error>) -> Error {
        error
    }

    /// None: the body has made no value of its own.
    #[must_use]
    pub fn ray_decode(self, _: &[u8], _: Head<Error>) -> Option<UserValue> {
        None
    }
}

impl Portable {
    /// The error with its glue.
    #[must_use]
    pub fn ray_error<E>(self, error: E, head: Head<E>) -> Error
    where
        E: Serialize + DeserializeOwned + Display + Send + Sync + 'static,
    {
        Error::of_user(ErrorKind::Task, error, head, Some(crate::base::value::encode::<E>))
    }

    /// The value of its bytes; none if they are no value of this type.
    #[must_use]
    pub fn ray_decode<E>(self, bytes: &[u8], head: Head<E>) -> Option<UserValue>
    where
        E: Serialize + DeserializeOwned + Display + Send + Sync + 'static,
    {
        let value = guarded(|| crate::base::value::decode::<E>(bytes).ok()).flatten()?;
        Some(UserValue(Arc::new(Owned::new(value, head, Some(crate::base::value::encode::<E>)))))
    }
}

impl Text {
    /// The error alone.
    #[must_use]
    pub fn ray_error<E: UserError>(self, error: E, head: Head<E>) -> Error {
        Error::of_user(ErrorKind::Task, error, head, None)
    }

    /// None: such a value is not encoded.
    #[must_use]
    pub fn ray_decode<E>(self, _: &[u8], _: Head<E>) -> Option<UserValue> {
        None
    }
}

/// Decodes the values of the error type of one function, method or constructor. Made by `#[remote]`.
#[derive(Clone, Copy, Debug)]
pub struct ErrorCodec(pub(super) fn(&[u8]) -> Option<UserValue>);

impl ErrorCodec {
    /// The codec of the function that decodes a value.
    #[must_use]
    pub const fn new(decode: fn(&[u8]) -> Option<UserValue>) -> Self {
        Self(decode)
    }
}

/// First choice: the error type of a `Result`.
pub trait HasErr<E> {
    /// The carrier of the error type.
    fn ray_err(&self) -> Carrier<E> {
        Carrier::NEW
    }
}
impl<T, E> HasErr<E> for &Carrier<std::result::Result<T, E>> {}

/// Second choice: a type that is no `Result`, which rustc refuses elsewhere.
pub trait NoErr {
    /// The carrier of a type that is no error.
    fn ray_err(&self) -> Carrier<()> {
        Carrier::NEW
    }
}
impl<T: ?Sized> NoErr for Carrier<T> {}

/// The value of an `ERROR`: how the values of the error type in a return type are decoded.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_error_codec {
    () => {
        ::core::option::Option::None
    };
    ($result:ty) => {
        ::core::option::Option::Some($crate::__private::ErrorCodec::new(|__bound_bytes| {
            use $crate::__private::{
                ErrorHead as _, HasErr as _, KnownKind as _, NoErr as _, NoHead as _, PortableKind as _, TextKind as _,
                WrappedHead as _,
            };
            let __bound_carrier = (&&$crate::__private::Carrier::<$result>::NEW).ray_err();
            let __bound_head = (&&&__bound_carrier).ray_error_head();
            (&&&__bound_carrier).ray_error_kind().ray_decode(__bound_bytes, __bound_head)
        }))
    };
}
pub use crate::__ray_error_codec as error_codec;

/// First choice: an error, which can be asked for its source.
pub trait ErrorHead<E> {
    /// How to see the value as the first error of its chain.
    fn ray_error_head(&self) -> Head<E>;
}
impl<E: std::error::Error + 'static> ErrorHead<E> for &&Carrier<E> {
    fn ray_error_head(&self) -> Head<E> {
        |error| Some(error)
    }
}

/// Second choice: a wrapper of an error, such as `anyhow::Error`, `eyre::Report` and `Box<dyn Error + Send + Sync>`.
pub trait WrappedHead<E> {
    /// How to see what it wraps.
    fn ray_error_head(&self) -> Head<E>;
}
impl<E: AsRef<dyn std::error::Error + Send + Sync> + 'static> WrappedHead<E> for &Carrier<E> {
    fn ray_error_head(&self) -> Head<E> {
        |error| Some(error.as_ref())
    }
}

/// Last choice: a value that is only `Display`.
pub trait NoHead<E> {
    /// How to get nothing.
    fn ray_error_head(&self) -> Head<E>;
}
impl<E> NoHead<E> for Carrier<E> {
    fn ray_error_head(&self) -> Head<E> {
        crate::base::error::payload::no_head
    }
}

/// A body's `Err(error)` as an [`Error`]: ray's own as it is, a serde type with its glue, any other that is
/// `Display + Send + Sync + 'static` as it is here and as its text where it has to travel.
#[doc(hidden)]
#[macro_export]
macro_rules! task_error {
    ($error:expr) => {
        match $error {
            // A binding called as a unit struct in scope would match it, and a user's remote function is a unit struct.
            __bound_error => {
                use $crate::__private::{
                    ErrorHead as _, KnownKind as _, NoHead as _, PortableKind as _, TextKind as _, WrappedHead as _,
                };
                let __bound_carrier = $crate::__private::Carrier::of(&__bound_error);
                let __bound_head = (&&&__bound_carrier).ray_error_head();
                (&&&__bound_carrier).ray_error_kind().ray_error(__bound_error, __bound_head)
            }
        }
    };
}

/// The `Ok` type of a return type that is written as `Result<..>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is called `Result` but is none",
    label = "a remote function's return type that is called `Result` must be `std::result::Result` or an alias of it",
    note = "rename the type, or return `Result<T, E>`"
)]
pub trait ResultType {
    /// What the reference holds.
    type Ok;
    /// What fails it.
    type Err;
}

impl<T, E> ResultType for std::result::Result<T, E> {
    type Ok = T;
    type Err = E;
}

/// A return type of a remote function that is not written as `Result<..>`.
#[diagnostic::on_unimplemented(
    message = "this return type is a `Result` behind an alias",
    label = "`#[remote]` goes by the name that is written and takes this for a plain value",
    note = "write `Result<T, E>` itself as the return type: then the reference holds the `T`, and an `Err` fails it"
)]
pub trait PlainReturn {}

/// The answer for a `Result`.
#[derive(Debug)]
pub struct HiddenResult;
/// The answer for every other type.
#[derive(Debug)]
pub struct Plain;
impl PlainReturn for Plain {}

/// First choice: a `Result`.
pub trait HiddenResultKind {
    /// Which of the two the type is.
    fn ray_return_kind(&self) -> HiddenResult {
        HiddenResult
    }
}
impl<T, E> HiddenResultKind for &Carrier<std::result::Result<T, E>> {}

/// Second choice: anything.
pub trait PlainKind {
    /// Which of the two the type is.
    fn ray_return_kind(&self) -> Plain {
        Plain
    }
}
impl<T: ?Sized> PlainKind for Carrier<T> {}

/// Compiles for a [`Plain`] only.
pub fn require_plain_return<K: PlainReturn>(_: K) {}

/// An item that does not compile if the type is a `Result`, whatever its name; nothing remains of it otherwise.
#[doc(hidden)]
#[macro_export]
macro_rules! not_a_result {
    ($type:ty) => {
        const _: fn() = || {
            use $crate::__private::{HiddenResultKind as _, PlainKind as _};
            $crate::__private::require_plain_return((&&$crate::__private::Carrier::<$type>::NEW).ray_return_kind());
        };
    };
}

#[cfg(test)]
#[allow(unused_imports, reason = "elsewhere the macros are another crate's, where lints do not look")]
mod tests {
    use super::*;

    #[derive(Serialize, serde::Deserialize, PartialEq, Debug)]
    struct Serde(u32);
    impl Display for Serde {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "serde {}", self.0)
        }
    }

    const SERDE: Option<ErrorCodec> = error_codec!(std::result::Result<(), Serde>);
    const STD: Option<ErrorCodec> = error_codec!(std::result::Result<u8, std::num::ParseIntError>);
    const STATIC: Option<ErrorCodec> = error_codec!(std::result::Result<(), &'static str>);
    const OWN: Option<ErrorCodec> = error_codec!(crate::base::error::Result<()>);

    fn travelled(error: &Error, codec: Option<ErrorCodec>) -> (Error, bool) {
        let arrived = error.encode().decode_with(codec, |_| None);
        (arrived.error, arrived.lost.is_none())
    }

    #[test]
    fn an_error_keeps_its_type_where_it_can() {
        let (serde, typed) = travelled(&crate::task_error!(Serde(7)), SERDE);
        assert_eq!((serde.downcast_ref(), typed, serde.kind()), (Some(&Serde(7)), true, ErrorKind::Task));
        let (text, typed) = travelled(&serde, STD);
        assert!(text.downcast_ref::<Serde>().is_none() && !typed && text.to_string() == "serde 7");
        assert!(!travelled(&serde, OWN).1);

        let error = crate::task_error!("x".parse::<i32>().unwrap_err());
        assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
        let (text, typed) = travelled(&error, STD);
        assert!(text.downcast_ref::<std::num::ParseIntError>().is_none() && !typed);
        assert_eq!(text.to_string(), "invalid digit found in string");

        let (text, typed) = travelled(&crate::task_error!("static"), STATIC);
        assert!(text.to_string() == "static" && !typed, "&'static str cannot be decoded");
    }

    #[test]
    fn an_error_of_ours_passes_through() {
        let error = crate::task_error!(Error::new(ErrorKind::GetTimeout, "late"));
        assert!(error.is_timeout());
        let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
        assert!(crate::task_error!(boxed).is_timeout());
        let boxed: Box<dyn std::error::Error + Send + Sync> = "other".into();
        assert!(crate::task_error!(boxed).is_task());
    }

    #[test]
    fn an_error_is_asked_for_its_source() {
        let error = crate::task_error!(Error::other(1).with_cause(Error::other(2)));
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "2");
        let error = crate::task_error!(std::io::Error::other(Error::other(1).with_cause(Error::other(2))));
        assert_eq!(format!("{error:?}"), "1\n  because: 2");
    }

    fn in_generic_code<E: Display + Send + Sync + 'static>(error: E) -> Error {
        crate::task_error!(error)
    }

    #[test]
    fn in_generic_code_the_bounds_count() {
        assert!(in_generic_code(Serde(1)).downcast_ref::<Serde>().is_some());
        assert!(in_generic_code(Error::new(ErrorKind::GetTimeout, "late")).is_timeout());
    }

    struct NotClone;
    crate::not_a_result!(NotClone);
    crate::not_a_result!(());
    crate::not_a_result!(Vec<std::result::Result<(), NotClone>>);
    crate::not_a_result!(Box<dyn Fn(&str) -> std::result::Result<(), NotClone>>);
}
