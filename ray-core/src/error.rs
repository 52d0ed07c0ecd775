//! The one error type: what went wrong, in which task, and because of what.
//!
//! [`Error`] is one pointer, cheap to clone, because one failure is handed to every reference, dependant and waiter of the
//! failed object. A failure on its way up gathers [`Link`]s: the task that failed, the tasks that failed because an argument
//! of theirs did, the tasks whose bodies passed it on. The [kind](ErrorKind) and the user's own value stay those of the origin.

pub(crate) mod glue;

use std::any::Any;
use std::borrow::Cow;
use std::fmt::{self, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

pub(crate) use glue::Source;

/// The result of whatever can fail here: `ray::Result<T>` is `Result<T, ray::Error>`.
///
/// ```
/// # extern crate ray_core as ray;
/// fn parse(text: &str) -> ray::Result<i64> {
///     text.parse().map_err(ray::Error::other)
/// }
/// assert_eq!(parse("7").unwrap(), 7);
/// assert!(parse("seven").unwrap_err().is_other());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Declares the kinds once: the enum, and the question `is_*` on [`Error`] for each.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident $question:ident,)+) => {
        /// What sort of failure an [`Error`] is.
        ///
        /// ```
        /// # extern crate ray_core as ray;
        /// let error = ray::Error::other("no such table");
        /// match error.kind() {
        ///     ray::ErrorKind::GetTimeout => println!("try again later"),
        ///     kind => assert_eq!(kind, ray::ErrorKind::Other),
        /// }
        /// ```
        #[non_exhaustive]
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl Error {
            $(
                #[doc = concat!("Whether the kind is [`ErrorKind::", stringify!($kind), "`]:")]
                $(#[doc = $doc])+
                #[must_use]
                pub fn $question(&self) -> bool {
                    self.kind() == ErrorKind::$kind
                }
            )+
        }
    };
}

kinds! {
    /// a task's or method's body, or an actor's constructor, returned `Err`; [`Error::downcast_ref`] finds the value.
    Task is_task,
    /// a task's or method's body panicked.
    Panic is_panic,
    /// the task was cancelled.
    Cancelled is_cancelled,
    /// a `get` with a timeout, or a `wait` of another sort with one, ran out of time.
    GetTimeout is_timeout,
    /// the actor is dead: killed, ended, or failed with no restart left.
    ActorDied is_actor_died,
    /// the actor is restarting, and the call was lost with its former life.
    ActorUnavailable is_actor_unavailable,
    /// as many calls wait at the actor as its `max_pending_calls` allows.
    PendingCallsLimitExceeded is_pending_calls_limit_exceeded,
    /// another living actor has the name.
    ActorAlreadyExists is_actor_already_exists,
    /// no living actor has the name, or it is of another class.
    ActorNotFound is_actor_not_found,
    /// more of a resource is asked for than there is in all.
    Infeasible is_infeasible,
    /// the call would wait for itself, through others.
    Deadlock is_deadlock,
    /// a call that blocks its thread was made in async code; `.await` is the way there.
    BlockingInAsync is_blocking_in_async,
    /// the engine that the reference or handle belongs to was shut down.
    RuntimeGone is_runtime_gone,
    /// `init` was called while the engine runs.
    AlreadyInitialized is_already_initialized,
    /// an argument or an option is outside what is allowed.
    InvalidArgument is_invalid_argument,
    /// a value could not be encoded, or its bytes not decoded.
    Serialization is_serialization,
    /// the cluster that was asked for cannot be used.
    ClusterUnavailable is_cluster_unavailable,
    /// the system refused a thread, or calls are nested deeper than threads may be had.
    Threads is_threads,
    /// a group of [`collective`](crate::collective) is broken: a member has left or failed, or its members are in operations
    /// that do not go together.
    Collective is_collective,
    /// an error made by [`Error::other`].
    Other is_other,
}

