//! The start of the engine, and questions about it.

use crate::task::executor::{ClusterInfo, Executor, RemoteNode};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::base::config::{Config, Mode};
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::NodeId;
use crate::base::resources::{Resources, UNITS};
use crate::engine::engine::{Engine, running, start};

/// The properties of a started engine; [`init`] returns it. Dropping it does nothing; [`Context::shutdown_on_drop`] makes a guard
/// that shuts the engine down.
#[derive(Debug)]
pub struct Context {
    epoch: u32,
    namespace: String,
    /// Of a cluster: set when they are first asked for.
    resources: OnceLock<Resources>,
    /// The executor, on a cluster.
    executor: Option<Arc<dyn Executor>>,
}

impl Context {
    fn new(engine: &Engine) -> Self {
        let executor = engine.executor.clone().filter(|executor| executor.cluster().is_some());
        Self {
            epoch: engine.epoch,
            namespace: engine.settings.namespace.to_string(),
            resources: if executor.is_some() { OnceLock::new() } else { engine.total().clone().into() },
            executor,
        }
    }

    /// The number of logical CPUs of the engine, which is the number of tasks of one CPU that run at once. On a cluster the first call
    /// asks the cluster, and waits for its answer; 0: it has not answered.
    #[must_use]
    pub fn num_cpus(&self) -> f64 {
        self.resources().num_cpus()
    }

    /// The namespace of named actors.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The resources of the engine. On a cluster: those of all nodes when the program first asks for them.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        static UNKNOWN: Resources = Resources::NONE;
        if let Some(known) = self.resources.get() {
            return known;
        }
        let of_cluster = self.executor.as_ref().map_or_else(BTreeMap::new, |executor| executor.total_resources());
        // A cluster that does not answer has no resources here. The next call asks again.
        if of_cluster.is_empty() { &UNKNOWN } else { self.resources.get_or_init(|| Resources::of_amounts(of_cluster)) }
    }

    /// The cluster that the program has joined; none in the embedded engine.
    #[must_use]
    pub fn cluster(&self) -> Option<&ClusterInfo> {
        self.executor.as_ref()?.cluster()
    }

    /// Converts this into a guard that shuts the engine down when it is dropped, like a context manager in Python.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// {
    ///     let _ray = ray::init()?.shutdown_on_drop();
    ///     assert_eq!(ray::get(ray::task(|| 7).remote())?, 7);
    /// }
    /// assert!(!ray::is_initialized());
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn shutdown_on_drop(self) -> ShutdownGuard {
        ShutdownGuard(self)
    }
}

/// A guard that shuts its engine down when it is dropped; see [`Context::shutdown_on_drop`].
#[derive(Debug)]
#[must_use = "dropped at once, it shuts the engine down at once"]
pub struct ShutdownGuard(Context);

impl std::ops::Deref for ShutdownGuard {
    type Target = Context;
    fn deref(&self) -> &Context {
        &self.0
    }
}

impl Drop for ShutdownGuard {
    fn drop(&mut self) {
        if crate::base::epoch::current() == self.0.epoch {
            // A drop cannot return the error.
            if let Err(error) = crate::api::shutdown::shutdown() {
                crate::base::log::warn(crate::base::log::Notice::Shutdown, &error);
            }
        }
    }
}

/// Starts the engine with default settings. This is optional: the first use starts the engine, too.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.init.html).
///
/// # Errors
/// `AlreadyInitialized` if the engine runs; `ClusterUnavailable` if `RAY_ADDRESS` is set; `InvalidArgument` if an environment
/// variable has an invalid value.
///
/// ```
/// # extern crate ray_core as ray;
/// let context = ray::init()?;
/// assert!(context.num_cpus() >= 1.0);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn init() -> Result<Context> {
    init_with(Config::new())
}

/// Starts the engine with these settings.
///
/// # Errors
/// Those of [`init`]; `InvalidArgument` if a setting is out of range.
///
/// ```
/// # extern crate ray_core as ray;
/// let context = ray::init_with(ray::Config::new().num_cpus(4))?;
/// assert_eq!(context.num_cpus(), 4.0);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn init_with(config: Config) -> Result<Context> {
    start(config, None, false).map(|engine| Context::new(&engine))
}

/// Starts an engine whose bodies an executor runs in other processes.
///
/// # Errors
/// Those of [`init_with`].
#[doc(hidden)]
pub fn init_with_executor(config: Config, executor: Arc<dyn Executor>) -> Result<Context> {
    start(config, Some(executor), false).map(|engine| Context::new(&engine))
}

