//! The kinds of items that have options, and the names of these options.

/// The kind of item that has the attribute.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum On {
    Function,
    Class,
    Impl,
    Method,
}

impl On {
    /// All kinds, in the order in which the message about a misplaced option looks for the right place.
    pub(super) const ALL: [On; 4] = [On::Class, On::Impl, On::Method, On::Function];

    /// The options, in the order in which they are documented.
    pub(super) fn known(self) -> &'static [&'static str] {
        match self {
            On::Function => &[
                "num_cpus",
                "num_gpus",
                "memory",
                "resources",
                "accelerator_type",
                "label_selector",
                "scheduling_strategy",
                "runtime_env",
                "num_returns",
                "max_retries",
                "retry_exceptions",
                "backpressure",
                "name",
                "inline",
                "local",
                "crate",
            ],
            On::Class => &[
                "num_cpus",
                "num_gpus",
                "memory",
                "resources",
                "accelerator_type",
                "label_selector",
                "scheduling_strategy",
                "runtime_env",
                "max_restarts",
                "max_task_retries",
                "checkpoint_every",
                "max_concurrency",
                "groups",
                "allow_out_of_order_execution",
                "max_pending_calls",
                "crate",
            ],
            On::Impl => &["default", "local", "crate"],
            On::Method => &["num_returns", "group", "max_task_retries", "retry_exceptions", "backpressure", "inline"],
        }
    }

    pub(super) fn described(self) -> &'static str {
        match self {
            On::Function => "a function",
            On::Class => "an actor's struct",
            On::Impl => "an actor's impl",
            On::Method => "a method",
        }
    }

    /// The attribute in which options of this kind of item are written, for messages.
    pub(super) fn place(self) -> &'static str {
        match self {
            On::Function => "#[remote(..)] on a function",
            On::Class => "#[remote(..)] on the actor's struct",
            On::Impl => "#[remote(..)] on the actor's impl",
            On::Method => "#[method(..)] on the method",
        }
    }
}
