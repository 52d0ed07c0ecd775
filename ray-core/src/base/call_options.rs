//! The options of one call or one creation of an actor, which override those of the attribute.

use std::borrow::Cow;
use std::sync::Arc;

use crate::base::concurrency_group::{Group, GroupSizes, group_of_call};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::labels::Selector;
use crate::base::options::{
    ActorOptions, BACKPRESSURE, DEFAULT_MAX_RETRIES, MAX_CONCURRENCY, MAX_PENDING_CALLS, MAX_RESTARTS, MAX_RETRIES,
    MAX_TASK_RETRIES, MethodOptions, RetryOn, TaskOptions,
};
use crate::base::placement::{InGroup, Lifetime, Placement, SchedulingStrategy};
use crate::base::resources::{ResourceOverrides, Resources};
use crate::base::runtime_env::RuntimeEnv;
use crate::base::trace::TraceContext;

/// Declares the resource setters that the options of a call and of a creation share. They keep the first error.
macro_rules! resource_setters {
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

        /// Keeps the first error: later ones may follow from it.
        fn remember(&mut self, outcome: Result<()>) {
            if let (None, Err(error)) = (&self.error, outcome) {
                self.error = Some(error);
            }
        }
    };
}

/// Declares the setters of placement that the options of a call and of a creation share.
macro_rules! placement_setters {
    () => {
        fn placement(&mut self) -> &mut Placement {
            self.placement.get_or_insert_default()
        }

        pub(crate) fn scheduling_strategy(&mut self, strategy: impl Into<SchedulingStrategy>) {
            self.placement().strategy = Some(strategy.into());
        }

        pub(crate) fn label_selector<K: Into<String>, V: Into<String>>(&mut self, labels: impl IntoIterator<Item = (K, V)>) {
            match Selector::new(labels) {
                Ok(selector) => self.placement().selector = Some(selector),
                Err(error) => self.remember(Err(error)),
            }
        }

        pub(crate) fn fallback_strategy<S, K, V>(&mut self, selectors: impl IntoIterator<Item = S>)
        where
            S: IntoIterator<Item = (K, V)>,
            K: Into<String>,
            V: Into<String>,
        {
            match selectors.into_iter().map(Selector::new).collect() {
                Ok(fallback) => self.placement().fallback = fallback,
                Err(error) => self.remember(Err(error)),
            }
        }

        pub(crate) fn accelerator_type(&mut self, name: impl Into<Cow<'static, str>>) {
            let name = name.into();
            self.remember(check(!name.is_empty(), "accelerator_type must not be empty", "``"));
            self.accelerator_type = Some(name);
        }

        pub(crate) fn runtime_env(&mut self, environment: RuntimeEnv) {
            self.placement().runtime_env = Some(environment);
        }
    };
}

/// An error with the rule and the given value, unless the value is `valid`.
fn check(valid: bool, rule: &'static str, given: impl std::fmt::Display) -> Result<()> {
    if valid { Ok(()) } else { Err(Error::new(ErrorKind::InvalidArgument, format!("{rule}, not {given}"))) }
}

/// The options of one call of a function or a method.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallOptions {
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) resources: ResourceOverrides,
    pub(crate) max_retries: Option<i64>,
    pub(crate) retry_on: Option<RetryOn>,
    /// Of a call of a method: the name of its concurrency group.
    group: Option<Cow<'static, str>>,
    backpressure: Option<i64>,
    accelerator_type: Option<Cow<'static, str>>,
    placement: Option<Box<Placement>>,
    error: Option<Error>,
}

impl CallOptions {
    pub(crate) const fn new() -> Self {
        CallOptions {
            name: None,
            resources: ResourceOverrides::new(),
            max_retries: None,
            retry_on: None,
            group: None,
            backpressure: None,
            accelerator_type: None,
            placement: None,
            error: None,
        }
    }

    resource_setters!();
    placement_setters!();

    pub(crate) fn name(&mut self, name: impl Into<Cow<'static, str>>) {
        self.name = Some(name.into());
    }

    pub(crate) fn max_retries(&mut self, retries: i64) {
        self.max_retries = Some(retries);
        self.remember(check(retries >= -1, MAX_RETRIES, retries));
    }

    /// The option of a method; [`max_retries`](Self::max_retries) is that of a function.
    pub(crate) fn max_task_retries(&mut self, retries: i64) {
        self.max_retries = Some(retries);
        self.remember(check(retries >= -1, MAX_TASK_RETRIES, retries));
    }

    pub(crate) fn backpressure(&mut self, items: i64) {
        self.backpressure = Some(items);
        self.remember(check(items > 0 || items == -1, BACKPRESSURE, items));
    }

    pub(crate) fn retry_exceptions(&mut self, on: impl Into<RetryOn>) {
        self.retry_on = Some(on.into());
    }

