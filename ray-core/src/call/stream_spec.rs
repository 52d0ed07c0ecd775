//! What the definition of a stream function says of its items.

use crate::base::error::Result;
use crate::call::bounds::{Shareable, Wire};
use crate::call::codec::renew;
use crate::object::items::AnyItems;

/// How many items of a stream wait for their consumer at most, if `backpressure` is not set. It is large enough that producer and
/// consumer rarely wait for each other, and small enough for items of a megabyte.
const DEFAULT_BACKPRESSURE: i64 = 64;

/// Makes the stream of a call, for the type of the items.
#[derive(Clone, Copy, Debug)]
pub struct StreamSpec {
    make: fn(Option<u64>) -> AnyItems,
}

impl StreamSpec {
    /// A stream whose items can be sent to another process.
    #[must_use]
    pub const fn portable<T: Shareable + Wire>() -> Self {
        Self { make: |bound| AnyItems::new::<T>(bound, Some(renew::<T> as fn(T) -> Result<T>)) }
    }

    /// A stream of a `local` function.
    #[must_use]
    pub const fn local<T: Shareable>() -> Self {
        Self { make: |bound| AnyItems::new::<T>(bound, None) }
    }

    /// The stream of one call, with its setting `backpressure`: -1 means without a bound.
    pub(crate) fn make(self, backpressure: Option<i64>) -> AnyItems {
        (self.make)(u64::try_from(backpressure.unwrap_or(DEFAULT_BACKPRESSURE)).ok())
    }
}
