//! The `macro_rules` of bodies that make a stream; [`macro_support`](crate::api::macro_support) has the other ones, and the rules for
//! the names of bindings. Nothing here is public API.

/// The outcome of a body that makes a stream: yields its items, and then ends.
///
/// The caller passes the name of the binding for the yielder, with the span of the user's function.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_stream {
    (sync $source:ident $finish:ident [$item:ty] $yielder:ident $value:expr) => {
        match $crate::__private::yielder::<$item>() {
            ::core::result::Result::Ok($yielder) => $crate::__private::yield_items!($source $finish $yielder $value),
            ::core::result::Result::Err(__bound_error) => ::core::result::Result::Err(__bound_error),
        }
    };
    (async $source:ident $finish:ident [$item:ty] $yielder:ident $value:expr) => {{
        let __bound_yielder = $crate::__private::yielder::<$item>();
        ::std::boxed::Box::pin(async move {
            match __bound_yielder {
                ::core::result::Result::Ok($yielder) => $crate::__private::yield_items!($source $finish $yielder $value),
                ::core::result::Result::Err(__bound_error) => ::core::result::Result::Err(__bound_error),
            }
        })
    }};
}
pub use crate::__ray_stream as stream;

/// Yields the items of a body, and makes its outcome.
#[doc(hidden)]
#[macro_export]
macro_rules! __ray_yield_items {
    (Yielder $finish:ident $yielder:ident $value:expr) => {
        $crate::__private::finish!($finish $value)
    };
    (Iterator Plain $yielder:ident $value:expr) => {
        $crate::__private::yield_all(&$yielder, $value)
    };
    (Stream Plain $yielder:ident $value:expr) => {{
        let __bound_items = $value;
        $crate::__private::yield_all_async(&$yielder, __bound_items).await
    }};
    ($source:ident Fallible $yielder:ident $value:expr) => {{
        let __bound_result = $value;
        match __bound_result {
            ::core::result::Result::Ok(__bound_items) => {
                $crate::__private::yield_items!($source Plain $yielder __bound_items)
            }
            ::core::result::Result::Err(__bound_error) => {
                ::core::result::Result::Err($crate::__private::task_error!(__bound_error))
            }
        }
    }};
}
pub use crate::__ray_yield_items as yield_items;