    pub(crate) fn group(&mut self, name: impl Into<Cow<'static, str>>) {
        self.group = Some(name.into());
    }

    /// The settings of this call of a function. `cpu` is the CPU demand, in units, where neither the call nor the attribute sets
    /// one.
    ///
    /// # Errors
    /// The error of the first setter that got an invalid value.
    pub(crate) fn over_task(self, attribute: &TaskOptions, cpu: u64) -> Result<CallSettings> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let accelerator = self.accelerator_type.or(attribute.placement.accelerator_type.map(Cow::Borrowed));
        Ok(CallSettings {
            name: self.name.or(attribute.name.map(Cow::Borrowed)),
            resources: self.resources.over(attribute.resources.demand(cpu)).with_accelerator(accelerator.as_deref()),
            max_retries: self.max_retries.or(attribute.max_retries).unwrap_or(DEFAULT_MAX_RETRIES),
            retry_on: self.retry_on.unwrap_or_else(|| attribute.retry_on.clone()),
            backpressure: self.backpressure.or(attribute.backpressure),
            placement: Placement::over(self.placement, &attribute.placement)?,
            group: None,
            trace: None,
        })
    }

    /// The settings of this call of a method of a class, whose name, groups and `max_task_retries` are given.
    ///
    /// # Errors
    /// The error of the first setter that got an invalid value; `InvalidArgument`: the class has no such group.
    pub(crate) fn over_method(
        self,
        attribute: &MethodOptions,
        (class, groups): (&str, GroupSizes),
        max_task_retries: i64,
    ) -> Result<CallSettings> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let group = self.group.map(|name| group_of_call(&name, class, groups)).transpose()?;
        Ok(CallSettings {
            name: self.name.or(attribute.name.map(Cow::Borrowed)),
            resources: self.resources.over(Resources::NONE),
            max_retries: self.max_retries.or(attribute.max_task_retries).unwrap_or(max_task_retries),
            retry_on: self.retry_on.unwrap_or_else(|| attribute.retry_on.clone()),
            backpressure: self.backpressure.or(attribute.backpressure),
            placement: None,
            group: group.or(attribute.group),
            trace: None,
        })
    }
}

/// The settings of one call: its options over those of the attribute.
#[derive(Clone, Debug)]
pub(crate) struct CallSettings {
    /// None: the function's path.
    pub(crate) name: Option<Cow<'static, str>>,
    pub(crate) resources: Resources,
    /// -1: no limit.
    pub(crate) max_retries: i64,
    pub(crate) retry_on: RetryOn,
    /// The bound of the call's stream; -1: none. None: the default.
    pub(crate) backpressure: Option<i64>,
    /// None: the call says nothing of it.
    pub(crate) placement: Option<Arc<Placement>>,
    /// The concurrency group of a call of an actor; none: the default group.
    pub(crate) group: Option<Group>,
    /// The trace context, in the embedded engine.
    pub(crate) trace: Option<TraceContext>,
}

impl CallSettings {
    /// The place in a placement group.
    pub(crate) fn in_group(&self) -> Option<InGroup<'_>> {
        self.placement.as_deref()?.in_group()
    }

    /// The settings of a call of an actor without options.
    pub(crate) fn none() -> Self {
        Self {
            name: None,
            resources: Resources::NONE,
            max_retries: 0,
            retry_on: RetryOn::Never,
            backpressure: None,
            placement: None,
            group: None,
            trace: None,
        }
    }
}

/// The options of one creation of an actor.
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
    pub(crate) out_of_order: Option<bool>,
    pub(crate) lifetime: Lifetime,
    accelerator_type: Option<Cow<'static, str>>,
    placement: Option<Box<Placement>>,
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
            out_of_order: None,
            lifetime: Lifetime::NonDetached,
            accelerator_type: None,
            placement: None,
            error: None,
        }
    }

    resource_setters!();
    placement_setters!();

    pub(crate) fn name(&mut self, name: impl Into<Cow<'static, str>>) {
        let name = name.into();
        self.remember(check(!name.is_empty(), "an actor's name must not be empty", "``"));
        self.name = Some(name);
    }

    pub(crate) fn namespace(&mut self, namespace: impl Into<Cow<'static, str>>) {
        let namespace = namespace.into();
        self.remember(check(!namespace.is_empty(), "a namespace must not be empty", "``"));
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

    pub(crate) fn allow_out_of_order_execution(&mut self, allow: bool) {
        self.out_of_order = Some(allow);
    }

    pub(crate) fn lifetime(&mut self, lifetime: Lifetime) {
        self.lifetime = lifetime;
    }

    /// The settings of this actor.
    ///
    /// # Errors
    /// The error of the first setter that got an invalid value, or of `get_if_exists` without a name.
    pub(crate) fn over(self, attribute: &ActorOptions) -> Result<CreateSettings> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.get_if_exists && self.name.is_none() {
            return Err(Error::new(ErrorKind::InvalidArgument, "get_if_exists needs the actor's name: set it with `.name(..)`"));
        }
        let pending = self.max_pending_calls.unwrap_or(attribute.max_pending_calls);
        let accelerator = self.accelerator_type.or(attribute.placement.accelerator_type.map(Cow::Borrowed));
        Ok(CreateSettings {
            name: self.name,
            namespace: self.namespace,
            get_if_exists: self.get_if_exists,
            resources: self.resources.over(attribute.resources.demand(0)).with_accelerator(accelerator.as_deref()),
            max_restarts: self.max_restarts.unwrap_or(attribute.max_restarts),
            max_task_retries: self.max_task_retries.unwrap_or(attribute.max_task_retries),
            max_concurrency: self.max_concurrency.or(attribute.max_concurrency),
            max_pending_calls: u64::try_from(pending).ok(),
            groups: attribute.groups,
            out_of_order: self.out_of_order.unwrap_or(attribute.out_of_order),
            lifetime: self.lifetime,
            placement: Placement::over(self.placement, &attribute.placement)?,
        })
    }
}

