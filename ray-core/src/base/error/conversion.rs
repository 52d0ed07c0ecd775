//! Converts the outcome of a body, by its type, for the code that `#[remote]` generates.
//!
//! The macro sees only the tokens of a return type. The choices below are made by method resolution, where the types are known
//! (autoref specialisation): a method call on `&&Carrier<E>` finds the most specific of several traits whose bounds hold. In a
//! generic function only the written bounds count.

use std::fmt::Display;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::error::payload::{BoxedError, Head, Owned, guarded};
use crate::base::error::std_errors::for_each_std_error;
use crate::base::error::wire::UserValue;
use crate::base::error::{Error, ErrorKind};

/// A value that stands for a type, on which methods can be called.
#[derive(Debug)]
pub struct Carrier<T: ?Sized>(PhantomData<fn() -> PhantomData<T>>);

impl<T: ?Sized> Carrier<T> {
    /// The carrier of a type.
    pub const NEW: Carrier<T> = Carrier(PhantomData);
}

impl<T> Carrier<T> {
    /// The carrier of a value's type.
    #[must_use]
    pub const fn of(_: &T) -> Carrier<T> {
        Carrier::NEW
    }
}

/// The bounds on the error of a remote function or method.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a remote function",
    label = "this body's `Err` is a `{Self}`, which is not `Display + Send + Sync + 'static`",
    note = "for a `Box<dyn Error>` write `Box<dyn Error + Send + Sync>`",
    note = "for a type of your own implement `std::fmt::Display`, or return `ray::Result<..>` and make the error with `ray::Error::other(..)`"
)]
pub trait UserError: Display + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<E: Display + Send + Sync + 'static> UserError for E {}

/// An [`Error`] stays as it is.
#[derive(Debug)]
pub struct Own;
/// A type of serde keeps its type in another process.
#[derive(Debug)]
pub struct Portable;
/// Any other error arrives in another process as its text.
#[derive(Debug)]
pub struct Text;

/// First choice: two types that are named here.
pub trait KnownKind {
    /// The conversion to an [`Error`].
    type Kind;
    /// The conversion to an [`Error`].
    fn ray_error_kind(&self) -> Self::Kind;
}
impl KnownKind for &&Carrier<Error> {
    type Kind = Own;
    fn ray_error_kind(&self) -> Own {
        Own
    }
}
/// `&'static str` is `Deserialize` from `'static` bytes only, and method resolution ignores lifetimes.
impl KnownKind for &&Carrier<&'static str> {
    type Kind = Text;
    fn ray_error_kind(&self) -> Text {
        Text
    }
}

/// Second choice: types of serde.
pub trait PortableKind {
    /// The conversion to an [`Error`].
    fn ray_error_kind(&self) -> Portable {
        Portable
    }
}
impl<E: Serialize + DeserializeOwned + Display + Send + Sync + 'static> PortableKind for &Carrier<E> {}

/// Last choice: every type, so that the compiler refuses an unsuitable type with the message of [`UserError`].
pub trait TextKind {
    /// The conversion to an [`Error`].
    fn ray_error_kind(&self) -> Text {
        Text
    }
}
impl<E> TextKind for Carrier<E> {}

impl Own {
    /// Returns the error.
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
    /// Wraps the error, with functions to encode and decode it.
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
    /// Wraps the error.
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

/// Second choice: a type that is not a `Result`, which rustc refuses elsewhere.
pub trait NoErr {
    /// The carrier of a type that is not a `Result`: it has no error type.
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

/// First choice: a type that implements `std::error::Error`.
pub trait ErrorHead<E> {
    /// A function that returns the value as the first error of its chain.
    fn ray_error_head(&self) -> Head<E>;
}
impl<E: std::error::Error + 'static> ErrorHead<E> for &&Carrier<E> {
    fn ray_error_head(&self) -> Head<E> {
        |error| Some(error)
    }
}

/// Second choice: a wrapper of an error, such as `anyhow::Error`, `eyre::Report` and `Box<dyn Error + Send + Sync>`.
pub trait WrappedHead<E> {
    /// A function that returns the wrapped error.
    fn ray_error_head(&self) -> Head<E>;
}
impl<E: AsRef<dyn std::error::Error + Send + Sync> + 'static> WrappedHead<E> for &Carrier<E> {
    fn ray_error_head(&self) -> Head<E> {
        |error| Some(error.as_ref())
    }
}

/// Last choice: a type that is only `Display`.
pub trait NoHead<E> {
    /// A function that returns none.
    fn ray_error_head(&self) -> Head<E>;
}
impl<E> NoHead<E> for Carrier<E> {
    fn ray_error_head(&self) -> Head<E> {
        crate::base::error::payload::no_head
    }
}

