//! The options of attributes, which are constants, and those of `cancel_with` and `wait`. The options of a call are in
//! [`call_options`](crate::base::call_options).
//!
//! An invalid value in an attribute is a compile error. A setter of a call's options neither panics nor returns an error: the
//! options keep the first error, and the call fails with it.

use std::mem;
use std::time::Duration;

use crate::base::concurrency_group::{Group, GroupSizes, MOST_GROUPS, group_of_attribute};
use crate::base::placement::AttributePlacement;
use crate::base::resources::AttributeResources;
pub use crate::base::retry_on::RetryOn;
use crate::base::runtime_env::RuntimeEnv;

/// How often a task is retried if it sets `retry_exceptions` and not `max_retries`.
pub(crate) const DEFAULT_MAX_RETRIES: i64 = 3;

/// The options that the attributes of functions and methods share.
macro_rules! attribute_retry_exceptions_and_name {
    () => {
        /// After which errors to retry.
        #[must_use]
        #[track_caller]
        pub const fn retry_exceptions(mut self, on: RetryOn) -> Self {
            // An assignment would drop the former value, which a const function cannot do. `Never` need not be dropped.
            mem::forget(mem::replace(&mut self.retry_on, on));
            self
        }

        /// How many items of the stream may wait for their consumer; -1: no limit.
        ///
        /// # Panics
        /// If it is 0 or below -1. In an attribute the panic is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn backpressure(mut self, items: i64) -> Self {
            assert!(items > 0 || items == -1, "{}", BACKPRESSURE);
            self.backpressure = Some(items);
            self
        }

        /// The name of the task in errors and logs.
        #[must_use]
        #[track_caller]
        pub const fn name(mut self, name: &'static str) -> Self {
            self.name = Some(name);
            self
        }
    };
}

/// Declares the const setters of placement that the attributes of tasks and actors share.
macro_rules! attribute_placement {
    () => {
        /// Whether to spread the work over the nodes, or (`false`) to use Ray's default strategy.
        #[must_use]
        pub const fn spread(mut self, spread: bool) -> Self {
            self.placement.spread = Some(spread);
            self
        }

        /// The type of the accelerator that the node must have.
        ///
        /// # Panics
        /// If it is empty. In an attribute the panic is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn accelerator_type(mut self, name: &'static str) -> Self {
            assert!(!name.is_empty(), "accelerator_type must not be empty");
            self.placement.accelerator_type = Some(name);
            self
        }

        /// A label that the node must have, in the syntax of Ray's label selectors.
        ///
        /// # Panics
        /// If the syntax is wrong, or if there are more than eight labels. In an attribute the panic is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn label(mut self, key: &'static str, value: &'static str) -> Self {
            self.placement = self.placement.label(key, value);
            self
        }

        /// The function that makes the environment on a cluster.
        #[must_use]
        pub const fn runtime_env(mut self, make: fn() -> RuntimeEnv) -> Self {
            self.placement.runtime_env = Some(make);
            self
        }
    };
}

/// Declares the const setters of resources that the attributes of tasks and actors share.
macro_rules! attribute_resources {
    () => {
        /// The CPUs to hold: of a task while it runs, of an actor while it lives. A multiple of 0.0001.
        ///
        /// # Panics
        /// If the amount is invalid (NaN, negative, above 1e15, or with more than four decimals). In an attribute the panic is a
        /// compile error.
        #[must_use]
        #[track_caller]
        pub const fn num_cpus(mut self, amount: f64) -> Self {
            self.resources = self.resources.num_cpus(amount);
            self
        }

        /// The GPUs to hold: of a task while it runs, of an actor while it lives. A multiple of 0.0001; a whole number above 1.
        ///
        /// # Panics
        /// If the amount is invalid (NaN, negative, above 1e15, with more than four decimals, or fractional above 1). In an
        /// attribute the panic is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn num_gpus(mut self, amount: f64) -> Self {
            self.resources = self.resources.num_gpus(amount);
            self
        }

        /// The memory to hold, in bytes: of a task while it runs, of an actor while it lives.
        #[must_use]
        #[track_caller]
        pub const fn memory(mut self, bytes: u64) -> Self {
            self.resources = self.resources.memory(bytes);
            self
        }

        /// The amount of a custom resource to hold: of a task while it runs, of an actor while it lives. A multiple of 0.0001.
        ///
        /// # Panics
        /// If the name is empty, `CPU`, `GPU` or `memory`, if the amount is invalid, or if there are more than eight custom
        /// resources. In an attribute the panic is a compile error.
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
    pub(crate) placement: AttributePlacement,
    pub(crate) max_retries: Option<i64>,
    pub(crate) retry_on: RetryOn,
    pub(crate) backpressure: Option<i64>,
    pub(crate) name: Option<&'static str>,
}

