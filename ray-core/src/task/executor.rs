//! The seam between the typed API and an engine that runs bodies in other processes.
//!
//! A call of the typed API (hop 2) either stays in the embedded engine, which moves values, or is encoded and goes to an
//! [`Executor`] (hop 3) without types: as bytes, references and a [`Reply`]. The result of the call is an entry of this process, and
//! the reply settles it. So the embedded engine serves gets, waits, awaits, callbacks and dependants in both cases, and the trait has
//! no functions for these.
//!
//! The embedded engine is not an `Executor`: its calls move typed values, and a trait object would cost each call an encoding, or an
//! allocation and an indirect call. [`Mode`](crate::base::config::Mode) tells the submitter which way a call goes.
//!
//! # Rules
//!
//! 1. An executor sends every reply, or defers it. The drop of a reply settles the object with `WorkerCrashed`.
//! 2. The calls that one caller sends to one actor begin in the order in which the executor gets them, except for those that
//!    may run out of order.
//! 3. An argument that is a reference may not be ready. The executor resolves it before the body runs, to the value's bytes
//!    ([`ReferenceArg::encode_value`](crate::call::codec::ReferenceArg::encode_value)) or to an object of the other process; if the
//!    object has failed, so does the call ([`fail::argument`]).
//! 4. No function of an executor blocks until a body ends.
//! 5. The ids of tasks and callers are unique among all processes of an executor: each process has a number of its own
//!    ([`Executor::process`]), with which its ids begin. The numbers that an executor gives to actors differ from all of these.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::base::call_options::{CallSettings, CreateSettings};
use crate::base::concurrency_group::GroupSizes;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::labels::Selector;
use crate::base::options::RetryOn;
use crate::base::placement::{Lifetime, Placement, SchedulingStrategy};
use crate::base::resources::Resources;
use crate::base::runtime_env::RuntimeEnv;
use crate::base::trace::TraceContext;
use crate::call::codec::EncodedArg;
use crate::call::registry;
use crate::call::spec::Spec;
use crate::object::encoded::Encoded;
use crate::object::remote::{RemoteObject, Reply};
pub use crate::task::cluster_info::{ClusterInfo, RemoteNode};

/// The task of a thread that runs no body, for `Executor::body_waits`.
pub(crate) const NO_BODY: u64 = 0;

/// The number of processes that an executor can have.
pub const PROCESSES: u32 = 1 << 20;

/// An engine that runs bodies in other processes.
pub trait Executor: fmt::Debug + Send + Sync + 'static {
    /// The number of this process, less than [`PROCESSES`]. No other process of the executor has it. Bits 40 to 59 of the ids that
    /// this process gives to tasks and callers are this number.
    fn process(&self) -> u32;

    /// Runs a function.
    fn submit(&self, call: RemoteCall);

    /// Creates an actor, or finds the actor of that name if the creation asks for that. The constructor may run later. If it fails,
    /// the calls of the actor fail with its error.
    ///
    /// # Errors
    /// `ActorAlreadyExists`; `Infeasible`.
    fn create_actor(&self, creation: RemoteCreation) -> Result<RemoteActor>;

    /// Calls a method of an actor, by its name.
    fn call_actor(&self, actor: u64, call: RemoteCall);

    /// Stores a value outside of this process. `None`: the executor has no store, and the value stays in this process, which
    /// encodes it when another process asks for it.
    fn put(&self, _value: &Encoded) -> Option<Arc<dyn RemoteObject>> {
        None
    }

    /// The body of this task begins to wait in a get, or ends the wait. An executor can give the resources of the body to others
    /// meanwhile. The task of a thread that runs no body is 0.
    fn body_waits(&self, _task: u64, _waits: bool) {}

    /// This process has one more handle of an actor; `false`: the actor is dead. The creator of an actor has one.
    fn acquire_actor(&self, actor: u64) -> bool;

    /// This process has one handle less.
    fn release_actor(&self, actor: u64);

    /// Ends an actor; it may start anew if it is to `restart` and restarts are left.
    fn kill_actor(&self, actor: u64, restart: bool);

    /// The state of an actor.
    fn actor_state(&self, actor: u64) -> RemoteState;

    /// The name of an actor, if it has one and this process knows it.
    fn actor_name(&self, _actor: u64) -> Option<String> {
        None
    }

    /// Ends the actor whose method runs in this process.
    ///
    /// # Errors
    /// `InvalidArgument`: it does not run here.
    fn exit_actor(&self, actor: u64) -> Result<()>;

    /// Finds an actor by its name. That gives no handle; [`acquire_actor`](Self::acquire_actor) takes one.
    ///
    /// # Errors
    /// `ActorNotFound`.
    fn find_actor(&self, namespace: &str, name: &str) -> Result<RemoteActor>;

    /// Namespace and name of each named actor that lives.
    fn named_actors(&self) -> Vec<(String, String)>;

    /// Cancels a task. The caller has failed its object.
    fn cancel(&self, task: u64, recursive: bool, force: bool);

    /// The cluster that this process is a part of; none: the executor has no cluster.
    fn cluster(&self) -> Option<&ClusterInfo> {
        None
    }

    /// The nodes of the cluster; none: the executor has no cluster.
    ///
    /// # Errors
    /// Those of the cluster.
    fn nodes(&self) -> Result<Option<Vec<RemoteNode>>> {
        Ok(None)
    }

    /// The resources of all nodes.
    fn total_resources(&self) -> BTreeMap<String, f64>;

    /// Those of them that are free.
    fn available_resources(&self) -> BTreeMap<String, f64>;

    /// The engine of this process ends: nothing is answered any more.
    fn shutdown(&self);
}

