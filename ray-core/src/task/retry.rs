//! Whether a failed attempt is followed by another: a pure decision.

use crate::base::call_options::CallSettings;
use crate::base::error::Error;

/// `failed` attempts came before this one.
pub(crate) fn allows(settings: &CallSettings, failed: u32, error: &Error) -> bool {
    let left = settings.max_retries < 0 || i64::from(failed) < settings.max_retries;
    left && crate::base::unwind::catch(|| settings.retry_on.allows(error)).unwrap_or(false)
}
