//! Whether calls may inherit something from the body that makes them: a trace context, or a placement group.
//!
//! A process that uses neither pays one load for each call ([`is_used`]).

use std::sync::atomic::{AtomicU8, Ordering};

static USED: AtomicU8 = AtomicU8::new(0);

/// A trace context.
pub(crate) const TRACE: u8 = 1;
/// A placement group that captures the calls of its bodies.
pub(crate) const PLACEMENT_GROUP: u8 = 2;

/// Whether calls of this process may inherit something.
#[inline(always)]
pub(crate) fn is_used() -> bool {
    USED.load(Ordering::Relaxed) != 0
}

/// Whether calls of this process may inherit this.
#[inline(always)]
pub(crate) fn uses(what: u8) -> bool {
    USED.load(Ordering::Relaxed) & what != 0
}

/// Records that calls may inherit this from now on.
pub(crate) fn begin(what: u8) {
    USED.fetch_or(what, Ordering::Relaxed);
}
