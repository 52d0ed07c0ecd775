//! Starting and asking about the engine.

use crate::task::executor::Executor;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::config::Config;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::NodeId;
use crate::base::resources::{Resources, UNITS};
use crate::engine::engine::{Engine, running, start};

/// What [`init`] returns: what there is to know of the engine. Dropping it does nothing; with
/// [`Context::shutdown_on_drop`] it shuts the engine down.
#[derive(Debug)]
pub struct Context {
    epoch: u32,
    num_cpus: usize,
    namespace: String,
    resources: Resources,
}

impl Context {
    fn new(engine: &Engine) -> Self {
        Self {
            epoch: engine.epoch,
            num_cpus: engine.settings.num_cpus,
            namespace: engine.settings.namespace.to_string(),
            resources: engine.total().clone(),
        }
    }

    /// Logical CPUs of the engine: as many tasks of one CPU run at once.
    #[must_use]
    pub fn num_cpus(&self) -> usize {
        self.num_cpus
    }

    /// The namespace of named actors.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The resources of the node.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        &self.resources
    }

    /// Shuts the engine down when the guard is dropped, as a context manager in Python does.
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

/// Shuts its engine down when dropped; see [`Context::shutdown_on_drop`].
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
            // A drop has nobody to return it to.
            if let Err(error) = crate::api::shutdown::shutdown() {
                crate::base::log::warn(crate::base::log::Notice::Shutdown, &error);
            }
        }
    }
}

/// Starts the engine with its defaults. Optional: the first use starts it too.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.init.html).
///
/// # Errors
/// `AlreadyInitialized` if it runs; `ClusterUnavailable` if `RAY_ADDRESS` is set; `InvalidArgument` for a variable of
/// the environment that makes no sense.
///
/// ```
/// # extern crate ray_core as ray;
/// let context = ray::init()?;
/// assert!(context.num_cpus() >= 1);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn init() -> Result<Context> {
    init_with(Config::new())
}

/// Starts the engine as configured.
///
/// # Errors
/// As [`init`], and `InvalidArgument` for a setting out of range.
///
/// ```
/// # extern crate ray_core as ray;
/// let context = ray::init_with(ray::Config::new().num_cpus(4))?;
/// assert_eq!(context.num_cpus(), 4);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn init_with(config: Config) -> Result<Context> {
    start(config, None, false).map(|engine| Context::new(&engine))
}

/// Starts the engine of this process with bodies that an executor runs in others.
///
/// # Errors
/// As [`init_with`].
#[doc(hidden)]
pub fn init_with_executor(config: Config, executor: Arc<dyn Executor>) -> Result<Context> {
    start(config, Some(executor), false).map(|engine| Context::new(&engine))
}

/// Whether the engine runs.
#[must_use]
pub fn is_initialized() -> bool {
    crate::base::epoch::current() != 0
}

fn initialized() -> Result<Arc<Engine>> {
    running().ok_or_else(|| {
        Error::new(ErrorKind::RuntimeGone, "the engine does not run: call `ray::init()` (or submit something) first")
    })
}

/// One node of the engine; embedded there is one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// It takes work.
    pub alive: bool,
    /// What it has.
    pub resources: Resources,
}

/// The nodes: embedded, this process.
///
/// # Errors
/// `RuntimeGone` if the engine does not run; this does not start it.
pub fn nodes() -> Result<Vec<Node>> {
    let engine = initialized()?;
    Ok(vec![Node { id: node_id(), alive: true, resources: engine.total().clone() }])
}

pub(crate) fn node_id() -> NodeId {
    NodeId::from_raw(u128::from(std::process::id()) | 1 << 64)
}

/// What all nodes have, by name: `CPU`, `GPU`, `memory` and custom ones.
///
/// # Errors
/// As [`nodes`].
pub fn cluster_resources() -> Result<BTreeMap<String, f64>> {
    let engine = initialized()?;
    Ok(match &engine.executor {
        Some(executor) => executor.total_resources(),
        None => engine.total().iter().map(|(name, amount)| (name.to_owned(), amount)).collect(),
    })
}

/// What is free now, by name. A glimpse: a thread that looks for work, or has just ended some, still holds its CPU.
///
/// # Errors
/// As [`nodes`].
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
    let others = engine.claims.lock().others.free();
    // What is all taken is there too, as 0.
    let mut free: BTreeMap<String, f64> = engine.total().iter().map(|(name, _)| (name.to_owned(), 0.0)).collect();
    free.extend(others.iter().map(|(name, amount)| (name.to_owned(), amount)));
    // Exact: below 2^52 units.
    #[allow(clippy::cast_precision_loss)]
    free.insert("CPU".to_owned(), engine.cpu.free() as f64 / UNITS as f64);
    Ok(free)
}
