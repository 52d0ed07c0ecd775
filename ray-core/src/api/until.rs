//! The time-out of a wait, and the place in the program where it began.

use crate::base::error::{Error, ErrorKind};
use std::panic::Location;
use std::time::{Duration, Instant};

/// The deadline of a getter, and its place in the program.
#[derive(Clone, Copy, Debug)]
pub struct Until {
    pub(super) deadline: Option<Instant>,
    pub(super) site: &'static Location<'static>,
}

impl Until {
    #[track_caller]
    #[inline]
    pub(crate) fn forever() -> Self {
        Self { deadline: None, site: Location::caller() }
    }

    #[track_caller]
    pub(super) fn within(timeout: Duration) -> Self {
        Self { deadline: Instant::now().checked_add(timeout), site: Location::caller() }
    }
}

#[cold]
pub(super) fn timed_out() -> Error {
    Error::new(
        ErrorKind::GetTimeout,
        "the time-out passed before the result was ready; the task goes on: get it again later, or cancel it",
    )
}
