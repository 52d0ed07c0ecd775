//! The number of the engine that runs now. Every entry, handle and thread state carries the number of its engine, and a shutdown
//! changes the number: so each of them sees that its engine is gone, without being told.

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

/// Whether the engine of that number runs now, for a thread that has just changed what the thread that shuts the engine down
/// reads after it has changed the number.
#[inline]
pub(crate) fn is_current(epoch: u32) -> bool {
    CURRENT.load(Ordering::SeqCst) == epoch
}

/// A number for another engine.
pub(crate) fn fresh() -> u32 {
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}

/// The engine of that number runs from now on.
pub(crate) fn begin(epoch: u32) {
    CURRENT.store(epoch, Ordering::SeqCst);
}

/// No engine runs from now on.
pub(crate) fn end() {
    CURRENT.store(NONE, Ordering::SeqCst);
}

/// Refuses an object of an engine that was shut down.
///
/// # Errors
/// `RuntimeGone`.
#[inline]
pub(crate) fn check_object(epoch: u32) -> Result<()> {
    if epoch == current() { Ok(()) } else { Err(stale_object()) }
}

/// The error of an object whose engine was shut down.
#[cold]
pub(crate) fn stale_object() -> Error {
    gone("the object was of an engine that is no more")
}

/// The error of everything whose engine was shut down.
#[cold]
pub(crate) fn gone(why: &'static str) -> Error {
    Error::new(ErrorKind::RuntimeGone, format!("the engine was shut down: {why}; call `ray::init()` and submit again"))
}
