//! The error types of the standard library: `?` turns them into an `Error`, and `Error::downcast_ref` finds them among causes.

/// Calls a macro with those types that have no parameters.
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