impl TaskOptions {
    /// An attribute without options.
    #[must_use]
    pub const fn new() -> Self {
        TaskOptions {
            resources: AttributeResources::new(),
            placement: AttributePlacement::new(),
            max_retries: None,
            retry_on: RetryOn::Never,
            backpressure: None,
            name: None,
        }
    }

    /// Whether no option is set, so that a call need not read the attribute.
    pub(crate) const fn is_silent(&self) -> bool {
        self.resources.is_silent()
            && self.placement.is_silent()
            && self.max_retries.is_none()
            && self.retry_on.is_never()
            && self.backpressure.is_none()
            && self.name.is_none()
    }

    attribute_resources!();
    attribute_placement!();

    /// How often to retry a failed task, where `retry_exceptions` allows it; -1: no limit.
    ///
    /// # Panics
    /// If it is below -1. In an attribute the panic is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn max_retries(mut self, retries: i64) -> Self {
        assert!(retries >= -1, "{}", MAX_RETRIES);
        self.max_retries = Some(retries);
        self
    }

    attribute_retry_exceptions_and_name!();
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
    pub(crate) placement: AttributePlacement,
    pub(crate) max_restarts: i64,
    pub(crate) max_task_retries: i64,
    pub(crate) max_concurrency: Option<u32>,
    pub(crate) max_pending_calls: i64,
    pub(crate) groups: GroupSizes,
    pub(crate) out_of_order: bool,
}

impl ActorOptions {
    /// Whether no option is set, so that a creation need not read the attribute.
    pub(crate) const fn is_silent(&self) -> bool {
        self.resources.is_silent()
            && self.placement.is_silent()
            && self.max_restarts == 0
            && self.max_task_retries == 0
            && self.max_concurrency.is_none()
            && self.max_pending_calls == -1
            && self.groups.is_empty()
            && !self.out_of_order
    }

    /// An attribute without options.
    #[must_use]
    pub const fn new() -> Self {
        ActorOptions {
            resources: AttributeResources::new(),
            placement: AttributePlacement::new(),
            max_restarts: 0,
            max_task_retries: 0,
            max_concurrency: None,
            max_pending_calls: -1,
            groups: &[],
            out_of_order: false,
        }
    }

    attribute_resources!();
    attribute_placement!();

    /// How often to restart the actor after it has failed; -1: no limit.
    ///
    /// # Panics
    /// If it is below -1. In an attribute the panic is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn max_restarts(mut self, restarts: i64) -> Self {
        assert!(restarts >= -1, "{}", MAX_RESTARTS);
        self.max_restarts = restarts;
        self
    }

    /// How often to retry a call that a restart of the actor has cut off; -1: no limit.
    ///
    /// # Panics
    /// If it is below -1. In an attribute the panic is a compile error.
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
    /// If it is 0. In an attribute the panic is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn max_concurrency(mut self, calls: u32) -> Self {
        assert!(calls > 0, "{}", MAX_CONCURRENCY);
        self.max_concurrency = Some(calls);
        self
    }

    /// How many calls may wait; -1: no limit.
    ///
    /// # Panics
    /// If it is 0 or below -1. In an attribute the panic is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn max_pending_calls(mut self, calls: i64) -> Self {
        assert!(calls > 0 || calls == -1, "{}", MAX_PENDING_CALLS);
        self.max_pending_calls = calls;
        self
    }

    /// Whether a call whose arguments are ready may begin before an earlier call of the same caller whose arguments are not.
    #[must_use]
    pub const fn allow_out_of_order_execution(mut self, allow: bool) -> Self {
        self.out_of_order = allow;
        self
    }

    /// The concurrency groups: the name of each, and how many of its calls may run at once.
    ///
    /// # Panics
    /// If there are more than 64, or if the size of one is 0. In an attribute the panic is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn groups(mut self, groups: GroupSizes) -> Self {
        assert!(groups.len() <= MOST_GROUPS, "an actor has at most 64 concurrency groups");
        let mut at = 0;
        while at < groups.len() {
            assert!(groups[at].1 > 0, "the size of a concurrency group must be 1 or more");
            at += 1;
        }
        self.groups = groups;
        self
    }

    /// The concurrency groups of the class.
    #[must_use]
    pub const fn group_sizes(&self) -> GroupSizes {
        self.groups
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
    pub(crate) backpressure: Option<i64>,
    pub(crate) name: Option<&'static str>,
    /// None: the default group.
    pub(crate) group: Option<Group>,
}

