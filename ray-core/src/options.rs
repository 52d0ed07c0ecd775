//! Options of tasks, actors and methods: those an attribute gives, as constants, and those a call gives.
//!
//! What is wrong in an attribute is a compile error. A setter of a call's options neither panics nor returns an error: the
//! options remember the first thing that was wrong, and the call comes back failed with it.

use std::borrow::Cow;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::resources::{AttributeResources, ResourceOverrides, Resources};

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
/// assert!(matches!(RetryOn::from(true), RetryOn::Always));
/// assert!(matches!(RetryOn::from(is_busy as fn(&ray::Error) -> bool), RetryOn::If(_)));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub enum RetryOn {
    /// No error makes it try again.
    #[default]
    Never,
    /// Every `Err` and every panic does.
    Always,
    /// Those do for which the function says so.
    If(fn(&Error) -> bool),
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
        }
    }
}

impl From<bool> for RetryOn {
    fn from(every: bool) -> RetryOn {
        if every { RetryOn::Always } else { RetryOn::Never }
    }
}

impl From<fn(&Error) -> bool> for RetryOn {
    fn from(predicate: fn(&Error) -> bool) -> RetryOn {
        RetryOn::If(predicate)
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
        pub const fn num_cpus(mut self, amount: f64) -> Self {
            self.resources = self.resources.num_cpus(amount);
            self
        }

        /// GPUs to hold while it runs.
        ///
        /// # Panics
        /// If the amount is none: in an attribute, a compile error.
        #[must_use]
        pub const fn num_gpus(mut self, amount: f64) -> Self {
            self.resources = self.resources.num_gpus(amount);
            self
        }

        /// Bytes of memory to hold while it runs.
        #[must_use]
        pub const fn memory(mut self, bytes: u64) -> Self {
            self.resources = self.resources.memory(bytes);
            self
        }

        /// An amount of a custom resource to hold while it runs.
        ///
        /// # Panics
        /// If the name is one of Ray's own or the amount is none: in an attribute, a compile error.
        #[must_use]
        pub const fn resource(mut self, name: &'static str, amount: f64) -> Self {
            self.resources = self.resources.resource(name, amount);
            self
        }
    };
}

/// The options of a remote function's attribute.
#[derive(Clone, Copy, Debug)]
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

    attribute_resources!();

    /// How often to try again, where `retry_exceptions` allows it; -1 for ever.
    ///
    /// # Panics
    /// If it is below -1: in an attribute, a compile error.
    #[must_use]
    pub const fn max_retries(mut self, retries: i64) -> Self {
        assert!(retries >= -1, "{}", MAX_RETRIES);
        self.max_retries = Some(retries);
        self
    }

    /// After which errors to try again.
    #[must_use]
    pub const fn retry_exceptions(mut self, on: RetryOn) -> Self {
        self.retry_on = on;
        self
    }

    /// The name to go by in errors and logs.
    #[must_use]
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
#[derive(Clone, Copy, Debug)]
pub struct MethodOptions {
    pub(crate) max_task_retries: Option<i64>,
    pub(crate) retry_on: RetryOn,
    pub(crate) name: Option<&'static str>,
}

impl MethodOptions {
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
    pub const fn max_task_retries(mut self, retries: i64) -> Self {
        assert!(retries >= -1, "{}", MAX_TASK_RETRIES);
        self.max_task_retries = Some(retries);
        self
    }

    /// After which errors to make the call again.
    #[must_use]
    pub const fn retry_exceptions(mut self, on: RetryOn) -> Self {
        self.retry_on = on;
        self
    }

    /// The name to go by in errors and logs.
    #[must_use]
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

const MAX_RETRIES: &str = "max_retries must be -1 (for ever), 0 or more";
const MAX_RESTARTS: &str = "max_restarts must be -1 (for ever), 0 or more";
const MAX_TASK_RETRIES: &str = "max_task_retries must be -1 (for ever), 0 or more";
const MAX_CONCURRENCY: &str = "max_concurrency must be 1 or more";
const MAX_PENDING_CALLS: &str = "max_pending_calls must be -1 (no limit), 1 or more";

/// Declares the resource setters that the options of a call and of a creation share, and how they remember an error.
macro_rules! remembering {
    () => {
        pub(crate) fn num_cpus(&mut self, amount: f64) {
            let outcome = self.resources.num_cpus(amount);
            self.remember(outcome);
        }

        pub(crate) fn num_gpus(&mut self, amount: f64) {
            let outcome = self.resources.num_gpus(amount);
            self.remember(outcome);
        }

        pub(crate) fn memory(&mut self, bytes: u64) {
            self.resources.memory(bytes);
        }

        pub(crate) fn resource(&mut self, name: impl Into<Cow<'static, str>>, amount: f64) {
            let outcome = self.resources.resource(name, amount);
            self.remember(outcome);
        }

        /// The first error counts: later ones may follow from it.
        fn remember(&mut self, outcome: Result<()>) {
            if let (None, Err(error)) = (&self.error, outcome) {
                self.error = Some(error);
            }
        }
    };
}

fn check(holds: bool, rule: &'static str, given: impl std::fmt::Display) -> Result<()> {
    if holds { Ok(()) } else { Err(Error::new(ErrorKind::InvalidArgument, format!("{rule}, not {given}"))) }
}

/// What one call of a function or a method says, over its attribute.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallOptions {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) resources: ResourceOverrides,
    pub(crate) max_retries: Option<i64>,
    pub(crate) retry_on: Option<RetryOn>,
    error: Option<Error>,
}