/// A call as bytes.
#[derive(Debug)]
pub struct RemoteCall {
    /// The number of the task.
    pub task: u64,
    /// The task that makes the call, if one does.
    pub parent: Option<u64>,
    /// The number of the caller. The calls of one caller to one actor keep their order.
    pub caller: u64,
    /// The definition. Its path identifies a function; the last part of the path identifies a method of the actor.
    pub spec: &'static Spec,
    /// The arguments.
    pub args: Vec<EncodedArg>,
    /// Takes the result.
    pub reply: Reply,
    /// The trace context of the call.
    pub trace: Option<TraceContext>,
    /// Of a call of an actor: whether it may begin before an earlier call of the same caller whose arguments are not ready, by
    /// the attribute of the class.
    pub out_of_order: bool,
    pub(crate) settings: Option<CallSettings>,
}

impl RemoteCall {
    /// The name of the task in reports.
    #[must_use]
    pub fn name(&self) -> &str {
        self.settings.as_ref().and_then(|settings| settings.name.as_deref()).unwrap_or(self.spec.name())
    }

    /// The resources that the task asks for; none: those of its definition, by default one CPU for a function that is not async.
    #[must_use]
    pub fn resources(&self) -> Option<&Resources> {
        self.settings.as_ref().map(|settings| &settings.resources)
    }

    /// Where the task runs; none: its options say nothing of it.
    #[must_use]
    pub fn placement(&self) -> Option<RemotePlacement<'_>> {
        self.settings.as_ref()?.placement.as_deref().map(RemotePlacement)
    }

    /// The concurrency group that the options of the call name; none: that of the method's attribute
    /// ([`MethodEntry::group`](crate::call::registry::MethodEntry::group)).
    #[must_use]
    pub fn group(&self) -> Option<&'static str> {
        self.settings.as_ref()?.group.map(|group| group.name)
    }

    /// The number of further attempts after a failed one; -1: no limit.
    #[must_use]
    pub fn max_retries(&self) -> i64 {
        self.settings.as_ref().map_or(0, |settings| settings.max_retries)
    }

    /// Whether the options of the call, or of its attribute, are set.
    #[must_use]
    pub fn has_settings(&self) -> bool {
        self.settings.is_some()
    }

    /// After which errors of the body another attempt follows, for an engine in whose worker processes this is decided.
    ///
    /// # Errors
    /// `InvalidArgument`: the predicate is not that of the attribute, so a worker process does not know it.
    pub fn retry(&self) -> Result<Retry> {
        let Some(settings) = &self.settings else { return Ok(Retry::Never) };
        let known = || registry::retry_on(self.spec.path());
        match (&settings.retry_on, settings.max_retries) {
            (RetryOn::Never, _) | (_, 0) => Ok(Retry::Never),
            (RetryOn::Always, _) => Ok(Retry::Always),
            (RetryOn::If(predicate), _) if known().is_some_and(|known| known.is_same_function(*predicate)) => Ok(Retry::If),
            (RetryOn::If(_) | RetryOn::Rule(_), _) => Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "the retry predicate of this call of `{}` cannot be sent to another process: name the function in the attribute, as #[remote(retry_exceptions = my_predicate)]",
                    self.name()
                ),
            )),
        }
    }

    /// Decides whether a failed attempt is followed by another.
    #[must_use]
    pub fn retries(&self) -> Retries {
        Retries { settings: self.settings.clone(), failed: 0 }
    }
}

