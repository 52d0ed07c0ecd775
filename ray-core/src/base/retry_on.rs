//! After which errors a failed task is retried.

use std::fmt;
use std::sync::Arc;

use crate::base::error::{Error, ErrorKind};

/// After which errors a failed task is retried.
///
/// ```
/// # extern crate ray_core as ray;
/// use ray::__private::RetryOn;
/// fn is_busy(error: &ray::Error) -> bool {
///     error.to_string().contains("busy")
/// }
/// let every: RetryOn = true.into();
/// let some: RetryOn = is_busy.into();
/// let word = String::from("busy");
/// let some: RetryOn = (move |error: &ray::Error| error.to_string().contains(&word)).into();
/// ```
#[derive(Clone, Default)]
pub enum RetryOn {
    /// The task is not retried.
    #[default]
    Never,
    /// The task is retried after every `Err` and every panic.
    Always,
    /// The task is retried if the function returns `true`. An attribute can name a function.
    If(fn(&Error) -> bool),
    /// The task is retried if the closure returns `true`. The options of a call can have a closure.
    Rule(Arc<dyn Fn(&Error) -> bool + Send + Sync>),
}

impl RetryOn {
    /// Whether this is [`RetryOn::Never`].
    pub(crate) const fn is_never(&self) -> bool {
        matches!(self, RetryOn::Never)
    }

    /// Whether this is the predicate `other`.
    pub(crate) fn is_same_function(&self, other: fn(&Error) -> bool) -> bool {
        matches!(self, RetryOn::If(predicate) if std::ptr::fn_addr_eq(*predicate, other))
    }

    /// Whether to retry after `error`; never after a cancellation, or if the engine was shut down. A predicate is user code and may
    /// panic.
    pub(crate) fn allows(&self, error: &Error) -> bool {
        if matches!(error.kind(), ErrorKind::Cancelled | ErrorKind::RuntimeGone) {
            return false;
        }
        match self {
            RetryOn::Never => false,
            RetryOn::Always => true,
            RetryOn::If(predicate) => predicate(error),
            RetryOn::Rule(predicate) => predicate(error),
        }
    }
}

impl fmt::Debug for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RetryOn::Never => "Never",
            RetryOn::Always => "Always",
            RetryOn::If(_) | RetryOn::Rule(_) => "If(..)",
        })
    }
}

impl From<bool> for RetryOn {
    fn from(every: bool) -> RetryOn {
        if every { RetryOn::Always } else { RetryOn::Never }
    }
}

impl<F: Fn(&Error) -> bool + Send + Sync + 'static> From<F> for RetryOn {
    fn from(predicate: F) -> RetryOn {
        RetryOn::Rule(Arc::new(predicate))
    }
}
