//! `ray::context()`: the task, the actor and the engine of the running code.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::actor::head::ActorHold;
use crate::actor::weak_handle::WeakActorHandle;
use crate::base::error::Result;
use crate::base::id::{ActorId, JobId, NodeId, PlacementGroupId, TaskId, WorkerId};
use crate::base::placement::Placement;
use crate::base::placement_group::PlacementGroup;
use crate::base::resources::Resources;
use crate::base::trace::TraceContext;
use crate::engine::thread_state::{Frame, Host, ThreadState};
use crate::engine::{capture, claim, group_claim, thread, trace};
use crate::object::entry::Hold;
use crate::object::remote;
use crate::sched::claims::Key;
use crate::task::executor::ClusterInfo;
use crate::task::head::TaskHead;

/// The properties of the running body at the time when [`context`] was called. Outside of bodies most of them are empty.
#[derive(Debug)]
pub struct RuntimeContext {
    task: Option<Hold>,
    actor: Option<ActorHold>,
    name: Option<String>,
    function: Option<&'static str>,
    resources: Resources,
    namespace: String,
    epoch: u32,
    worker: u64,
    cluster: Option<ClusterInfo>,
    trace: Option<TraceContext>,
    placement: Option<Arc<Placement>>,
    gpus: Vec<String>,
}

/// Returns the properties of the running task, actor and engine.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.get_runtime_context.html).
///
/// ```
/// # extern crate ray_core as ray;
/// assert!(ray::context().task_id().is_none()); // the driver is no task
/// let inside = ray::task(|| ray::context().task_name().map(str::to_owned)).name("mine").remote();
/// assert_eq!(ray::get(inside)?.as_deref(), Some("mine"));
/// # Ok::<(), ray::Error>(())
/// ```
#[must_use]
pub fn context() -> RuntimeContext {
    let state = thread::existing().filter(|state| state.frame().is_some()).or_else(|| thread::current().ok());
    let Some(state) = state else {
        return RuntimeContext {
            task: None,
            actor: None,
            name: None,
            function: None,
            resources: Resources::NONE,
            namespace: crate::base::config::DEFAULT_NAMESPACE.to_owned(),
            epoch: 0,
            worker: 0,
            cluster: None,
            trace: trace::current(None),
            placement: None,
            gpus: Vec::new(),
        };
    };
    let frame = state.frame();
    let task = frame.and_then(Frame::header).map(Hold::of);
    let actor = frame.and_then(crate::actor::host::hold_of_frame);
    let head = task.as_ref().and_then(|task| task.task());
    let body = task.as_ref().and_then(|task| remote::body_of(task));
    let resources = match (body, &actor) {
        (None, _) => assigned(head, actor.as_ref()),
        (Some(_), Some(actor)) if actor.resources() != Resources::NONE => actor.resources(),
        (Some(body), _) => body.resources.clone(),
    };
    let placement = frame.and_then(capture::of_body);
    RuntimeContext {
        gpus: if resources.gpu > 0 { gpu_ids(state, head, actor.as_ref(), placement.as_deref()) } else { Vec::new() },
        placement,
        name: (head.map(|head| head.name().into_owned()))
            .or_else(|| body.map(|body| body.name.clone()))
            .or_else(|| frame.map(|frame| frame.spec.name().to_owned())),
        function: frame.map(|frame| frame.spec.path()),
        resources,
        namespace: state.engine.settings.namespace.to_string(),
        epoch: state.epoch,
        worker: state.shared.number(),
        cluster: state.engine.executor.as_ref().and_then(|executor| executor.cluster()).cloned(),
        trace: trace::current(Some(state)),
        task,
        actor,
    }
}