/// Whether the engine runs.
///
/// ```
/// # extern crate ray_core as ray;
/// assert!(!ray::is_initialized());
/// ray::init()?;
/// assert!(ray::is_initialized());
/// # Ok::<(), ray::Error>(())
/// ```
#[must_use]
pub fn is_initialized() -> bool {
    crate::base::epoch::current() != 0
}

/// Whether calls move their arguments and results, without encoding them: in the embedded engine without strict mode.
#[must_use]
pub fn moves_values() -> bool {
    running().is_some_and(|engine| engine.settings.mode == Mode::Embedded)
}

fn initialized() -> Result<Arc<Engine>> {
    running().ok_or_else(|| {
        Error::new(ErrorKind::RuntimeGone, "the engine does not run: call `ray::init()` (or submit something) first")
    })
}

/// One node of the engine. The embedded engine has one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Node {
    /// The id of the node, as Ray's own tools print it.
    pub id: NodeId,
    /// The address of the node; empty in the embedded engine.
    pub address: String,
    /// The labels of the node.
    pub labels: BTreeMap<String, String>,
    /// Whether the node takes work.
    pub alive: bool,
    /// The resources of the node, free or not.
    pub resources: Resources,
}

/// The nodes of the engine. The embedded engine has one: this process.
///
/// # Errors
/// `RuntimeGone` if the engine does not run; this function does not start it. On a cluster `System` if it does not answer.
///
/// ```
/// # extern crate ray_core as ray;
/// ray::init_with(ray::Config::new().num_cpus(2))?;
/// assert_eq!(ray::nodes()?.len(), 1);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn nodes() -> Result<Vec<Node>> {
    let engine = initialized()?;
    if let Some(executor) = &engine.executor
        && let Some(nodes) = executor.nodes()?
    {
        return Ok(nodes.into_iter().map(of_cluster).collect());
    }
    Ok(vec![Node {
        id: NodeId::of_process(),
        address: String::new(),
        labels: engine.settings.labels.clone(),
        alive: true,
        resources: engine.total().clone(),
    }])
}

fn of_cluster(node: RemoteNode) -> Node {
    let RemoteNode { id, alive, address, labels, resources } = node;
    Node { id: NodeId::of_text(&id), address, labels, alive, resources: Resources::of_amounts(resources) }
}

/// The resources of all nodes, by name: `CPU`, `GPU`, `memory` (in bytes) and custom ones.
///
/// # Errors
/// Those of [`nodes`].
///
/// ```
/// # extern crate ray_core as ray;
/// ray::init_with(ray::Config::new().num_cpus(2).resource("disk", 4.0))?;
/// assert_eq!((ray::cluster_resources()?["CPU"], ray::cluster_resources()?["disk"]), (2.0, 4.0));
/// # Ok::<(), ray::Error>(())
/// ```
pub fn cluster_resources() -> Result<BTreeMap<String, f64>> {
    let engine = initialized()?;
    Ok(match &engine.executor {
        Some(executor) => executor.total_resources(),
        None => engine.total().iter().map(|(name, amount)| (name.to_owned(), amount)).collect(),
    })
}

/// The free resources, by name. The result is approximate: a thread that looks for work, or has just ended a body, still holds its
/// CPU.
///
/// # Errors
/// Those of [`nodes`].
///
/// ```
/// # extern crate ray_core as ray;
/// let context = ray::init_with(ray::Config::new().num_cpus(3))?;
/// assert_eq!(ray::available_resources()?["CPU"], 3.0);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn available_resources() -> Result<BTreeMap<String, f64>> {
    let engine = initialized()?;
    if let Some(executor) = &engine.executor {
        return Ok(executor.available_resources());
    }
    let others = engine.claims.lock().free();
    // A resource of which nothing is free is in the result, too, with 0.
    let mut free: BTreeMap<String, f64> = engine.total().iter().map(|(name, _)| (name.to_owned(), 0.0)).collect();
    free.extend(others.iter().map(|(name, amount)| (name.to_owned(), amount)));
    // Exact, because the number is below 2^52 units.
    #[allow(clippy::cast_precision_loss)]
    free.insert("CPU".to_owned(), engine.cpu.free() as f64 / UNITS as f64);
    Ok(free)
}
