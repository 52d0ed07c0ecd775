//! Lints of `#[remote]`: constants that are deprecated, so that rustc warns where the expansion uses one.

/// The expansion of a remote function that returns an `ObjectRef` uses this constant, so that rustc warns of it.
///
/// The result of a task is an object already. A task that puts its value and returns the reference makes two objects of one
/// value, and callers need two calls of `get`. [Ray's
/// page](https://docs.ray.io/en/latest/ray-core/patterns/return-ray-put.html). A task may return a reference that it was given, or
/// that of a task that it has started: write `#[allow(deprecated)]` on such a function.
///
/// ```
/// # extern crate ray_core as ray;
/// #[allow(deprecated)]
/// const SILENCED: () = ray::lint::RETURN_RAY_PUT;
/// ```
#[deprecated(
    note = "this task returns an `ObjectRef`: return the value itself, which the task makes an object; if the reference is wanted, write `#[allow(deprecated)]` on the function"
)]
pub const RETURN_RAY_PUT: () = ();