/// After which errors of its body a task is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// After none.
    Never,
    /// After each.
    Always,
    /// The predicate of the attribute decides: [`Registration::retries`](crate::call::registry::Registration::retries).
    If,
}

/// The attempts of a call.
#[derive(Clone)]
pub struct Retries {
    settings: Option<CallSettings>,
    failed: u32,
}

impl fmt::Debug for Retries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Retries({} failed)", self.failed)
    }
}

impl Retries {
    /// For a call that another process has made, with the number of further attempts after any failure; -1: no limit.
    #[must_use]
    pub fn of(max_retries: i64) -> Self {
        let settings = (max_retries != 0).then(|| CallSettings {
            name: None,
            resources: Resources::NONE,
            max_retries,
            retry_on: RetryOn::Always,
            backpressure: None,
            placement: None,
            group: None,
            trace: None,
        });
        Self { settings, failed: 0 }
    }

    /// Whether an attempt that has ended with this error is followed by another, which is counted.
    pub fn allow(&mut self, error: &Error) -> bool {
        let again = self.settings.as_ref().is_some_and(|settings| crate::task::retry::allows(settings, self.failed, error));
        self.failed += u32::from(again);
        again
    }
}

/// The state of an actor of another process, as its executor tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RemoteState {
    /// The constructor has not ended.
    Pending,
    /// The actor takes calls.
    Alive,
    /// It has ended, and is to start again.
    Restarting,
    /// It has ended, and stays so.
    Dead,
}

/// An actor that the executor has created, or has found by its name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RemoteActor {
    /// The actor's number.
    pub id: u64,
    /// The path of its class. An actor that was found by its name may be of another class than the caller expects.
    pub class: String,
}

/// The creation of an actor as bytes.
#[derive(Debug)]
pub struct RemoteCreation {
    /// The path of the class.
    pub class: &'static Spec,
    /// The call of the constructor. The reply's value is the unit.
    pub call: RemoteCall,
    pub(crate) settings: Option<CreateSettings>,
    pub(crate) namespace: String,
}

impl RemoteCreation {
    /// Namespace and name, of a named actor.
    #[must_use]
    pub fn name(&self) -> Option<(&str, &str)> {
        let settings = self.settings.as_ref()?;
        let namespace = settings.namespace.as_deref().unwrap_or(&self.namespace);
        Some((namespace, settings.name.as_deref()?))
    }

    /// Whether an existing actor of the same name is used instead.
    #[must_use]
    pub fn get_if_exists(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.get_if_exists)
    }

    /// The number of restarts after a crash; -1: no limit.
    #[must_use]
    pub fn max_restarts(&self) -> i64 {
        self.settings.as_ref().map_or(0, |settings| settings.max_restarts)
    }

    /// The number of further attempts of each call that a crash has interrupted; -1: no limit.
    #[must_use]
    pub fn max_task_retries(&self) -> i64 {
        self.settings.as_ref().map_or(0, |settings| settings.max_task_retries)
    }

    /// The number of calls that run at the same time; 0: not set.
    #[must_use]
    pub fn max_concurrency(&self) -> u32 {
        self.settings.as_ref().and_then(|settings| settings.max_concurrency).unwrap_or(0)
    }

    /// The number of calls that may wait at the actor; none: no limit.
    #[must_use]
    pub fn max_pending_calls(&self) -> Option<u64> {
        self.settings.as_ref().and_then(|settings| settings.max_pending_calls)
    }

    /// The concurrency groups: the name of each, and how many of its calls may run at once.
    #[must_use]
    pub fn groups(&self) -> GroupSizes {
        self.settings.as_ref().map_or(&[], |settings| settings.groups)
    }

    /// Whether a call whose arguments are ready may begin before an earlier call of the same caller.
    #[must_use]
    pub fn allow_out_of_order_execution(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.out_of_order)
    }

    /// The resources that the actor holds as long as it lives.
    #[must_use]
    pub fn resources(&self) -> Option<&Resources> {
        self.settings.as_ref().map(|settings| &settings.resources)
    }

    /// How long the actor lives.
    #[must_use]
    pub fn lifetime(&self) -> Lifetime {
        self.settings.as_ref().map_or(Lifetime::NonDetached, |settings| settings.lifetime)
    }

    /// Where the actor runs; none: its options say nothing of it.
    #[must_use]
    pub fn placement(&self) -> Option<RemotePlacement<'_>> {
        self.settings.as_ref()?.placement.as_deref().map(RemotePlacement)
    }
}