/// Why a task, a call or a request failed.
///
/// `Display` is one line: what happened and, where there is something to do about it, what to do. `Debug`, which is what
/// `fn main() -> ray::Result<()>` shows, is that line and below it the way the failure took: the place of a panic, the tasks
/// that it went through, its causes.
///
/// ```
/// # extern crate ray_core as ray;
/// let number = "seven".parse::<i64>().unwrap_err();
/// let error = ray::Error::other(number);
/// assert_eq!(error.to_string(), "invalid digit found in string");
/// assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    what: What,
    /// `file:line:column` of a panic.
    location: Option<Box<str>>,
    /// Innermost first; at most [`KEPT_LINKS`].
    links: Vec<Link>,
    /// How many links were dropped between the first half of `links` and the second.
    elided: usize,
    cause: Option<Error>,
}

#[derive(Clone)]
enum What {
    Message(Cow<'static, str>),
    User(Arc<dyn Payload>),
}

/// A task that the failure went through.
#[derive(Clone)]
struct Link {
    name: Arc<str>,
    /// Where the function is defined; none for a task that failed for an argument, which did not run.
    defined: Option<(&'static str, u32)>,
}

/// Calls nest to ten thousand and more, and each level keeps its own error: chains of full length would take quadratic memory.
/// The two ends tell the story.
const KEPT_LINKS: usize = 32;

/// A user's own error value, erased.
trait Payload: Send + Sync {
    fn as_any(&self) -> &dyn Any;
    fn text(&self) -> String;
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)>;
    /// Through MessagePack and back; none where the type has no glue or does not survive it.
    fn round_trip(&self) -> Option<Arc<dyn Payload>>;
}

impl Error {
    /// An error of the user's own making, of kind [`ErrorKind::Other`].
    ///
    /// The value is kept: [`downcast_ref`](Error::downcast_ref) finds it again. A remote function that returns
    /// `ray::Result<T>` passes such an error on as it is.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let error = ray::Error::other("the table is empty");
    /// assert_eq!(error.kind(), ray::ErrorKind::Other);
    /// assert_eq!(error.downcast_ref::<&str>(), Some(&"the table is empty"));
    /// ```
    #[must_use]
    pub fn other<E: Display + Send + Sync + 'static>(error: E) -> Error {
        Error::of_user(ErrorKind::Other, error, no_source, None)
    }

