//! The error type of the engine: what failed, in which task, and with which causes.
//!
//! [`Error`] is one pointer, cheap to clone, because every reference, dependant and waiter of a failed object gets the same error.
//! An error collects a [`Link`] for each task that it goes through: the task that failed, the tasks that did not run because an
//! argument failed, the tasks whose bodies returned the error. The [kind](ErrorKind) and the user's value remain those of the
//! first task.

pub(crate) mod conversion;
mod payload;
mod show;
mod std_errors;
mod wire;

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;

use payload::{Encode, Head, Owned, Payload};
pub(crate) use wire::Arrived;
pub use wire::EncodedError;

/// The result of the engine's functions: `ray::Result<T>` is `Result<T, ray::Error>`. `?` turns the errors of the standard library, and a
/// `Box<dyn Error + Send + Sync>`, into one of kind `Other`; [`Error::from_std`] and [`Error::other`] do so for other types.
///
/// ```
/// # extern crate ray_core as ray;
/// fn parse(text: &str) -> ray::Result<i64> {
///     Ok(text.parse::<i64>()?)
/// }
/// assert_eq!(parse("7").unwrap(), 7);
/// assert!(parse("seven").unwrap_err().is_other());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Declares the kinds: the enum, and a method `is_*` of [`Error`] for each.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident $method:ident,)+) => {
        /// The kind of an [`Error`].
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

        impl ErrorKind {
            const ALL: &[ErrorKind] = &[$(ErrorKind::$kind,)+];

            /// The name of the variant.
            const fn name(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => stringify!($kind),)+
                }
            }
        }

        impl Error {
            $(
                #[doc = concat!("Whether the kind is [`ErrorKind::", stringify!($kind), "`]:")]
                $(#[doc = $doc])+
                #[must_use]
                pub fn $method(&self) -> bool {
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
    /// a `get` or another wait with a time-out took too long.
    GetTimeout is_timeout,
    /// the actor is dead: killed, ended, or failed with no restart left.
    ActorDied is_actor_died,
    /// the actor restarted, and the call was lost with the former instance.
    ActorUnavailable is_actor_unavailable,
    /// as many calls wait at the actor as its `max_pending_calls` allows.
    PendingCallsLimitExceeded is_pending_calls_limit_exceeded,
    /// another living actor has the name.
    ActorAlreadyExists is_actor_already_exists,
    /// no living actor has the name, or the actor has another class.
    ActorNotFound is_actor_not_found,
    /// the task or actor asks for more of a resource than the engine has in total.
    Infeasible is_infeasible,
    /// the placement group of the task, of the actor or of the request was removed.
    PlacementGroupRemoved is_placement_group_removed,
    /// the call would wait for itself, directly or through other calls.
    Deadlock is_deadlock,
    /// a blocking call was made in async code; use `.await` there.
    BlockingInAsync is_blocking_in_async,
    /// the engine that the reference or handle belongs to was shut down.
    RuntimeGone is_runtime_gone,
    /// `init` was called while an engine runs.
    AlreadyInitialized is_already_initialized,
    /// the value of an argument or an option is invalid.
    InvalidArgument is_invalid_argument,
    /// a value could not be encoded, or its bytes could not be decoded.
    Serialization is_serialization,
    /// the configured cluster cannot be used.
    ClusterUnavailable is_cluster_unavailable,
    /// the system refused a thread, or blocking calls are nested too deep.
    Threads is_threads,
    /// a group of [`collective`](crate::collective) is broken: a member has left or failed, or the operations do not match.
    Collective is_collective,
    /// the process that ran the task or the actor has ended before it sent a result.
    WorkerCrashed is_worker_crashed,
    /// on a cluster: all copies of the object are lost, or the process that owned it has ended.
    ObjectLost is_object_lost,
    /// on a cluster: a node has no memory left for a task or an object.
    OutOfMemory is_out_of_memory,
    /// on a cluster: it refuses the program's token, or the program has none.
    Authentication is_authentication,
    /// on a cluster: Ray has failed, for example because a node has died.
    System is_system,
    /// a queue of `ray::util` has no room for the item, or had none until the time-out.
    QueueFull is_queue_full,
    /// a queue of `ray::util` has no item, or had none until the time-out.
    QueueEmpty is_queue_empty,
    /// an error made by [`Error::other`].
    Other is_other,
}

/// Why a task, a call or a request failed.
///
/// `Display` is one line: what happened and what to do about it; `{:#}` adds the causes. `Debug`, which `fn main() -> ray::Result<()>`
/// prints, is that line and below it the path of the failure: the tasks that it went through, and its causes, each after "because".
///
/// The causes of a user's own error are kept: those that its `source()` gives, and those of an `anyhow::Error`, an
/// `eyre::Report` or a `Box<dyn Error + Send + Sync>`. [`source`](std::error::Error::source) walks them, and
/// [`downcast_ref`](Error::downcast_ref) finds each of them by its type.
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
    /// The path of the function, method or constructor that returned the user's value.
    origin: Option<Cow<'static, str>>,
}

#[derive(Clone)]
enum What {
    Message(Cow<'static, str>),
    User(Arc<dyn Payload>),
}

/// A task that the error went through.
#[derive(Clone)]
struct Link {
    name: Arc<str>,
    /// File and line of the function. None: the task did not run because an argument failed.
    defined: Option<(Cow<'static, str>, u32)>,
}

/// How many links an error keeps: the first and the last ones. Calls nest ten thousand levels deep and more, and each level keeps
/// its own error, so full chains would need quadratic memory.
const KEPT_LINKS: usize = 32;

impl Error {
    /// Makes an error of kind [`ErrorKind::Other`] from a user's value.
    ///
    /// The value is kept: [`downcast_ref`](Error::downcast_ref) finds it. A remote function that returns `ray::Result<T>` can return
    /// such an error, which stays as it is.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let error = ray::Error::other("the table is empty");
    /// assert_eq!(error.kind(), ray::ErrorKind::Other);
    /// assert_eq!(error.downcast_ref::<&str>(), Some(&"the table is empty"));
    /// ```
    #[must_use]
    pub fn other<E: Display + Send + Sync + 'static>(error: E) -> Error {
        Error::of_user(ErrorKind::Other, error, payload::no_head, None)
    }

    /// As [`other`](Error::other), and keeps the causes of `error` too: `source()` of the result returns them, `{:?}` prints them,
    /// and [`downcast_ref`](Error::downcast_ref) finds each of them.
    ///
    /// `Error::other` takes every type that implements `Display`, so it cannot call `source()` of its value.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// let error = std::io::Error::other("seven".parse::<i64>().unwrap_err());
    /// let error = ray::Error::from_std(error);
    /// assert!(error.downcast_ref::<std::io::Error>().is_some());
    /// assert!(error.is_other());
    /// ```
    #[must_use]
    pub fn from_std<E: std::error::Error + Send + Sync + 'static>(error: E) -> Error {
        Error::of_user(ErrorKind::Other, error, |error| Some(error), None)
    }

    #[doc(hidden)] // For libraries of the engine, such as `ray::util`.
    pub fn of_kind(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(kind, message)
    }

    /// An error of the engine. `message` says in one line what happened and what to do.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Error {
        Error::of(kind, What::Message(message.into()))
    }

    /// The `Err` of a body, of a type of which only `Display` is known.
    #[cfg(test)]
    pub(crate) fn user<E: Display + Send + Sync + 'static>(error: E) -> Error {
        Error::of_user(ErrorKind::Task, error, payload::no_head, None)
    }

    /// The `Err` of a closure; `head` returns the first error of its chain.
    pub(crate) fn of_body<E: Display + Send + Sync + 'static>(error: E, head: Head<E>) -> Error {
        Error::of_user(ErrorKind::Task, error, head, None)
    }

    /// A panic of a body; `location` is `file:line:column`.
    pub(crate) fn panic(message: impl Into<Cow<'static, str>>, location: Option<String>) -> Error {
        let mut error = Error::new(ErrorKind::Panic, message);
        error.inner_mut().location = location.map(String::into_boxed_str);
        error
    }

    /// Sets the cause.
    #[must_use]
    pub(crate) fn with_cause(mut self, cause: Error) -> Error {
        self.inner_mut().cause = Some(cause);
        self
    }

    /// Adds a link: the error was returned by the body of the task `name`, whose function is defined at `file:line`.
    #[must_use]
    pub(crate) fn in_task(self, name: &str, file: &'static str, line: u32) -> Error {
        self.with_link(Link { name: name.into(), defined: Some((file.into(), line)) })
    }

    /// The same error, which the function at `path` has returned. Only the first such path counts: the functions that pass
    /// the error on have not made the user's value in it.
    #[must_use]
    pub(crate) fn returned_by(mut self, path: &'static str) -> Error {
        if matches!(self.0.what, What::User(_)) && self.0.origin.is_none() {
            self.inner_mut().origin = Some(path.into());
        }
        self
    }

    /// Adds a link: the task `name` did not run because an argument failed with this error.
    #[must_use]
    #[allow(
        clippy::wrong_self_convention,
        reason = "`with_cause` and `in_task`, which belong together with it, take the error by value too"
    )]
    pub(crate) fn as_dependency_of(self, name: &str) -> Error {
        self.with_link(Link { name: name.into(), defined: None })
    }

    /// The kind of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The value that a body returned as `Err`, or that was passed to [`Error::other`], if it is an `E`; otherwise the first
    /// of its causes that is an `E`.
    ///
    /// Among causes of a foreign error type it finds only types of the standard library, because `E` need not implement
    /// `std::error::Error`; [`find`](Error::find) finds all types. A context that was attached with `anyhow` or `eyre` has a private
    /// type of that crate: find the `anyhow::Error` with this function, and downcast that.
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
        self.search(|value| value.downcast_ref(), payload::as_known)
    }

    /// The first error of type `E` in the whole chain: the value that [`downcast_ref`](Error::downcast_ref) finds, or any of
    /// its causes, of any crate.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// #[derive(Debug)]
    /// struct NoSeat;
    /// impl std::fmt::Display for NoSeat {
    ///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    ///         f.write_str("no seat is left")
    ///     }
    /// }
    /// impl std::error::Error for NoSeat {}
    ///
    /// #[derive(Debug)]
    /// struct NoTicket(NoSeat);
    /// impl std::fmt::Display for NoTicket {
    ///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    ///         f.write_str("no ticket was sold")
    ///     }
    /// }
    /// impl std::error::Error for NoTicket {
    ///     fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
    ///         Some(&self.0)
    ///     }
    /// }
    ///
    /// let error = ray::Error::from_std(NoTicket(NoSeat));
    /// assert!(error.find::<NoSeat>().is_some());
    /// ```
    #[must_use]
    pub fn find<E: std::error::Error + 'static>(&self) -> Option<&E> {
        self.search(|value| value.downcast_ref(), |cause| cause.downcast_ref())
    }

    /// The first match in the chain: `in_value` looks at a user's value, `in_cause` at an error of its chain.
    fn search<E: 'static>(
        &self,
        in_value: impl for<'a> Fn(&'a dyn Any) -> Option<&'a E>,
        in_cause: impl for<'a> Fn(&'a (dyn std::error::Error + 'static)) -> Option<&'a E>,
    ) -> Option<&E> {
        // A loop over values of type `Error`: each of them has a user's value, which `source` does not return, and that value has
        // a chain of its own.
        let mut error = self;
        loop {
            let mut inner = None;
            if let What::User(payload) = &error.0.what {
                if let Some(value) = in_value(payload.as_any()) {
                    return Some(value);
                }
                for cause in payload::chain(payload.head()) {
                    if let Some(value) = in_cause(cause) {
                        return Some(value);
                    }
                    inner = cause.downcast_ref::<Error>();
                    if inner.is_some() {
                        break;
                    }
                }
            }
            error = inner.or(error.0.cause.as_ref())?;
            if let Some(value) = in_value(error) {
                return Some(value);
            }
        }
    }

    /// The same error, where the last task that it went through has a name of its own.
    #[must_use]
    pub(crate) fn rename_last_task(mut self, name: &str) -> Error {
        if let Some(link) = self.inner_mut().links.last_mut() {
            link.name = name.into();
        }
        self
    }

    /// The name of the last task that the error went through.
    pub(crate) fn last_task(&self) -> Option<&str> {
        self.0.links.last().map(|link| &*link.name)
    }

    fn of(kind: ErrorKind, what: What) -> Error {
        Error(Arc::new(Inner { kind, what, location: None, links: Vec::new(), elided: 0, cause: None, origin: None }))
    }

    fn of_user<E>(kind: ErrorKind, error: E, head: Head<E>, encode: Option<Encode<E>>) -> Error
    where
        E: Display + Send + Sync + 'static,
    {
        // An `Error` is not wrapped again, also where method resolution does not see its type: in generic code, and in the value
        // that `?` makes in a body that returns `Box<dyn Error + Send + Sync>`, `anyhow::Result` or `eyre::Result`.
        let any = &error as &dyn Any;
        if let Some(own) = any.downcast_ref::<Error>() {
            return own.clone();
        }
        let error = Owned::new(error, head, encode);
        match error.head().and_then(|head| head.downcast_ref::<Error>()) {
            Some(own) => own.clone(),
            None => Error::of(kind, What::User(Arc::new(error))),
        }
    }

    /// The fields, to be changed. They are copied first if the error is shared.
    fn inner_mut(&mut self) -> &mut Inner {
        Arc::make_mut(&mut self.0)
    }

    fn with_link(mut self, link: Link) -> Error {
        let inner = self.inner_mut();
        if inner.links.len() == KEPT_LINKS {
            inner.links.remove(KEPT_LINKS / 2);
            // An error that was decoded may have any number.
            inner.elided = inner.elided.saturating_add(1);
        }
        inner.links.push(link);
        self
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match (&self.0.cause, &self.0.what) {
            (Some(cause), _) => Some(cause),
            (None, What::User(payload)) => payload.head().and_then(payload::source_of),
            (None, What::Message(_)) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[test]
    fn an_error_is_one_word() {
        assert_eq!(size_of::<Option<Error>>(), size_of::<usize>());
    }

    #[test]
    fn debug_prints_the_tasks_on_the_way() {
        let origin = Error::user("out of stock\nitem 7").in_task("shop::buy", "src/shop.rs", 10);
        let handed = origin.clone().as_dependency_of("shop::ship").in_task("shop::order", "src/shop.rs", 30);
        assert_eq!(origin.0.links.len(), 1, "links of a clone are its own");
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
    fn debug_prints_the_causes_after_the_tasks() {
        let panic = Error::panic("torn", Some("src/a.rs:1:2".into())).in_task("Counter::add", "src/a.rs", 1);
        let died = Error::new(ErrorKind::ActorDied, "the actor `Counter` is dead").with_cause(panic);
        let expected = "the actor `Counter` is dead
  because: task `Counter::add` panicked at src/a.rs:1:2: torn
    in task `Counter::add` (src/a.rs:1)";
        assert_eq!(format!("{died:?}"), expected);
    }

    #[test]
    fn a_long_chain_keeps_its_ends() {
        let error = (0..10_000).fold(Error::user("deep"), |error, i| error.in_task(&format!("t{i}"), "src/a.rs", i));
        let text = format!("{error:?}");
        assert!(text.contains("`t0`") && text.contains("`t9999`") && text.contains("through 9968 more tasks"), "{text}");
        assert!(text.lines().count() < 40);
    }

    #[test]
    fn a_panic_of_display_becomes_a_text() {
        struct Rude;
        impl Display for Rude {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("rude")
            }
        }
        assert!(Error::user(Rude).to_string().contains("Display panicked"));
    }
}