/// Where a task or an actor runs, and in which environment.
#[derive(Clone, Copy, Debug)]
pub struct RemotePlacement<'a>(&'a Placement);

impl<'a> RemotePlacement<'a> {
    /// The strategy that chooses the node; none: that of the executor.
    #[must_use]
    pub fn strategy(&self) -> Option<&'a SchedulingStrategy> {
        self.0.strategy.as_ref()
    }

    /// The label selector.
    #[must_use]
    pub fn label_selector(&self) -> Option<&'a BTreeMap<String, String>> {
        self.0.selector.as_ref().map(Selector::pairs)
    }

    /// The label selectors to try if no node meets the first one.
    pub fn fallback(&self) -> impl Iterator<Item = &'a BTreeMap<String, String>> {
        self.0.fallback.iter().map(Selector::pairs)
    }

    /// The environment.
    #[must_use]
    pub fn runtime_env(&self) -> Option<&'a RuntimeEnv> {
        self.0.runtime_env.as_ref()
    }
}

/// The value of a call without a result.
#[must_use]
pub fn unit() -> Encoded {
    Encoded::of(&()).expect("the unit can be encoded")
}

/// The errors that an executor makes.
pub mod fail {
    use crate::base::error::{Error, ErrorKind};

    /// An error of a kind.
    #[must_use]
    pub fn error(kind: ErrorKind, what: impl Into<String>) -> Error {
        Error::new(kind, what.into())
    }

    /// The error of a call whose argument has failed.
    #[must_use]
    pub fn argument(call: &str, error: Error) -> Error {
        error.as_dependency_of(call)
    }

    /// The error of an actor's calls whose constructor has failed.
    #[must_use]
    pub fn constructor(class: &str, error: Error) -> Error {
        Error::new(ErrorKind::ActorDied, format!("the constructor of actor `{class}` failed: {error}")).with_cause(error)
    }

    /// The error of an actor, which may have a name, whose method has panicked.
    #[must_use]
    pub fn panic(call: &str, name: Option<&str>, error: Error) -> Error {
        let named = name.map(|name| format!(" named `{name}`")).unwrap_or_default();
        let what = format!("the actor{named} died of a panic in its method `{call}` ({error}); create a new one");
        Error::new(ErrorKind::ActorDied, what).with_cause(error)
    }

    /// The error of a call of an actor, which may have a name, that has died of this panic before.
    #[must_use]
    pub fn dead(name: Option<&str>, error: Error) -> Error {
        let named = name.map(|name| format!(" named `{name}`")).unwrap_or_default();
        Error::new(ErrorKind::ActorDied, format!("the actor{named} died of a panic before this call ({error}); create a new one"))
            .with_cause(error)
    }

    /// The error of a call whose method has panicked, of an actor that starts anew.
    #[must_use]
    pub fn restart(call: &str, error: Error) -> Error {
        let what = format!(
            "the actor crashed in its method `{call}` ({error}) and starts anew without its state: call again, or set max_task_retries"
        );
        Error::new(ErrorKind::ActorUnavailable, what).with_cause(error)
    }

    /// The error of a call of an actor that has died before, with the cause of the death.
    #[must_use]
    pub fn later(error: Error, death: Error) -> Error {
        error.with_cause(death)
    }

    /// Names the call and the process in the error of a process that has ended.
    #[must_use]
    pub fn crash(call: &str, process: &str, error: Error) -> Error {
        if !error.is_worker_crashed() {
            return error;
        }
        let what = format!("{process} has ended while it ran `{call}`: submit it again, or set max_retries");
        Error::new(ErrorKind::WorkerCrashed, what)
    }
}
