//! What the engine says of its own accord: tips, stall reports, failures that nobody read.
//!
//! One place, so that it all looks alike and can be turned to where a program's other words go: to `tracing` where a
//! subscriber is set, under the target `ray`; else to standard error.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::Write;

use parking_lot::Mutex;

use tracing::subscriber::NoSubscriber;

/// What is being said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A way of writing that makes a program slow.
    Tip,
    /// Things stand still: who waits for what.
    Stall,
    /// A failed object that nobody read; silenced by `RAY_IGNORE_UNHANDLED_ERRORS=1`.
    Unhandled,
    /// What strict mode could not check.
    Strict,
    /// What was still running when the engine was shut down.
    Shutdown,
    /// The system refuses the engine something, such as a thread.
    Trouble,
}

impl Notice {
    fn name(self) -> &'static str {
        match self {
            Notice::Tip => "tip",
            Notice::Stall => "stall",
            Notice::Unhandled => "unhandled",
            Notice::Strict => "strict",
            Notice::Shutdown => "shutdown",
            Notice::Trouble => "trouble",
        }
    }
}

/// A tip, by one who knows that tips are wanted.
pub(crate) fn tip(text: &str) {
    warn(Notice::Tip, &text);
}

/// What strict mode could not check, once each.
pub(crate) fn strict_listing(text: &str) {
    static LISTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let new = LISTED.lock().insert(text.to_owned());
    if new {
        warn(Notice::Strict, &format_args!("strict mode: {text}"));
    }
}

/// Ends the process because of a count that would overflow, with a line on standard error: no error could be returned.
#[cold]
#[inline(never)]
pub(crate) fn abort(why: &str) -> ! {
    // Without a lock or an allocation of its own where that can be: the process may be in any state.
    let _ = std::io::stderr().write_all(b"ray: the process is aborted: ");
    let _ = std::io::stderr().write_all(why.as_bytes());
    let _ = std::io::stderr().write_all(b"\n");
    std::process::abort();
}

/// Says `text`, which may have several lines. Never fails and never panics, whatever a user's `Display` or subscriber does: a
/// warning that cannot be given is no reason to end.
pub(crate) fn warn(notice: Notice, text: &dyn Display) {
    crate::base::users_code::quietly(|| {
        // Asked of this thread: a subscriber that is set for another thread only would never hear it.
        if tracing::dispatcher::get_default(|subscriber| !subscriber.is::<NoSubscriber>()) {
            tracing::warn!(target: "ray", notice = notice.name(), "{text}");
        } else {
            // In one write, so that lines of two threads do not mix.
            let _ = std::io::stderr().lock().write_all(block(&text.to_string()).as_bytes());
        }
    });
}

/// Every line under the prefix, so that a filter for it loses none.
fn block(text: &str) -> String {
    text.lines().map(|line| format!("ray: {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_says_whose_it_is() {
        assert_eq!(block("a\n  b"), "ray: a\nray:   b\n");
    }
}
