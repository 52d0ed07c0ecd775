//! The trace context of a call, in the form of the W3C, which travels from the caller to the body.
//!
//! A process that has never had a context pays one load for each call ([`inherited`]).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::inherited;

/// The longest `tracestate` that must be passed on.
const LONGEST_STATE: usize = 512;

/// Whether this process has had a trace context.
#[inline(always)]
pub(crate) fn is_used() -> bool {
    inherited::uses(inherited::TRACE)
}

/// The place of a call in a distributed trace: the headers `traceparent` and `tracestate` of the
/// [W3C](https://www.w3.org/TR/trace-context/), which tracing libraries such as OpenTelemetry write and read.
///
/// The calls that [`run`](Self::run) makes have the context, and so have the calls that their bodies make, on a cluster too.
/// [`RuntimeContext::trace_context`](crate::RuntimeContext::trace_context) returns it in a body.
///
/// ```
/// # extern crate ray_core as ray;
/// let context: ray::TraceContext = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
/// let task = || ray::context().trace_context().map(|context| context.traceparent().to_owned());
/// let traced = context.run(|| ray::task(task).remote());
/// let other = ray::task(task).remote();
/// assert_eq!(ray::get(traced)?.as_deref(), Some(context.traceparent()));
/// assert_eq!(ray::get(other)?, None);
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The `traceparent`; if there is a `tracestate`, a line feed and this.
    text: Arc<str>,
}

impl TraceContext {
    /// The context of a `traceparent`, with this `tracestate`.
    ///
    /// # Errors
    /// `InvalidArgument`: one of them is not in the form of the W3C.
    pub fn new(traceparent: &str, tracestate: &str) -> Result<Self> {
        let wrong = |what: String| Error::new(ErrorKind::InvalidArgument, what);
        if !is_parent(traceparent) {
            return Err(wrong(format!(
                "`{traceparent}` is no traceparent: it has the form `00-`, 32 hexadecimal digits, `-`, 16 digits, `-` and 2 digits"
            )));
        }
        if tracestate.len() > LONGEST_STATE || !tracestate.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(wrong(format!(
                "a tracestate has at most {LONGEST_STATE} printable ASCII characters, unlike `{tracestate}`"
            )));
        }
        inherited::begin(inherited::TRACE);
        let text = if tracestate.is_empty() { traceparent.into() } else { format!("{traceparent}\n{tracestate}").into() };
        Ok(Self { text })
    }

    /// The header `traceparent`: the version, the ids of the trace and of the caller's span, and the flags.
    #[must_use]
    pub fn traceparent(&self) -> &str {
        self.text.split_once('\n').map_or(&self.text, |(parent, _)| parent)
    }

    /// The header `tracestate`; empty if there is none.
    #[must_use]
    pub fn tracestate(&self) -> &str {
        self.text.split_once('\n').map_or("", |(_, state)| state)
    }

    /// The context as one text, for another process.
    #[doc(hidden)]
    #[must_use]
    pub fn as_text(&self) -> &str {
        &self.text
    }

    /// The context of a text of another process; none: the text is empty, or no context.
    #[doc(hidden)]
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let (parent, state) = text.split_once('\n').unwrap_or((text, ""));
        Self::new(parent, state).ok()
    }
}

impl FromStr for TraceContext {
    type Err = Error;

    fn from_str(traceparent: &str) -> Result<Self> {
        Self::new(traceparent, "")
    }
}

impl fmt::Debug for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TraceContext({})", self.traceparent())
    }
}

/// Whether this is a `traceparent`. A later version may have further fields behind the flags.
fn is_parent(text: &str) -> bool {
    let mut fields = text.split('-');
    let mut field = |length: usize| {
        let digits = fields.next()?;
        let valid = digits.len() == length && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        valid.then_some(digits)
    };
    let zero = |digits: &str| digits.bytes().all(|digit| digit == b'0');
    let (Some(version), Some(trace), Some(span), Some(_)) = (field(2), field(32), field(16), field(2)) else { return false };
    let more = fields.next().is_some();
    version != "ff" && !zero(trace) && !zero(span) && (version != "00" || !more) && text.len() <= LONGEST_STATE && text.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn contexts_of_the_w3c() {
        let plain: TraceContext = PARENT.parse().unwrap();
        assert_eq!((plain.traceparent(), plain.tracestate()), (PARENT, ""));
        let with_state = TraceContext::new(PARENT, "vendor=1,other=2").unwrap();
        assert_eq!((with_state.traceparent(), with_state.tracestate()), (PARENT, "vendor=1,other=2"));
        assert!(is_used());
        for context in [plain, with_state] {
            assert_eq!(TraceContext::of_text(context.as_text()), Some(context));
        }
        assert!(is_parent(&PARENT.replace("00-", "01-")) && is_parent(&format!("{}-more", PARENT.replace("00-", "01-"))));
    }

    #[test]
    fn other_texts_are_refused() {
        let zero = |from: &str| PARENT.replace(from, &"0".repeat(from.len()));
        let wrong = [
            String::new(),
            PARENT[1..].to_owned(),
            PARENT.to_uppercase(),
            PARENT.replace("00-", "ff-"),
            format!("{PARENT}-more"),
            zero("0af7651916cd43dd8448eb211c80319c"),
            zero("b7ad6b7169203331"),
        ];
        for text in wrong {
            assert!(text.parse::<TraceContext>().unwrap_err().is_invalid_argument(), "{text}");
        }
        assert!(TraceContext::new(PARENT, "a\nb").is_err() && TraceContext::new(PARENT, &"x".repeat(513)).is_err());
        assert_eq!((TraceContext::of_text(""), TraceContext::of_text("x\ny")), (None, None));
    }
}
