//! Ray for Rust.
#[doc(hidden)]
pub use ray_core::__private;
pub use ray_core::*;
pub use ray_macros::{method, remote};
