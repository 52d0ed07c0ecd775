//! Records whether a thread is in user code that the engine called, and drops users' values, whose drops may panic.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static IN_BODY: Cell<bool> = const { Cell::new(false) };
    /// How many calls of user code, other than bodies, are on this thread's stack.
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// Whether this thread is inside a body; `false` on a thread that is ending. The panic hook calls this.
pub(crate) fn is_in_a_body() -> bool {
    IN_BODY.try_with(Cell::get).unwrap_or(false)
}

/// Marks this thread as inside a body until the guard is dropped. Bodies may run inside each other.
#[inline]
#[must_use = "the thread is inside a body for as long as the guard lives"]
pub(crate) fn enter_body() -> InBody {
    let outer = IN_BODY.replace(true);
    InBody { outer }
}

/// The guard of [`enter_body`].
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

/// Whether this thread is in user code that the engine called, so that frames of the engine are on its stack.
pub(crate) fn is_in_users_code() -> bool {
    IN_BODY.get() || CALLS.get() > 0
}

/// Marks this thread, until the guard is dropped, as inside user code other than a body, such as a waker's `clone`.
#[inline]
#[must_use = "the thread is marked for as long as the guard lives"]
pub(crate) fn call_user() -> UsersCode {
    CALLS.set(CALLS.get() + 1);
    UsersCode
}

/// The guard of [`call_user`].
#[derive(Debug)]
pub(crate) struct UsersCode;

impl Drop for UsersCode {
    #[inline]
    fn drop(&mut self) {
        CALLS.set(CALLS.get() - 1);
    }
}

/// Runs a closure that drops a user's value or calls its code, and catches the panic: no caller is left to return it to, and the
/// engine's thread must go on. The panic hook has reported it.
#[inline]
pub(crate) fn quietly(drop: impl FnOnce()) {
    let _inside = call_user();
    if let Err(payload) = catch_unwind(AssertUnwindSafe(drop)) {
        drop_payload(payload);
    }
}

/// Drops the payload of a panic. A payload is a user's value too: its `Drop` may panic with another payload, and so on. The second
/// payload is leaked, unless it is text.
#[cold]
pub(crate) fn drop_payload(payload: Box<dyn Any + Send>) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload)))
        && !(again.is::<&'static str>() || again.is::<String>())
    {
        std::mem::forget(again);
    }
}