/// Converts the `Err(error)` of a body to an [`Error`]: an [`Error`] stays as it is; a type of serde can be sent to another process;
/// any other type that is `Display + Send + Sync + 'static` keeps its value in this process, and arrives elsewhere as its text.
#[doc(hidden)]
#[macro_export]
macro_rules! task_error {
    ($error:expr) => {
        match $error {
            // The unusual name cannot be that of a constant in scope, which the pattern would match instead of binding: a
            // user's remote function is a constant.
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

/// The parts of a return type that is written as `Result<..>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is named `Result` but is another type",
    label = "a return type of a remote function that is named `Result` must be `std::result::Result` or an alias of it",
    note = "rename the type, or return `Result<T, E>`"
)]
pub trait ResultType {
    /// The type of the object.
    type Ok;
    /// The type of the error.
    type Err;
}

impl<T, E> ResultType for std::result::Result<T, E> {
    type Ok = T;
    type Err = E;
}

/// A return type of a remote function that is not written as `Result<..>`.
#[diagnostic::on_unimplemented(
    message = "this return type is a `Result` behind an alias",
    label = "`#[remote]` reads the written name of the type, so it treats this as a plain value",
    note = "write `Result<T, E>` itself as the return type: then the reference holds the `T`, and an `Err` fails it"
)]
pub trait PlainReturn {}

/// The type is a `Result`.
#[derive(Debug)]
pub struct HiddenResult;
/// The type is not a `Result`.
#[derive(Debug)]
pub struct Plain;
impl PlainReturn for Plain {}

/// First choice: a `Result`.
pub trait HiddenResultKind {
    /// Whether the type is a `Result`.
    fn ray_return_kind(&self) -> HiddenResult {
        HiddenResult
    }
}
impl<T, E> HiddenResultKind for &Carrier<std::result::Result<T, E>> {}

/// Second choice: every type.
pub trait PlainKind {
    /// Whether the type is a `Result`.
    fn ray_return_kind(&self) -> Plain {
        Plain
    }
}
impl<T: ?Sized> PlainKind for Carrier<T> {}

/// Compiles for a [`Plain`] only.
pub fn require_plain_return<K: PlainReturn>(_: K) {}

/// Generates an item that does not compile if the type is a `Result`, also behind an alias. It generates no code otherwise.
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

macro_rules! conversions {
    ($($type:ty),*) => {
        $(
            /// An error of kind [`ErrorKind::Other`](crate::ErrorKind::Other), as [`Error::from_std`] makes it.
            impl From<$type> for Error {
                fn from(error: $type) -> Error {
                    Error::from_std(error)
                }
            }
        )*
    };
}
for_each_std_error!(conversions);

/// An error of kind [`ErrorKind::Other`](crate::ErrorKind::Other) with the box and its causes. A box that contains an [`Error`] becomes
/// that error.
impl From<BoxedError> for Error {
    fn from(error: BoxedError) -> Error {
        Error::other(error)
    }
}

#[cfg(test)]
#[allow(unused_imports, reason = "the macros are made for other crates, where this lint ignores their expansion")]
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

    fn sent(error: &Error, codec: Option<ErrorCodec>) -> (Error, bool) {
        let arrived = error.encode().decode_with(codec, |_| None);
        (arrived.error, arrived.lost.is_none())
    }

    #[test]
    fn an_error_keeps_its_type_where_it_can() {
        let (serde, typed) = sent(&crate::task_error!(Serde(7)), SERDE);
        assert_eq!((serde.downcast_ref(), typed, serde.kind()), (Some(&Serde(7)), true, ErrorKind::Task));
        let (text, typed) = sent(&serde, STD);
        assert!(text.downcast_ref::<Serde>().is_none() && !typed && text.to_string() == "serde 7");
        assert!(!sent(&serde, OWN).1);

        let error = crate::task_error!("x".parse::<i32>().unwrap_err());
        assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
        let (text, typed) = sent(&error, STD);
        assert!(text.downcast_ref::<std::num::ParseIntError>().is_none() && !typed);
        assert_eq!(text.to_string(), "invalid digit found in string");

        let (text, typed) = sent(&crate::task_error!("static"), STATIC);
        assert!(text.to_string() == "static" && !typed, "&'static str cannot be decoded");
    }

    #[test]
    fn an_engine_error_is_not_wrapped() {
        let error = crate::task_error!(Error::new(ErrorKind::GetTimeout, "late"));
        assert!(error.is_timeout());
        let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
        assert!(crate::task_error!(boxed).is_timeout());
        let boxed: Box<dyn std::error::Error + Send + Sync> = "other".into();
        assert!(crate::task_error!(boxed).is_task());
    }

    #[test]
    fn sources_are_kept() {
        let error = crate::task_error!(Error::other(1).with_cause(Error::other(2)));
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "2");
        let error = crate::task_error!(std::io::Error::other(Error::other(1).with_cause(Error::other(2))));
        assert_eq!(format!("{error:?}"), "1\n  because: 2");
    }

    fn in_generic_code<E: Display + Send + Sync + 'static>(error: E) -> Error {
        crate::task_error!(error)
    }

    #[test]
    fn engine_errors_are_recognised_in_generic_code() {
        assert!(in_generic_code(Serde(1)).downcast_ref::<Serde>().is_some());
        assert!(in_generic_code(Error::new(ErrorKind::GetTimeout, "late")).is_timeout());
    }

    struct NotClone;
    crate::not_a_result!(NotClone);
    crate::not_a_result!(());
    crate::not_a_result!(Vec<std::result::Result<(), NotClone>>);
    crate::not_a_result!(Box<dyn Fn(&str) -> std::result::Result<(), NotClone>>);
}