impl CallOptions {
    pub(crate) const fn new() -> Self {
        CallOptions { name: None, resources: ResourceOverrides::new(), max_retries: None, retry_on: None, error: None }
    }

    remembering!();

    pub(crate) fn name(&mut self, name: impl Into<Cow<'static, str>>) {
        self.name = Some(name.into());
    }

    pub(crate) fn max_retries(&mut self, retries: i64) {
        self.max_retries = Some(retries);
        self.remember(check(retries >= -1, MAX_RETRIES, retries));
    }

    /// The same for a method, under its own name.
    pub(crate) fn max_task_retries(&mut self, retries: i64) {
        self.max_retries = Some(retries);
        self.remember(check(retries >= -1, MAX_TASK_RETRIES, retries));
    }

    pub(crate) fn retry_exceptions(&mut self, on: impl Into<RetryOn>) {
        self.retry_on = Some(on.into());
    }

    /// What holds for this call of a function, where a task that says nothing of CPUs asks for `cpu` units.
    ///
    /// # Errors
    /// The first thing that a setter was given wrong.
    pub(crate) fn over_task(self, attribute: &TaskOptions, cpu: u64) -> Result<CallSettings> {
        if let Some(error) = self.error {
            return Err(error);
        }
        Ok(CallSettings {
            name: self.name.or(attribute.name.map(Cow::Borrowed)),
            resources: self.resources.over(attribute.resources.demand(cpu)),
            max_retries: self.max_retries.or(attribute.max_retries).unwrap_or(DEFAULT_MAX_RETRIES),
            retry_on: self.retry_on.unwrap_or(attribute.retry_on),
        })
    }

    /// What holds for this call of a method, where the class allows `max_task_retries`.
    ///
    /// # Errors
    /// The first thing that a setter was given wrong.
    pub(crate) fn over_method(self, attribute: &MethodOptions, max_task_retries: i64) -> Result<CallSettings> {
        if let Some(error) = self.error {
            return Err(error);
        }
        Ok(CallSettings {
            name: self.name.or(attribute.name.map(Cow::Borrowed)),
            resources: self.resources.over(Resources::NONE),
            max_retries: self.max_retries.or(attribute.max_task_retries).unwrap_or(max_task_retries),
            retry_on: self.retry_on.unwrap_or(attribute.retry_on),
        })
    }
}

/// What holds for one call.
#[derive(Clone, Debug)]
pub(crate) struct CallSettings {
    /// None: the function's path.
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) resources: Resources,
    /// -1: for ever.
    pub(crate) max_retries: i64,
    pub(crate) retry_on: RetryOn,
}

/// What one creation of an actor says, over its class's attribute.
#[derive(Clone, Debug, Default)]
pub(crate) struct CreateOptions {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) namespace: Option<Cow<'static, str>>,
    pub(crate) get_if_exists: bool,
    pub(crate) resources: ResourceOverrides,
    pub(crate) max_restarts: Option<i64>,
    pub(crate) max_task_retries: Option<i64>,
    pub(crate) max_concurrency: Option<u32>,
    pub(crate) max_pending_calls: Option<i64>,
    error: Option<Error>,
}

impl CreateOptions {
    pub(crate) const fn new() -> Self {
        CreateOptions {
            name: None,
            namespace: None,
            get_if_exists: false,
            resources: ResourceOverrides::new(),
            max_restarts: None,
            max_task_retries: None,
            max_concurrency: None,
            max_pending_calls: None,
            error: None,
        }
    }

    remembering!();

    pub(crate) fn name(&mut self, name: impl Into<Cow<'static, str>>) {
        let name = name.into();
        self.remember(check(!name.is_empty(), "an actor's name must have a character or more", "``"));
        self.name = Some(name);
    }

    pub(crate) fn namespace(&mut self, namespace: impl Into<Cow<'static, str>>) {
        let namespace = namespace.into();
        self.remember(check(!namespace.is_empty(), "a namespace must have a character or more", "``"));
        self.namespace = Some(namespace);
    }

    pub(crate) fn get_if_exists(&mut self, get: bool) {
        self.get_if_exists = get;
    }