    /// An error of the engine's own; `message` says what happened and what to do, in one line.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error::of(kind, What::Message(message.into()))
    }

    /// What a body returned as `Err`, where nothing more is known of its type.
    #[cfg(test)]
    pub(crate) fn user<E: Display + Send + Sync + 'static>(error: E) -> Error {
        Error::of_user(ErrorKind::Task, error, no_source, None)
    }

    /// A panic of a body; `location` is `file:line:column`.
    pub(crate) fn panic(message: impl Into<Cow<'static, str>>, location: Option<String>) -> Error {
        let mut error = Error::new(ErrorKind::Panic, message);
        error.inner_mut().location = location.map(String::into_boxed_str);
        error
    }

    /// The same error, because of `cause`.
    #[must_use]
    pub(crate) fn with_cause(mut self, cause: Error) -> Error {
        self.inner_mut().cause = Some(cause);
        self
    }

    /// The same error, having gone through the body of the task `name`, whose function is defined at `file:line`.
    #[must_use]
    pub(crate) fn in_task(self, name: &str, file: &'static str, line: u32) -> Error {
        self.with_link(Link { name: name.into(), defined: Some((file, line)) })
    }

    /// The same error, as that of the task `name`, which did not run because an argument's producer failed.
    #[must_use]
    #[allow(
        clippy::wrong_self_convention,
        reason = "it reads as its siblings `with_cause` and `in_task`, which take the error too"
    )]
    pub(crate) fn as_dependency_of(self, name: &str) -> Error {
        self.with_link(Link { name: name.into(), defined: None })
    }

    /// The same error after a journey to another process and back, and whether the user's value in it came back as itself:
    /// where it did not, its text took its place.
    pub(crate) fn portable_round_trip(mut self) -> (Error, bool) {
        let mut typed = true;
        if let What::User(payload) = &self.0.what {
            let arrived = payload.round_trip();
            typed = arrived.is_some();
            let what = match arrived {
                Some(payload) => What::User(payload),
                None => What::Message(text_of(&**payload).into()),
            };
            self.inner_mut().what = what;
        }
        if let Some(cause) = self.0.cause.clone() {
            let (cause, cause_typed) = cause.portable_round_trip();
            typed &= cause_typed;
            self.inner_mut().cause = Some(cause);
        }
        (self, typed)
    }

    /// What sort of failure this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The value that a body returned as `Err`, or that was given to [`Error::other`], if it is an `E`.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// #[derive(Debug)]
    /// struct OutOfStock { item: u32 }
    /// impl std::fmt::Display for OutOfStock {
    ///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    ///         write!(f, "item {} is out of stock", self.item)
    ///     }
    /// }
    ///
    /// let error = ray::Error::other(OutOfStock { item: 7 });
    /// assert_eq!(error.downcast_ref::<OutOfStock>().unwrap().item, 7);
    /// assert!(error.downcast_ref::<String>().is_none());
    /// ```
    #[must_use]
    pub fn downcast_ref<E: 'static>(&self) -> Option<&E> {
        match &self.0.what {
            What::User(payload) => payload.as_any().downcast_ref(),
            What::Message(_) => None,
        }
    }

    fn of(kind: ErrorKind, what: What) -> Error {
        Error(Arc::new(Inner { kind, what, location: None, links: Vec::new(), elided: 0, cause: None }))
    }

    fn of_user<E>(kind: ErrorKind, error: E, source: Source<E>, round_trip: Option<fn(&E) -> Result<E>>) -> Error
    where
        E: Display + Send + Sync + 'static,
    {
        // Ray's own errors pass through unwrapped where method resolution does not see them: in generic code, and in the
        // box that `?` makes in a body that returns `Box<dyn Error + Send + Sync>`.
        let mut error = Some(error);
        let any = &mut error as &mut dyn Any;
        if let Some(own) = any.downcast_mut::<Option<Error>>().and_then(Option::take) {
            return own;
        }
        let boxed = any.downcast_mut::<Option<BoxedError>>().and_then(|boxed| boxed.take_if(|boxed| boxed.is::<Error>()));
        if let Some(Ok(own)) = boxed.map(|boxed| boxed.downcast()) {
            return *own;
        }
        let error = error.expect("only an error of ours is taken out");
        Error::of(kind, What::User(Arc::new(Owned { error, source, round_trip })))
    }

    /// The fields, for a change; copied first where the error is shared.
    fn inner_mut(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    fn with_link(mut self, link: Link) -> Error {
        let inner = self.inner_mut();
        if inner.links.len() == KEPT_LINKS {
            inner.links.remove(KEPT_LINKS / 2);
            inner.elided += 1;
        }
        inner.links.push(link);
        self
    }

    /// What happened, without the name of the task, in as many lines as its author wrote.
    fn text(&self) -> Cow<'_, str> {
        match &self.0.what {
            What::Message(message) => Cow::Borrowed(message),
            What::User(payload) => Cow::Owned(text_of(&**payload)),
        }
    }

    /// What happened, where, and to which task; the text on one line if `one_line`, else with its own line breaks.
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
        let text = self.text();
        let separator = if one_line { "; " } else { "\n    " };
        let mut lines = text.lines().map(|line| if one_line { line.trim() } else { line }).filter(|line| !line.is_empty());
        f.write_str(lines.next().unwrap_or("(no message)"))?;
        lines.try_for_each(|line| write!(f, "{separator}{line}"))
    }

    fn write_links(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, link) in self.0.links.iter().enumerate() {
            if i == KEPT_LINKS / 2 && self.0.elided > 0 {
                write!(f, "\n    .. through {} more tasks ..", self.0.elided)?;
            }
            match link.defined {
                Some((file, line)) => write!(f, "\n    in task `{}` ({file}:{line})", link.name)?,
                None => write!(f, "\n    so task `{}`, which has it for an argument, did not run", link.name)?,
            }
        }
        Ok(())
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_headline(f, true)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_headline(f, false)?;
        self.write_links(f)?;
        let mut cause = self.0.cause.as_ref();
        while let Some(error) = cause {
            f.write_str("\n  because: ")?;
            error.write_headline(f, false)?;
            error.write_links(f)?;
            error.write_sources(f)?;
            cause = error.0.cause.as_ref();
        }
        self.write_sources(f)
    }
}

