//! The engine's log: tips, stall reports, failures that no caller has read.
//!
//! Messages go to `tracing`, under the target `ray`, if the thread has a subscriber; otherwise to standard error.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::Write;

use parking_lot::Mutex;

use tracing::subscriber::NoSubscriber;

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// The program calls the engine in a way that makes it slow.
    Tip,
    /// No work makes progress: the report lists what each thread waits for.
    Stall,
    /// A failed object that no `get` or await has read; silenced by `RAY_IGNORE_UNHANDLED_ERRORS=1`.
    Unhandled,
    /// A value that strict mode could not check.
    Strict,
    /// Bodies that were still running when the engine was shut down.
    Shutdown,
    /// An operation without a caller has failed: the system refused a thread, or a callback panicked.
    Failure,
}

impl Notice {
    fn name(self) -> &'static str {
        match self {
            Notice::Tip => "tip",
            Notice::Stall => "stall",
            Notice::Unhandled => "unhandled",
            Notice::Strict => "strict",
            Notice::Shutdown => "shutdown",
            Notice::Failure => "failure",
        }
    }
}

/// Logs a tip. The caller has checked that tips are enabled.
pub(crate) fn tip(text: &str) {
    warn(Notice::Tip, &text);
}

/// Logs what strict mode could not check; the same text only once.
pub(crate) fn strict_listing(text: &str) {
    static LISTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let new = LISTED.lock().insert(text.to_owned());
    if new {
        warn(Notice::Strict, &format_args!("strict mode: {text}"));
    }
}

/// Ends the process, with a line on standard error, because a count would overflow and no error can be returned.
#[cold]
#[inline(never)]
pub(crate) fn abort(why: &str) -> ! {
    // Without an allocation: the process may be in any state.
    let _ = std::io::stderr().write_all(b"ray: the process is aborted: ");
    let _ = std::io::stderr().write_all(why.as_bytes());
    let _ = std::io::stderr().write_all(b"\n");
    std::process::abort();
}

/// Logs `text`, which may have several lines. Never fails and never panics, whatever a user's `Display` or subscriber does.
pub(crate) fn warn(notice: Notice, text: &dyn Display) {
    crate::base::users_code::quietly(|| {
        // The subscriber of this thread counts: one that is set for another thread only would not get the message.
        if tracing::dispatcher::get_default(|subscriber| !subscriber.is::<NoSubscriber>()) {
            tracing::warn!(target: "ray", notice = notice.name(), "{text}");
        } else {
            // One write, so that lines of two threads do not mix.
            let _ = std::io::stderr().lock().write_all(block(&text.to_string()).as_bytes());
        }
    });
}

/// Puts the prefix before every line, so that a filter for it finds all of them.
fn block(text: &str) -> String {
    text.lines().map(|line| format!("ray: {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_has_the_prefix() {
        assert_eq!(block("a\n  b"), "ray: a\nray:   b\n");
    }
}
