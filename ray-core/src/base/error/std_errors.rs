//! The error types of the standard library: `?` turns them into an [`Error`], and [`Error::downcast_ref`] finds them among causes.

use crate::base::error::Error;
use crate::base::error::payload::BoxedError;

/// Calls a macro with the types that need no parameters.
macro_rules! for_each_std_error {
    ($each:ident) => {
        $each! {
            std::alloc::LayoutError,
            std::array::TryFromSliceError,
            std::cell::BorrowError,
            std::cell::BorrowMutError,
            std::char::CharTryFromError,
            std::char::DecodeUtf16Error,
            std::char::ParseCharError,
            std::char::TryFromCharError,
            std::collections::TryReserveError,
            std::env::JoinPathsError,
            std::env::VarError,
            std::ffi::FromBytesUntilNulError,
            std::ffi::FromBytesWithNulError,
            std::ffi::FromVecWithNulError,
            std::ffi::IntoStringError,
            std::ffi::NulError,
            std::fmt::Error,
            std::io::Error,
            std::net::AddrParseError,
            std::num::ParseFloatError,
            std::num::ParseIntError,
            std::num::TryFromIntError,
            std::path::StripPrefixError,
            std::str::ParseBoolError,
            std::str::Utf8Error,
            std::string::FromUtf16Error,
            std::string::FromUtf8Error,
            std::sync::mpsc::RecvError,
            std::sync::mpsc::RecvTimeoutError,
            std::sync::mpsc::TryRecvError,
            std::thread::AccessError,
            std::time::SystemTimeError,
            std::time::TryFromFloatSecsError
        }
    };
}
pub(super) use for_each_std_error;

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