/// The ids of the GPUs that the body holds.
#[cold]
fn gpu_ids(
    state: &ThreadState,
    head: Option<&TaskHead>,
    actor: Option<&ActorHold>,
    placement: Option<&Placement>,
) -> Vec<String> {
    let engine = &state.engine;
    let key = match (actor, head) {
        (Some(actor), _) => Key(actor.address()),
        (None, Some(head)) => claim::key_of(head).0,
        (None, None) => return Vec::new(),
    };
    let share = match placement.and_then(Placement::in_group) {
        Some(place) => group_claim::gpus(engine, place.group.id(), key),
        None => engine.claims.lock().gpus(key),
    };
    share.into_iter().map(|(number, _)| engine.settings.gpu_id(number)).collect()
}

fn assigned(head: Option<&TaskHead>, actor: Option<&ActorHold>) -> Resources {
    if let Some(actor) = actor {
        return actor.resources();
    }
    match head {
        None => Resources::NONE,
        Some(head) => match head.extra() {
            Some(extra) => extra.settings.resources.clone(),
            None if head.vtable().is_async => Resources::NONE,
            None => Resources::ONE_CPU,
        },
    }
}

impl RuntimeContext {
    /// The number of the running task or call. None outside of bodies, and for a call without a reference (`tell`).
    #[must_use]
    pub fn task_id(&self) -> Option<TaskId> {
        self.task.as_ref().map(|task| TaskId::from_raw(task.id()))
    }

