//! Placement groups: making, finding and removing them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::api::get::get_timeout;
use crate::base::epoch;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::PlacementGroupId;
use crate::base::placement::Lifetime;
use crate::base::placement_group::{Bundle, PlacementGroup, PlacementGroupSpec, PlacementStrategy};
use crate::base::resources::Resources;
use crate::engine::engine::{Engine, running};
use crate::engine::group::PlacementGroupState;
use crate::engine::{capture, group_claim, thread};
use crate::object::object_ref::ObjectRef;

/// The builder of a placement group; [`placement_group`] makes it.
#[derive(Clone, Debug)]
#[must_use = "the group is made by `create`"]
pub struct PlacementGroupBuilder {
    bundles: Vec<Bundle>,
    strategy: PlacementStrategy,
    name: Option<String>,
    lifetime: Lifetime,
}

/// Begins a placement group of these bundles: resources that are reserved together, all or none.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.placement_group.html).
///
/// ```
/// # extern crate ray_core as ray;
/// use ray::{Bundle, PlacementStrategy};
/// ray::init_with(ray::Config::new().num_cpus(4))?;
/// let group = ray::placement_group(vec![Bundle::new().num_cpus(1); 4]).strategy(PlacementStrategy::Pack).create()?;
/// ray::get(group.ready())?;
/// assert_eq!(ray::available_resources()?["CPU"], 0.0);
/// let ranks: Vec<_> = (0..4).map(|rank| ray::task(move || rank).scheduling_strategy(group.bundle(rank)).remote()).collect();
/// assert_eq!(ray::get(ranks)?, [0, 1, 2, 3]);
/// ray::remove_placement_group(&group)?;
/// # Ok::<(), ray::Error>(())
/// ```
pub fn placement_group<B: Into<Bundle>>(bundles: impl IntoIterator<Item = B>) -> PlacementGroupBuilder {
    PlacementGroupBuilder {
        bundles: bundles.into_iter().map(Into::into).collect(),
        strategy: PlacementStrategy::Pack,
        name: None,
        lifetime: Lifetime::NonDetached,
    }
}

impl PlacementGroupBuilder {
    /// Sets how the bundles are placed on nodes; by default [`PlacementStrategy::Pack`].
    pub fn strategy(mut self, strategy: PlacementStrategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Sets a name, by which [`get_placement_group`] finds the group.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets how long the group lives. In the embedded engine every group lives until it is removed or the engine is shut down, so both
    /// lifetimes are the same.
    pub fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Makes the group, and starts the engine if none runs. The group waits for its resources beside the tasks and actors that wait for
    /// theirs; [`PlacementGroup::ready`] and [`PlacementGroup::wait`] tell when it has them.
    ///
    /// # Errors
    /// `Infeasible`: the node does not have the resources, or the strategy needs several nodes. `InvalidArgument`: there is no bundle,
    /// a bundle has no resources or an invalid amount, another group has the name, or the program runs on a cluster, where groups are
    /// not supported yet. `RuntimeGone`: the engine was shut down.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// ray::init_with(ray::Config::new().num_cpus(2))?;
    /// assert!(ray::placement_group([[("CPU", 3)]]).create().unwrap_err().is_infeasible());
    /// let nothing: [ray::Bundle; 0] = [];
    /// assert!(ray::placement_group(nothing).create().unwrap_err().is_invalid_argument());
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn create(self) -> Result<PlacementGroup> {
        let state = thread::current()?;
        if state.engine.executor.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                "placement groups run only in one process so far: on a cluster choose nodes with `scheduling_strategy` or `label_selector`, or start the embedded engine (`ray::init()` without an address)",
            ));
        }
        state.engine.of_this_process()?;
        let spec = PlacementGroupSpec::new(self.bundles, self.strategy, self.name)?;
        group_claim::create(&state.engine, spec, self.lifetime)
    }
}

impl PlacementGroup {
    /// An object that is ready when the group has its resources. Its value is the group. It fails if the group is removed before.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// ray::init_with(ray::Config::new().num_cpus(1))?;
    /// let group = ray::placement_group([[("CPU", 1)]]).create()?;
    /// assert_eq!(ray::get(group.ready())?, group);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn ready(&self) -> ObjectRef<PlacementGroup> {
        match of_epoch(self).and_then(|engine| engine.groups.open(self)) {
            Ok(group) => group.ready.clone(),
            Err(error) => {
                let failed = ObjectRef::failed(error, epoch::current());
                failed.header().state.set_seen();
                failed
            }
        }
    }

    /// Waits until the group has its resources; `false`: it has not got them within this time.
    ///
    /// # Errors
    /// `PlacementGroupRemoved`; the errors of [`get_timeout`](crate::get_timeout) other than that of the time-out.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// use std::time::Duration;
    /// ray::init_with(ray::Config::new().num_cpus(1))?;
    /// let first = ray::placement_group([[("CPU", 1)]]).create()?;
    /// let second = ray::placement_group([[("CPU", 1)]]).create()?;
    /// assert!(first.wait(Duration::from_secs(30))?);
    /// assert!(!second.wait(Duration::from_millis(10))?);
    /// ray::remove_placement_group(&first)?;
    /// assert!(second.wait(Duration::from_secs(30))?);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        match get_timeout(self.ready(), timeout) {
            Ok(_) => Ok(true),
            Err(error) if error.is_timeout() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The engine of a group.