    pub(crate) fn max_restarts(&mut self, restarts: i64) {
        self.max_restarts = Some(restarts);
        self.remember(check(restarts >= -1, MAX_RESTARTS, restarts));
    }

    pub(crate) fn max_task_retries(&mut self, retries: i64) {
        self.max_task_retries = Some(retries);
        self.remember(check(retries >= -1, MAX_TASK_RETRIES, retries));
    }

    pub(crate) fn max_concurrency(&mut self, calls: u32) {
        self.max_concurrency = Some(calls);
        self.remember(check(calls > 0, MAX_CONCURRENCY, calls));
    }

    pub(crate) fn max_pending_calls(&mut self, calls: i64) {
        self.max_pending_calls = Some(calls);
        self.remember(check(calls > 0 || calls == -1, MAX_PENDING_CALLS, calls));
    }

    /// What holds for this actor.
    ///
    /// # Errors
    /// The first thing that a setter was given wrong, or `get_if_exists` without a name.
    pub(crate) fn over(self, attribute: &ActorOptions) -> Result<CreateSettings> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.get_if_exists && self.name.is_none() {
            return Err(Error::new(ErrorKind::InvalidArgument, "get_if_exists goes by the actor's name: give it one with `.name(..)`"));
        }
        let pending = self.max_pending_calls.unwrap_or(attribute.max_pending_calls);
        Ok(CreateSettings {
            name: self.name,
            namespace: self.namespace,
            get_if_exists: self.get_if_exists,
            resources: self.resources.over(attribute.resources.demand(0)),
            max_restarts: self.max_restarts.unwrap_or(attribute.max_restarts),
            max_task_retries: self.max_task_retries.unwrap_or(attribute.max_task_retries),
            max_concurrency: self.max_concurrency.or(attribute.max_concurrency),
            max_pending_calls: u64::try_from(pending).ok(),
        })
    }
}

/// What holds for one actor.
#[derive(Clone, Debug)]
pub(crate) struct CreateSettings {
    pub(crate) name: Option<Cow<'static, str>>,
    /// None: the creator's.
    pub(crate) namespace: Option<Cow<'static, str>>,
    pub(crate) get_if_exists: bool,
    /// Held for life.
    pub(crate) resources: Resources,
    /// -1: for ever.
    pub(crate) max_restarts: i64,
    /// -1: for ever.
    pub(crate) max_task_retries: i64,
    /// None: 1 for a sync actor, 1000 for one with an async method.
    pub(crate) max_concurrency: Option<u32>,
    /// None: no limit.
    pub(crate) max_pending_calls: Option<u64>,
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::UNIT;

    #[test]
    fn a_call_says_what_differs_from_the_attribute() {
        const ATTRIBUTE: TaskOptions = TaskOptions::new().num_cpus(2.0).max_retries(5).retry_exceptions(RetryOn::Always);
        let mut options = CallOptions::new();
        options.num_gpus(1.0);
        options.name("mine");
        let call = options.over_task(&ATTRIBUTE, UNIT).unwrap();
        assert_eq!((call.name.as_deref(), call.max_retries, call.retry_on.is_never()), (Some("mine"), 5, false));
        assert_eq!(call.resources.to_string(), "{CPU: 2, GPU: 1}");
        let plain = CallOptions::new().over_task(&TaskOptions::new(), UNIT).unwrap();
        assert!(plain.resources.is_only_one_cpu() && plain.max_retries == 3 && plain.retry_on.is_never());
    }

    #[test]
    fn the_first_wrong_setting_is_the_error() {
        let mut options = CallOptions::new();
        options.num_cpus(-1.0);
        options.max_retries(-2);
        let error = options.over_task(&TaskOptions::new(), UNIT).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("CPU: -1"), "{error}");
    }

    #[test]
    fn limits_of_an_actor() {
        let wrong: [fn(&mut CreateOptions); 7] = [
            |o| o.max_concurrency(0),
            |o| o.max_pending_calls(0),
            |o| o.max_pending_calls(-2),
            |o| o.max_restarts(-2),
            |o| o.max_task_retries(-2),
            |o| o.get_if_exists(true),
            |o| o.name(""),
        ];
        for set in wrong {
            let mut options = CreateOptions::new();
            set(&mut options);
            assert!(options.over(&ActorOptions::new()).unwrap_err().is_invalid_argument());
        }
        let settings = CreateOptions::new().over(&ActorOptions::new().max_pending_calls(2)).unwrap();
        assert_eq!((settings.max_pending_calls, settings.max_concurrency, settings.max_restarts), (Some(2), None, 0));
        assert!(settings.resources.is_none());
    }

    #[test]
    fn a_cancelled_task_is_not_tried_again() {
        assert!(!RetryOn::Always.allows(&Error::new(ErrorKind::Cancelled, "")));
        assert!(RetryOn::Always.allows(&Error::panic("", None)));
        assert!(!RetryOn::If(Error::is_timeout).allows(&Error::user("")));
    }
}
