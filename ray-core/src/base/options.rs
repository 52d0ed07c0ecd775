//! Options of tasks, actors and methods: those an attribute gives, as constants, and those a call gives.
//!
//! What is wrong in an attribute is a compile error. A setter of a call's options neither panics nor returns an error: the
//! options remember the first thing that was wrong, and the call comes back failed with it.

use std::sync::Arc;
use std::time::Duration;
use std::{fmt, mem};

use crate::base::error::{Error, ErrorKind};
use crate::base::resources::AttributeResources;

/// Retries of a task that has `retry_exceptions` and says nothing else.
pub(crate) const DEFAULT_MAX_RETRIES: i64 = 3;

/// Whether a task that failed is tried again, as far as its error goes.
///
/// ```
/// # extern crate ray_core as ray;
/// use ray::__private::RetryOn;
/// fn is_busy(error: &ray::Error) -> bool {
///     error.to_string().contains("busy")
/// }
/// let every: RetryOn = true.into();
/// let some: RetryOn = is_busy.into();
/// let patience = String::from("busy");
/// let some: RetryOn = (move |error: &ray::Error| error.to_string().contains(&patience)).into();
/// ```
#[derive(Clone, Default)]
pub enum RetryOn {
    /// No error makes it try again.
    #[default]
    Never,
    /// Every `Err` and every panic does.
    Always,
    /// Those do for which the function says so: what an attribute can name.
    If(fn(&Error) -> bool),
    /// Those do for which the closure says so: what a call can give.
    Rule(Arc<dyn Fn(&Error) -> bool + Send + Sync>),
}

impl RetryOn {
    /// Whether this is [`RetryOn::Never`].
    pub(crate) const fn is_never(&self) -> bool {
        matches!(self, RetryOn::Never)
    }

    /// Whether to try again after `error`; never after a cancellation or once the engine is gone. A predicate is the user's
    /// code and may panic.
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

/// Declares the const setters that the attributes of tasks and actors share.
macro_rules! attribute_resources {
    () => {
        /// CPUs to hold while it runs.
        ///
        /// # Panics
        /// If the amount is none: in an attribute, a compile error.
        #[must_use]
        #[track_caller]
        pub const fn num_cpus(mut self, amount: f64) -> Self {
            self.resources = self.resources.num_cpus(amount);
            self
        }

        /// GPUs to hold while it runs.
        ///
        /// # Panics
        /// If the amount is none: in an attribute, a compile error.
        #[must_use]
        #[track_caller]
        pub const fn num_gpus(mut self, amount: f64) -> Self {
            self.resources = self.resources.num_gpus(amount);
            self
        }

        /// Bytes of memory to hold while it runs.
        #[must_use]
        #[track_caller]
        pub const fn memory(mut self, bytes: u64) -> Self {
            self.resources = self.resources.memory(bytes);
            self
        }

        /// An amount of a custom resource to hold while it runs.
        ///
        /// # Panics
        /// If the name is one of Ray's own or the amount is none: in an attribute, a compile error.
        #[must_use]
        #[track_caller]
        pub const fn resource(mut self, name: &'static str, amount: f64) -> Self {
            self.resources = self.resources.resource(name, amount);
            self
        }
    };
}

/// The options of a remote function's attribute.
#[derive(Clone, Debug)]
pub struct TaskOptions {
    pub(crate) resources: AttributeResources,
    pub(crate) max_retries: Option<i64>,
    pub(crate) retry_on: RetryOn,
    pub(crate) name: Option<&'static str>,
}

impl TaskOptions {
    /// An attribute that says nothing.
    #[must_use]
    pub const fn new() -> Self {
        TaskOptions { resources: AttributeResources::new(), max_retries: None, retry_on: RetryOn::Never, name: None }
    }

    /// The attribute says nothing that a call would have to look at.
    pub(crate) const fn is_silent(&self) -> bool {
        self.resources.is_silent() && self.max_retries.is_none() && self.retry_on.is_never() && self.name.is_none()
    }

    attribute_resources!();

    /// How often to try again, where `retry_exceptions` allows it; -1 for ever.
    ///
    /// # Panics
    /// If it is below -1: in an attribute, a compile error.
    #[must_use]
    #[track_caller]
    pub const fn max_retries(mut self, retries: i64) -> Self {
        assert!(retries >= -1, "{}", MAX_RETRIES);
        self.max_retries = Some(retries);
        self
    }

    /// After which errors to try again.
    #[must_use]
    #[track_caller]
    pub const fn retry_exceptions(mut self, on: RetryOn) -> Self {
        // An assignment would drop the former one, which a const function cannot do; it is `Never`.
        mem::forget(mem::replace(&mut self.retry_on, on));
        self
    }

    /// The name to go by in errors and logs.
    #[must_use]
    #[track_caller]
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The options of an actor class's attribute.
#[derive(Clone, Copy, Debug)]
pub struct ActorOptions {
    pub(crate) resources: AttributeResources,
    pub(crate) max_restarts: i64,
    pub(crate) max_task_retries: i64,
    pub(crate) max_concurrency: Option<u32>,
    pub(crate) max_pending_calls: i64,
}

impl ActorOptions {
    /// The attribute says nothing that a creation would have to look at.
    pub(crate) const fn is_silent(&self) -> bool {
        self.resources.is_silent()
            && self.max_restarts == 0
            && self.max_task_retries == 0
            && self.max_concurrency.is_none()
            && self.max_pending_calls == -1
    }

    /// An attribute that says nothing.
    #[must_use]
    pub const fn new() -> Self {
        ActorOptions {
            resources: AttributeResources::new(),
            max_restarts: 0,
            max_task_retries: 0,
            max_concurrency: None,
            max_pending_calls: -1,
        }
    }

