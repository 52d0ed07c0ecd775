//! The epoch: the number of the engine that runs now. Every entry, handle and thread state has the number of its engine. A shutdown
//! changes the current number, so a comparison shows that the engine of an object is gone.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::base::error::{Error, ErrorKind, Result};

/// No engine has this number.
const NONE: u32 = 0;

static CURRENT: AtomicU32 = AtomicU32::new(NONE);
static LAST: AtomicU32 = AtomicU32::new(NONE);

/// The number of the engine that runs now; 0 if none does.
#[inline]
pub(crate) fn current() -> u32 {
    CURRENT.load(Ordering::Relaxed)
}

/// Whether the engine of that number runs now. Sequentially consistent: of a thread that writes data before this check, and the
/// shutdown, which reads that data after it has changed the number, one sees the other's write.
#[inline]
pub(crate) fn is_current(epoch: u32) -> bool {
    CURRENT.load(Ordering::SeqCst) == epoch
}

/// A new number for an engine that starts.
pub(crate) fn fresh() -> u32 {
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// Makes the engine of that number the current one.
pub(crate) fn begin(epoch: u32) {
    CURRENT.store(epoch, Ordering::SeqCst);
}

/// Records that no engine runs any more.
pub(crate) fn end() {
    CURRENT.store(NONE, Ordering::SeqCst);
}

/// Checks that an object belongs to the engine that runs now.
///
/// # Errors
/// `RuntimeGone` if its engine was shut down.
#[inline]
pub(crate) fn check_object(epoch: u32) -> Result<()> {
    if epoch == current() { Ok(()) } else { Err(stale_object()) }
}

/// The error of an object whose engine was shut down.
#[cold]
pub(crate) fn stale_object() -> Error {
    gone("the object belonged to that engine")
}

/// The error of an operation whose engine was shut down.
#[cold]
pub(crate) fn gone(why: &'static str) -> Error {
    Error::new(ErrorKind::RuntimeGone, format!("the engine was shut down: {why}; call `ray::init()` and submit again"))
}