    /// The name of the task: that of its options, otherwise that of the function.
    #[must_use]
    pub fn task_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The module path and the name of the running function or method.
    #[must_use]
    pub fn function_name(&self) -> Option<&'static str> {
        self.function
    }

    /// The number of the actor whose method runs.
    #[must_use]
    pub fn actor_id(&self) -> Option<ActorId> {
        self.actor.as_ref().map(|actor| actor.id())
    }

    /// The name of the actor whose method runs, if it has one.
    #[must_use]
    pub fn actor_name(&self) -> Option<String> {
        self.actor.as_ref().and_then(|actor| actor.name())
    }

    /// A weak handle of the actor whose method runs.
    ///
    /// # Errors
    /// `ActorNotFound` outside of an actor, or if the actor is of another class.
    pub fn current_actor<A: crate::actor::class::Actor>(&self) -> Result<WeakActorHandle<A>> {
        WeakActorHandle::of_running(self.actor.as_ref())
    }

    /// Whether the actor whose method runs has been restarted.
    #[must_use]
    pub fn was_current_actor_reconstructed(&self) -> bool {
        self.actor.as_ref().is_some_and(|actor| actor.restarts() > 0)
    }

    /// The number of failed attempts of the running task before this one.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        let Some(task) = &self.task else { return 0 };
        if let Some(body) = remote::body_of(task) {
            return body.attempt;
        }
        task.task().map_or(0, |head| head.attempts.load(std::sync::atomic::Ordering::Relaxed))
    }

    /// Whether the task was asked to stop: by [`cancel`](crate::cancel), by [`kill`](crate::kill) or a restart of its actor, or by
    /// a shutdown. A long sync body should check it from time to time.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        let actor = self.actor.as_deref().map(|actor| actor as &dyn Host);
        crate::engine::blocking::interrupt::is_asked_to_stop(self.task.as_deref(), actor)
            || self.epoch != crate::base::epoch::current()
    }

    /// The resources that the running task or actor holds.
    #[must_use]
    pub fn assigned_resources(&self) -> &Resources {
        &self.resources
    }

    /// The namespace of named actors.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The id of the node. The embedded engine has one node: this process.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.cluster.as_ref().map_or_else(NodeId::of_process, |cluster| NodeId::of_text(&cluster.node_id))
    }

    /// The number of this engine; each start of the engine has another one.
    #[must_use]
    pub fn job_id(&self) -> JobId {
        self.cluster.as_ref().map_or_else(|| JobId::from_raw(u64::from(self.epoch)), |cluster| JobId::of_text(&cluster.job_id))
    }

    /// The number of the thread that runs the body. On a cluster it is the beginning of the id of Ray's worker.
    #[must_use]
    pub fn worker_id(&self) -> WorkerId {
        self.cluster.as_ref().map_or(WorkerId::from_raw(self.worker), |cluster| WorkerId::of_text(&cluster.worker_id))
    }

    /// The trace context that a call would have which this code makes now: that of the innermost [`TraceContext::run`] in this
    /// body, otherwise that of the call of the body.
    #[must_use]
    pub fn trace_context(&self) -> Option<&TraceContext> {
        self.trace.as_ref()
    }

    /// The placement group in which the task or the actor runs. As [`get_current_placement_group`](crate::get_current_placement_group).
    #[must_use]
    pub fn placement_group(&self) -> Option<&PlacementGroup> {
        Some(self.placement.as_ref()?.in_group()?.group)
    }

    /// The id of the placement group in which the task or the actor runs.
    #[must_use]
    pub fn placement_group_id(&self) -> Option<PlacementGroupId> {
        self.placement_group().map(PlacementGroup::id)
    }

    /// Whether the calls that this body makes run in its placement group.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use ray::SchedulingStrategy;
    /// ray::init_with(ray::Config::new().num_cpus(1))?;
    /// let group = ray::placement_group([[("CPU", 1)]]).create()?;
    /// let captured = || ray::context().should_capture_child_tasks_in_placement_group();
    /// let strategy =
    ///     SchedulingStrategy::PlacementGroup { placement_group: group.clone(), bundle_index: None, capture_child_tasks: true };
    /// let (yes, no) = (ray::task(captured).scheduling_strategy(strategy), ray::task(captured).scheduling_strategy(&group));
    /// assert_eq!(ray::get((yes.remote(), no.remote()))?, (true, false));
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn should_capture_child_tasks_in_placement_group(&self) -> bool {
        self.placement.as_ref().and_then(|placement| placement.in_group()).is_some_and(|place| place.captures)
    }

    /// The ids of the GPUs that the task or the actor holds, as [`get_gpu_ids`] returns them.
    #[must_use]
    pub fn gpu_ids(&self) -> &[String] {
        &self.gpus
    }

    /// The ids of the accelerators that the task or the actor holds, by the names of their resources. The embedded engine has ids of GPUs.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// ray::init_with(ray::Config::new().num_cpus(1).num_gpus(2))?;
    /// let ids = ray::task(|| ray::context().accelerator_ids()).num_gpus(2).remote();
    /// assert_eq!(ray::get(ids)?["GPU"].len(), 2);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn accelerator_ids(&self) -> BTreeMap<String, Vec<String>> {
        [("GPU".to_owned(), self.gpus.clone())].into()
    }

    /// The cluster, with the ids that Ray's own tools print; none in the embedded engine.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// assert!(ray::context().cluster().is_none());
    /// ```
    #[must_use]
    pub fn cluster(&self) -> Option<&ClusterInfo> {
        self.cluster.as_ref()
    }
}

/// The ids of the GPUs that the running task or actor holds; empty outside of bodies, and in a body that asked for none. Tasks and actors
/// that hold GPUs at the same time have different ones; those that asked for fractions may share one.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.get_gpu_ids.html).
///
/// The ids are `0`, `1` and so on, or, if the environment variable `CUDA_VISIBLE_DEVICES` is set when the engine starts, the entries of
/// that list. Ray sets the variable for each worker process. The bodies of the embedded engine are threads of one process, whose
/// environment they share, so the variable stays as it is: pass the ids to the library that uses the GPU. On a cluster the list is
/// empty: Ray has set the variable there.
///
/// ```
/// # extern crate ray_core as ray;
/// ray::init_with(ray::Config::new().num_cpus(2).num_gpus(1))?;
/// let ids = ray::get(ray::task(ray::get_gpu_ids).num_gpus(0.5).remote())?;
/// assert_eq!(ids.len(), 1);
/// assert!(ray::get_gpu_ids().is_empty());
/// # Ok::<(), ray::Error>(())
/// ```
#[must_use]
pub fn get_gpu_ids() -> Vec<String> {
    context().gpus
}