/// The settings of one actor: the options of its creation over those of its class.
#[derive(Clone, Debug)]
pub(crate) struct CreateSettings {
    pub(crate) name: Option<Cow<'static, str>>,
    /// None: the creator's.
    pub(crate) namespace: Option<Cow<'static, str>>,
    pub(crate) get_if_exists: bool,
    /// Held as long as the actor lives.
    pub(crate) resources: Resources,
    /// -1: no limit.
    pub(crate) max_restarts: i64,
    /// -1: no limit.
    pub(crate) max_task_retries: i64,
    /// None: the default, which is 1 for a sync actor and 1000 for an actor with an async method.
    pub(crate) max_concurrency: Option<u32>,
    /// None: no limit.
    pub(crate) max_pending_calls: Option<u64>,
    pub(crate) groups: GroupSizes,
    pub(crate) out_of_order: bool,
    pub(crate) lifetime: Lifetime,
    /// None: the creation says nothing of it.
    pub(crate) placement: Option<Arc<Placement>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::resources::UNITS;

    #[test]
    fn options_of_a_call_override_the_attribute() {
        const ATTRIBUTE: TaskOptions = TaskOptions::new().num_cpus(2.0).max_retries(5).retry_exceptions(RetryOn::Always);
        let mut options = CallOptions::new();
        options.num_gpus(1.0);
        options.name("mine");
        let call = options.over_task(&ATTRIBUTE, UNITS).unwrap();
        assert_eq!((call.name.as_deref(), call.max_retries, call.retry_on.is_never()), (Some("mine"), 5, false));
        assert_eq!(call.resources.to_string(), "{CPU: 2, GPU: 1}");
        let plain = CallOptions::new().over_task(&TaskOptions::new(), UNITS).unwrap();
        assert!(plain.resources.is_only_one_cpu() && plain.max_retries == 3 && plain.retry_on.is_never());
    }

    #[test]
    fn the_first_invalid_setting_is_the_error() {
        let mut options = CallOptions::new();
        options.num_cpus(-1.0);
        options.max_retries(-2);
        let error = options.over_task(&TaskOptions::new(), UNITS).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("CPU: -1"), "{error}");
    }

    #[test]
    fn invalid_options_of_an_actor_are_refused() {
        let wrong: [fn(&mut CreateOptions); 10] = [
            |o| o.max_concurrency(0),
            |o| o.max_pending_calls(0),
            |o| o.max_pending_calls(-2),
            |o| o.max_restarts(-2),
            |o| o.max_task_retries(-2),
            |o| o.get_if_exists(true),
            |o| o.name(""),
            |o| o.accelerator_type(""),
            |o| o.label_selector([("region", "in(")]),
            |o| o.fallback_strategy([[("-", "us")]]),
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
    fn the_type_of_an_accelerator_is_a_resource() {
        const ATTRIBUTE: TaskOptions = TaskOptions::new().accelerator_type("A100").resource("seat", 1.0);
        let demand = |options: CallOptions| options.over_task(&ATTRIBUTE, UNITS).unwrap().resources.to_string();
        assert_eq!(demand(CallOptions::new()), "{CPU: 1, accelerator_type:A100: 0.001, seat: 1}");
        let mut options = CallOptions::new();
        options.accelerator_type("H100");
        assert_eq!(demand(options), "{CPU: 1, accelerator_type:H100: 0.001, seat: 1}");
    }

    #[test]
    fn a_cancelled_task_is_not_retried() {
        assert!(!RetryOn::Always.allows(&Error::new(ErrorKind::Cancelled, "")));
        assert!(RetryOn::Always.allows(&Error::panic("", None)));
        assert!(!RetryOn::If(Error::is_timeout).allows(&Error::user("")));
    }
}