///
/// # Errors
/// `RuntimeGone`.
fn of_epoch(group: &PlacementGroup) -> Result<Arc<Engine>> {
    running().filter(|engine| engine.epoch == group.epoch).ok_or_else(|| epoch::gone("the placement group ended with it"))
}

/// Removes a group. Tasks that wait or run in it fail with `PlacementGroupRemoved`, and its actors die. Like that of
/// [`cancel`](crate::cancel), the body of a task that runs goes on, and `ray::context().is_cancelled()` returns true in it. What is free
/// in the bundles goes back to the node at once; what a body uses goes back when the body ends. A second removal changes nothing. [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.remove_placement_group.html).
///
/// # Errors
/// `RuntimeGone`: the engine of the group was shut down.
///
/// ```
/// # extern crate ray_core as ray;
/// ray::init_with(ray::Config::new().num_cpus(1))?;
/// let group = ray::placement_group([[("CPU", 1)]]).create()?;
/// ray::remove_placement_group(&group)?;
/// let task = ray::task(|| 1).scheduling_strategy(&group).remote();
/// assert!(ray::get(task).unwrap_err().is_placement_group_removed());
/// # Ok::<(), ray::Error>(())
/// ```
pub fn remove_placement_group(group: &PlacementGroup) -> Result<()> {
    let engine = of_epoch(group)?;
    if let Some(group) = engine.groups.find(group.id()) {
        group_claim::remove(&engine, &group);
    }
    Ok(())
}

/// The group of this name. [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.get_placement_group.html).
///
/// # Errors
/// `InvalidArgument`: no group has the name. `RuntimeGone`: no engine runs.
///
/// ```
/// # extern crate ray_core as ray;
/// ray::init_with(ray::Config::new().num_cpus(1))?;
/// let group = ray::placement_group([[("CPU", 1)]]).name("gang").create()?;
/// assert_eq!(ray::get_placement_group("gang")?, group);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn get_placement_group(name: &str) -> Result<PlacementGroup> {
    let engine = initialized()?;
    let found = engine.groups.named(name).map(|group| group.handle.clone());
    found.ok_or_else(|| {
        let names = engine.groups.names();
        let known = if names.is_empty() { "no group has a name".to_owned() } else { format!("there are {}", names.join(", ")) };
        let what = format!("no placement group has the name `{name}`: {known}; `PlacementGroupBuilder::name` sets it");
        Error::new(ErrorKind::InvalidArgument, what)
    })
}

/// A row of [`placement_group_table`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlacementGroupInfo {
    /// The id of the group.
    pub id: PlacementGroupId,
    /// The name of the group, if it has one.
    pub name: Option<String>,
    /// How the bundles are placed.
    pub strategy: PlacementStrategy,
    /// The lifetime that the builder has set.
    pub lifetime: Lifetime,
    /// The state of the group.
    pub state: PlacementGroupState,
    /// The resources of each bundle.
    pub bundles: Vec<Resources>,
    /// What is free in each bundle; empty unless the group is `Created`.
    pub available: Vec<Resources>,
}

/// All placement groups. A removed group is in the table until everything in it has ended.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.placement_group_table.html).
///
/// # Errors
/// `RuntimeGone`: no engine runs.
///
/// ```
/// # extern crate ray_core as ray;
/// ray::init_with(ray::Config::new().num_cpus(1))?;
/// let group = ray::placement_group([[("CPU", 1)]]).create()?;
/// let table = ray::placement_group_table()?;
/// assert_eq!(table[&group.id()].state, ray::PlacementGroupState::Created);
/// assert_eq!(table[&group.id()].available[0].num_cpus(), 1.0);
/// # Ok::<(), ray::Error>(())
/// ```
pub fn placement_group_table() -> Result<BTreeMap<PlacementGroupId, PlacementGroupInfo>> {
    let rows = initialized()?.groups.all().into_iter().map(|group| {
        let (state, available) = {
            let inside = group.inside.lock();
            let is_created = inside.state == PlacementGroupState::Created;
            (inside.state, if is_created { inside.bundles.free() } else { Vec::new() })
        };
        let info = PlacementGroupInfo {
            id: group.handle.id(),
            name: group.name.clone(),
            strategy: group.strategy,
            lifetime: group.lifetime,
            state,
            bundles: group.handle.bundle_specs().to_vec(),
            available,
        };
        (info.id, info)
    });
    Ok(rows.collect())
}

fn initialized() -> Result<Arc<Engine>> {
    running().ok_or_else(|| Error::new(ErrorKind::RuntimeGone, "the engine does not run: call `ray::init()` first"))
}

/// The placement group of the running task or actor; none outside of groups.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/api/doc/ray.util.get_current_placement_group.html).
///
/// ```
/// # extern crate ray_core as ray;
/// ray::init_with(ray::Config::new().num_cpus(1))?;
/// let group = ray::placement_group([[("CPU", 1)]]).create()?;
/// let inside = ray::task(ray::get_current_placement_group).scheduling_strategy(&group).remote();
/// assert_eq!(ray::get(inside)?, Some(group));
/// assert_eq!(ray::get_current_placement_group(), None);
/// # Ok::<(), ray::Error>(())
/// ```
#[must_use]
pub fn get_current_placement_group() -> Option<PlacementGroup> {
    let placement = thread::existing()?.frame().and_then(capture::of_body)?;
    Some(placement.in_group()?.group.clone())
}
