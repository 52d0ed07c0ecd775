//! Whether a thread is in code of the user's that the engine called; and the drops of users' values, which may panic.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IN_BODY: Cell<bool> = const { Cell::new(false) };
    /// Calls of users' code outside of bodies that this thread is in.
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is inside a body. Also for the panic hook, on a thread that ends.
pub(crate) fn is_in_a_body() -> bool {
    IN_BODY.try_with(Cell::get).unwrap_or(false)
}

/// From here to the guard's end this thread is inside a body; bodies may run inside each other.
#[inline]
#[must_use = "the thread is inside a body for as long as the guard lives"]
pub(crate) fn enter_body() -> InBody {
    let outer = IN_BODY.replace(true);
    InBody { outer }
}

/// See [`enter_body`].
#[derive(Debug)]
pub(crate) struct InBody {
    outer: bool,
}

impl Drop for InBody {
    #[inline]
    fn drop(&mut self) {
        IN_BODY.set(self.outer);
    }
}

/// Whether this thread is in code of the user's that the engine called, so that frames of the engine lie below on its stack.
pub(crate) fn is_in_users_code() -> bool {
    IN_BODY.get() || CALLS.get() > 0
}

/// From here to the guard's end the engine may call code of the user's other than a body, such as a waker's `clone`.
#[inline]
#[must_use = "it counts for as long as the guard lives"]
pub(crate) fn call_user() -> UsersCode {
    CALLS.set(CALLS.get() + 1);
    UsersCode
}

/// See [`call_user`].
#[derive(Debug)]
pub(crate) struct UsersCode;

impl Drop for UsersCode {
    #[inline]
    fn drop(&mut self) {
        CALLS.set(CALLS.get() - 1);
    }
}

/// Runs what drops a user's value, and swallows its panic: nobody is left who could be told, other than by the hook, and the
/// engine's thread must go on.
#[inline]
pub(crate) fn quietly(drop: impl FnOnce()) {
    let _inside = call_user();
    if let Err(payload) = catch_unwind(AssertUnwindSafe(drop)) {
        drop_payload(payload);
    }
}

/// A payload is the user's value too, and its `Drop` may panic in its turn, with a payload, and so on: the second is leaked,
/// unless it is text.
#[cold]
pub(crate) fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
        && !(again.is::<&'static str>() || again.is::<String>())
    {
        std::mem::forget(again);
    }
}