impl Error {
    fn write_sources(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let What::User(payload) = &self.0.what else { return Ok(()) };
        let mut source = payload.source();
        while let Some(error) = source {
            write!(f, "\n  because: {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match (&self.0.cause, &self.0.what) {
            (Some(cause), _) => Some(cause),
            (None, What::User(payload)) => payload.source(),
            (None, What::Message(_)) => None,
        }
    }
}

type BoxedError = Box<dyn std::error::Error + Send + Sync>;

/// A user's error with what the macro found out about its type.
struct Owned<E> {
    error: E,
    source: Source<E>,
    round_trip: Option<fn(&E) -> Result<E>>,
}

impl<E: Display + Send + Sync + 'static> Payload for Owned<E> {
    fn as_any(&self) -> &dyn Any {
        &self.error
    }

    fn text(&self) -> String {
        self.error.to_string()
    }

    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match (&self.error as &dyn Any).downcast_ref::<BoxedError>() {
            Some(boxed) => boxed.source(),
            None => (self.source)(&self.error),
        }
    }

    fn round_trip(&self) -> Option<Arc<dyn Payload>> {
        let error = self.round_trip?(&self.error).ok()?;
        Some(Arc::new(Owned { error, source: self.source, round_trip: self.round_trip }))
    }
}

fn no_source<E>(_: &E) -> Option<&(dyn std::error::Error + 'static)> {
    None
}

/// The engine writes errors on its own threads too, where a panic of a user's `Display` must do no harm.
fn text_of(payload: &dyn Payload) -> String {
    catch_unwind(AssertUnwindSafe(|| payload.text())).unwrap_or_else(|panic| {
        std::mem::forget(panic);
        "(an error whose Display panicked)".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word() {
        assert_eq!(size_of::<Option<Error>>(), size_of::<usize>());
    }

    #[test]
    fn the_way_of_a_failure() {
        let origin = Error::user("out of stock\nitem 7").in_task("shop::buy", "src/shop.rs", 10);
        let handed = origin.clone().as_dependency_of("shop::ship").in_task("shop::order", "src/shop.rs", 30);
        assert_eq!(origin.0.links.len(), 1, "a clone goes its own way");
        assert_eq!(handed.to_string(), "task `shop::buy` failed: out of stock; item 7");
        let expected = "task `shop::buy` failed: out of stock
    item 7
    in task `shop::buy` (src/shop.rs:10)
    so task `shop::ship`, which has it for an argument, did not run
    in task `shop::order` (src/shop.rs:30)";
        assert_eq!(format!("{handed:?}"), expected);
        assert!(handed.downcast_ref::<&str>().is_some());
    }

    #[test]
    fn causes_come_after() {
        let panic = Error::panic("torn", Some("src/a.rs:1:2".into())).in_task("Counter::add", "src/a.rs", 1);
        let died = Error::new(ErrorKind::ActorDied, "the actor `Counter` is dead").with_cause(panic);
        let expected = "the actor `Counter` is dead
  because: task `Counter::add` panicked at src/a.rs:1:2: torn
    in task `Counter::add` (src/a.rs:1)";
        assert_eq!(format!("{died:?}"), expected);
        assert!(died.portable_round_trip().1, "an error of the engine's own needs no glue");
    }

    #[test]
    fn a_long_way_is_told_by_its_ends() {
        let error = (0..10_000).fold(Error::user("deep"), |error, i| error.in_task(&format!("t{i}"), "src/a.rs", i));
        let text = format!("{error:?}");
        assert!(text.contains("`t0`") && text.contains("`t9999`") && text.contains("through 9968 more tasks"), "{text}");
        assert!(text.lines().count() < 40);
    }

    #[test]
    fn a_display_that_panics_does_no_harm() {
        struct Rude;
        impl Display for Rude {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("rude")
            }
        }
        assert!(Error::user(Rude).to_string().contains("Display panicked"));
    }
}
