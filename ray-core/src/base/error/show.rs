//! The text of an error: one line, one line with its causes, or several lines with its tasks and causes.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::fmt::Display;

use crate::base::error::{Error, ErrorKind, Inner, KEPT_LINKS, What, payload};

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_headline(f, true)?;
        if f.alternate() {
            for cause in payload::chain(self.source()) {
                f.write_str(": ")?;
                match cause.downcast_ref::<Error>() {
                    Some(own) => own.write_headline(f, true)?,
                    None => write_lines(f, &payload::shown(cause, false), true)?,
                }
            }
            if let Some(causes) = self.causes_in_text() {
                f.write_str(": ")?;
                write_lines(f, &causes, true)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_headline(f, false)?;
        self.write_links(f)?;
        for cause in payload::chain(self.source()) {
            f.write_str("\n  because: ")?;
            match cause.downcast_ref::<Error>() {
                Some(own) => {
                    own.write_headline(f, false)?;
                    own.write_links(f)?;
                }
                None => write_lines(f, &payload::shown(cause, false), false)?,
            }
        }
        if let Some(causes) = self.causes_in_text() {
            f.write_str("\n  because: ")?;
            write_lines(f, &causes, false)?;
        }
        Ok(())
    }
}

/// The text on one line if `one_line`, else with its own line breaks.
fn write_lines(f: &mut fmt::Formatter<'_>, text: &str, one_line: bool) -> fmt::Result {
    let separator = if one_line { "; " } else { "\n    " };
    let mut lines = text.lines().map(|line| if one_line { line.trim() } else { line }).filter(|line| !line.is_empty());
    f.write_str(lines.next().unwrap_or("(no message)"))?;
    lines.try_for_each(|line| write!(f, "{separator}{line}"))
}

impl Error {
    /// The causes of a value without `source` (an `anyhow::Error` in [`Error::other`] or in generic code). By the convention of such
    /// types, `{:#}` prints the text, then ": " and the causes.
    pub(super) fn causes_in_text(&self) -> Option<String> {
        let What::User(payload) = &self.0.what else { return None };
        if payload.head().is_some() {
            return None;
        }
        let (text, all) = (payload.text(false), payload.text(true));
        Some(all.strip_prefix(&text)?.strip_prefix(": ")?.to_owned())
    }

    /// The message, without the name of the task, with its own line breaks.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match &self.0.what {
            What::Message(message) => Cow::Borrowed(message),
            What::User(payload) => Cow::Owned(payload.text(false)),
        }
    }

    /// The task, the location and the message; the message on one line if `one_line`, else with its own line breaks.
    fn write_headline(&self, f: &mut fmt::Formatter<'_>, one_line: bool) -> fmt::Result {
        let Inner { kind, links, location, .. } = &*self.0;
        let origin = links.first();
        match (kind, origin) {
            (ErrorKind::Panic, Some(task)) => write!(f, "task `{}` panicked", task.name)?,
            (ErrorKind::Panic, None) => f.write_str("a panic")?,
            (_, Some(task)) => write!(f, "task `{}` failed", task.name)?,
            (_, None) => {}
        }
        if let Some(location) = location {
            write!(f, " at {location}")?;
        }
        if origin.is_some() || *kind == ErrorKind::Panic {
            f.write_str(": ")?;
        }
        write_lines(f, &self.text(), one_line)
    }

    fn write_links(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, link) in self.0.links.iter().enumerate() {
            if i == KEPT_LINKS / 2 && self.0.elided > 0 {
                write!(f, "\n    .. through {} more tasks ..", self.0.elided)?;
            }
            match &link.defined {
                Some((file, line)) => write!(f, "\n    in task `{}` ({file}:{line})", link.name)?,
                None => write!(f, "\n    so task `{}`, which has it for an argument, did not run", link.name)?,
            }
        }
        Ok(())
    }
}