impl MethodOptions {
    /// Whether a call needs no settings of its own. The group is a part of every call.
    pub(crate) const fn is_silent(&self) -> bool {
        self.max_task_retries.is_none() && self.retry_on.is_never() && self.backpressure.is_none() && self.name.is_none()
    }

    /// An attribute without options.
    #[must_use]
    pub const fn new() -> Self {
        MethodOptions { max_task_retries: None, retry_on: RetryOn::Never, backpressure: None, name: None, group: None }
    }

    /// How often to retry a failed call; -1: no limit. By default the option of the class.
    ///
    /// # Panics
    /// If it is below -1. In an attribute the panic is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn max_task_retries(mut self, retries: i64) -> Self {
        assert!(retries >= -1, "{}", MAX_TASK_RETRIES);
        self.max_task_retries = Some(retries);
        self
    }

    attribute_retry_exceptions_and_name!();

    /// The concurrency group of the calls, one of those of the class.
    ///
    /// # Panics
    /// If the class has no such group. In an attribute the panic is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn group(mut self, name: &str, groups: GroupSizes) -> Self {
        self.group = Some(group_of_attribute(name, groups));
        self
    }
}

impl Default for MethodOptions {
    fn default() -> Self {
        Self::new()
    }
}

pub(super) const MAX_RETRIES: &str = "max_retries must be -1 (no limit), 0 or more";
pub(super) const MAX_RESTARTS: &str = "max_restarts must be -1 (no limit), 0 or more";
pub(super) const MAX_TASK_RETRIES: &str = "max_task_retries must be -1 (no limit), 0 or more";
pub(super) const MAX_CONCURRENCY: &str = "max_concurrency must be 1 or more";
pub(super) const MAX_PENDING_CALLS: &str = "max_pending_calls must be -1 (no limit), 1 or more";
pub(super) const BACKPRESSURE: &str = "backpressure must be -1 (no limit), 1 or more";

/// The options of [`cancel_with`](crate::cancel_with).
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
    /// The options of [`cancel`](crate::cancel): recursive and without force.
    pub const fn new() -> Self {
        CancelOptions { recursive: true, force: false }
    }

    /// Whether to cancel the tasks that the task has submitted, too.
    pub const fn recursive(mut self, recursive: bool) -> Self {
        self.recursive = recursive;
        self
    }

    /// Whether to end the worker that runs the task. The embedded engine cannot end a thread: with or without force the object
    /// fails at once, the body runs to its end, and its result is dropped. For a call of an actor, force is an error.
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

/// The options of [`wait`](crate::wait): how many results to wait for, and for how long.
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
    /// Limits the wait: after `timeout`, `wait` returns the results that are ready, even if they are fewer. With a zero duration it
    /// does not wait.
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

/// Options to wait for `count` results without a time limit; [`WaitOptions::timeout`] sets a limit.
///
/// ```
/// # extern crate ray_core as ray;
/// let options = ray::first(1);
/// assert_eq!(options, 1.into());
/// ```
pub const fn first(count: usize) -> WaitOptions {
    WaitOptions { count, timeout: None }
}
