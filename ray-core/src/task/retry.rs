//! The decision whether a failed attempt is retried.

use crate::base::call_options::CallSettings;
use crate::base::error::Error;

/// Whether the settings allow a retry after `error`, when `failed` attempts have failed before this one.
pub(crate) fn allows(settings: &CallSettings, failed: u32, error: &Error) -> bool {
    let left = settings.max_retries < 0 || i64::from(failed) < settings.max_retries;
    left && crate::base::unwind::catch(|| settings.retry_on.allows(error)).unwrap_or(false)
}