    attribute_resources!();

    /// How often to make the actor anew after it failed; -1 for ever.
    ///
    /// # Panics
    /// If it is below -1: in an attribute, a compile error.
    #[must_use]
    #[track_caller]
    pub const fn max_restarts(mut self, restarts: i64) -> Self {
        assert!(restarts >= -1, "{}", MAX_RESTARTS);
        self.max_restarts = restarts;
        self
    }

    /// How often to make a call again that a restart cut off; -1 for ever.
    ///
    /// # Panics
    /// If it is below -1: in an attribute, a compile error.
    #[must_use]
    #[track_caller]
    pub const fn max_task_retries(mut self, retries: i64) -> Self {
        assert!(retries >= -1, "{}", MAX_TASK_RETRIES);
        self.max_task_retries = retries;
        self
    }

    /// How many calls may run at once.
    ///
    /// # Panics
    /// If it is 0: in an attribute, a compile error.
    #[must_use]
    #[track_caller]
    pub const fn max_concurrency(mut self, calls: u32) -> Self {
        assert!(calls > 0, "{}", MAX_CONCURRENCY);
        self.max_concurrency = Some(calls);
        self
    }

    /// How many calls may wait; -1 for no limit.
    ///
    /// # Panics
    /// If it is 0 or below -1: in an attribute, a compile error.
    #[must_use]
    #[track_caller]
    pub const fn max_pending_calls(mut self, calls: i64) -> Self {
        assert!(calls > 0 || calls == -1, "{}", MAX_PENDING_CALLS);
        self.max_pending_calls = calls;
        self
    }
}

impl Default for ActorOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The options of a method's attribute.
#[derive(Clone, Debug)]
pub struct MethodOptions {
    pub(crate) max_task_retries: Option<i64>,
    pub(crate) retry_on: RetryOn,
    pub(crate) name: Option<&'static str>,
}

impl MethodOptions {
    /// The attribute says nothing that a call would have to look at.
    pub(crate) const fn is_silent(&self) -> bool {
        self.max_task_retries.is_none() && self.retry_on.is_never() && self.name.is_none()
    }

    /// An attribute that says nothing.
    #[must_use]
    pub const fn new() -> Self {
        MethodOptions { max_task_retries: None, retry_on: RetryOn::Never, name: None }
    }

    /// How often to make a call again that failed; -1 for ever. The class's own option where it says nothing.
    ///
    /// # Panics
    /// If it is below -1: in an attribute, a compile error.
    #[must_use]
    #[track_caller]
    pub const fn max_task_retries(mut self, retries: i64) -> Self {
        assert!(retries >= -1, "{}", MAX_TASK_RETRIES);
        self.max_task_retries = Some(retries);
        self
    }

    /// After which errors to make the call again.
    #[must_use]
    #[track_caller]
    pub const fn retry_exceptions(mut self, on: RetryOn) -> Self {
        // An assignment would drop the former one, which a const function cannot do; it is `Never`.
        mem::forget(mem::replace(&mut self.retry_on, on));
        self
    }

    /// The name to go by in errors and logs.
    #[must_use]
    #[track_caller]
    pub const fn name(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        self
    }
}

impl Default for MethodOptions {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) const MAX_RETRIES: &str = "max_retries must be -1 (for ever), 0 or more";
pub(super) const MAX_RESTARTS: &str = "max_restarts must be -1 (for ever), 0 or more";
pub(super) const MAX_TASK_RETRIES: &str = "max_task_retries must be -1 (for ever), 0 or more";
pub(super) const MAX_CONCURRENCY: &str = "max_concurrency must be 1 or more";
pub(super) const MAX_PENDING_CALLS: &str = "max_pending_calls must be -1 (no limit), 1 or more";

/// How to cancel, for `ray::cancel_with`.
///
/// ```
/// # extern crate ray_core as ray;
/// let only_this_one = ray::CancelOptions::new().recursive(false);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct CancelOptions {
    pub(crate) recursive: bool,
    pub(crate) force: bool,
}

impl CancelOptions {
    /// As `ray::cancel` does: what the task has submitted is cancelled with it, and nothing is forced.
    pub const fn new() -> Self {
        CancelOptions { recursive: true, force: false }
    }

    /// Whether to cancel what the task has submitted, too.
    pub const fn recursive(mut self, recursive: bool) -> Self {
        self.recursive = recursive;
        self
    }

    /// Whether to end the worker that runs the task. In the embedded engine a thread cannot be ended: the object is settled
    /// at once either way, and the body runs to its end unheard. A call of an actor cannot be forced.
    pub const fn force(mut self, force: bool) -> Self {
        self.force = force;
        self
    }
}

impl Default for CancelOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// How many results to wait for, and how long; for `ray::wait`.
///
/// ```
/// # extern crate ray_core as ray;
/// use std::time::Duration;
/// let two_within_a_second: ray::WaitOptions = ray::first(2).timeout(Duration::from_secs(1));
/// let two = ray::WaitOptions::from(2);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct WaitOptions {
    pub(crate) count: usize,
    pub(crate) timeout: Option<Duration>,
}

impl WaitOptions {
    /// Gives back what is ready when the time is over, though it be fewer; nothing is waited for with a zero duration.
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl From<usize> for WaitOptions {
    fn from(count: usize) -> Self {
        first(count)
    }
}

/// Waits for `count` results, for as long as it takes; [`WaitOptions::timeout`] puts an end to it.
///
/// ```
/// # extern crate ray_core as ray;
/// let options = ray::first(1);
/// assert_eq!(options, 1.into());
/// ```
pub const fn first(count: usize) -> WaitOptions {
    WaitOptions { count, timeout: None }
}
