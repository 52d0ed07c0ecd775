//! The handle of a placement group, its bundles and its strategy. `engine::group` has the group itself.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::amount::Amount;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::PlacementGroupId;
use crate::base::resources::{ResourceOverrides, Resources};

/// A handle of a placement group: resources that are reserved together, in parts, the *bundles*.
/// [`placement_group`](crate::placement_group) makes one. [Ray's
/// page](https://docs.ray.io/en/latest/ray-core/scheduling/placement-group.html).
///
/// The handle is a number with the list of the bundles: it can be cloned, compared, and passed in arguments and values. A group lives
/// until [`remove_placement_group`](crate::remove_placement_group) or the shutdown, whether or not there are handles.
///
/// ```
/// # extern crate ray_core as ray;
/// use ray::Bundle;
/// ray::init_with(ray::Config::new().num_cpus(2))?;
/// let group = ray::placement_group([Bundle::new().num_cpus(1), Bundle::new().num_cpus(1)]).create()?;
/// ray::get(group.ready())?;
/// let answer = ray::task(|| 42).scheduling_strategy(group.bundle(1)).remote();
/// assert_eq!(ray::get(answer)?, 42);
/// ray::remove_placement_group(&group)?;
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone)]
pub struct PlacementGroup {
    id: PlacementGroupId,
    pub(crate) epoch: u32,
    bundles: Arc<[Resources]>,
}

impl PlacementGroup {
    pub(crate) fn new(id: PlacementGroupId, epoch: u32, bundles: Arc<[Resources]>) -> Self {
        Self { id, epoch, bundles }
    }

    /// The id of the group.
    #[must_use]
    pub fn id(&self) -> PlacementGroupId {
        self.id
    }

    /// The resources of each bundle, also after the group was removed.
    ///
    /// ```
    /// # extern crate ray_core as ray;
    /// ray::init_with(ray::Config::new().num_cpus(3))?;
    /// let group = ray::placement_group([[("CPU", 1)], [("CPU", 2)]]).create()?;
    /// let cpus: Vec<f64> = group.bundle_specs().iter().map(|bundle| bundle.num_cpus()).collect();
    /// assert_eq!((cpus, group.bundle_count()), (vec![1.0, 2.0], 2));
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn bundle_specs(&self) -> &[Resources] {
        &self.bundles
    }

    /// The number of bundles.
    #[must_use]
    pub fn bundle_count(&self) -> usize {
        self.bundles.len()
    }

    pub(crate) fn shared_bundles(&self) -> &Arc<[Resources]> {
        &self.bundles
    }

    /// Checks that a bundle, or any of them, has the resources. `who` is the subject of the error.
    ///
    /// # Errors
    /// `InvalidArgument`: there is no such bundle. `Infeasible`: the demand fits no bundle.
    pub(crate) fn check(&self, index: Option<usize>, demand: &Resources, who: &dyn fmt::Display) -> Result<()> {
        let covers = |bundle: &Resources| bundle.check_covers(demand, who).is_ok();
        let Some(index) = index else {
            if self.bundles.iter().any(covers) {
                return Ok(());
            }
            let what = format!(
                "{who} asks for {demand}, and no bundle of {self:?} has so much: ask for less (a task asks for 1 CPU unless `num_cpus` says otherwise), or make the bundles larger"
            );
            return Err(Error::new(ErrorKind::Infeasible, what));
        };
        let Some(bundle) = self.bundles.get(index) else {
            let what = format!(
                "{who} asks for bundle {index} of {self:?}, whose bundles have the numbers 0 to {}",
                self.bundles.len() - 1
            );
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        };
        if covers(bundle) {
            return Ok(());
        }
        let what = format!(
            "{who} asks for {demand}, and bundle {index} of {self:?} has {bundle}: ask for less (a task asks for 1 CPU unless `num_cpus` says otherwise), or make the bundle larger"
        );
        Err(Error::new(ErrorKind::Infeasible, what))
    }
}

impl PartialEq for PlacementGroup {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for PlacementGroup {}

impl Hash for PlacementGroup {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl fmt::Debug for PlacementGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlacementGroup({}, {:?})", self.id, self.bundles)
    }
}

/// The handle as bytes.
#[derive(Serialize, Deserialize)]
struct Wire {
    id: u64,
    epoch: u32,
    bundles: Vec<WireBundle>,
}

/// A bundle as bytes. All amounts but the memory are in units.
#[derive(Serialize, Deserialize)]
struct WireBundle {
    cpu: u64,
    gpu: u64,
    memory: u64,
    custom: Vec<(String, u64)>,
}

impl Serialize for PlacementGroup {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let bundles = self.bundles.iter().map(|bundle| WireBundle {
            cpu: bundle.cpu,
            gpu: bundle.gpu,
            memory: bundle.memory,
            custom: bundle.custom().iter().map(|(name, units)| (name.to_string(), *units)).collect(),
        });
        Wire { id: self.id.raw(), epoch: self.epoch, bundles: bundles.collect() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PlacementGroup {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let Wire { id, epoch, bundles } = Wire::deserialize(deserializer)?;
        let bundles = bundles.into_iter().map(|WireBundle { cpu, gpu, memory, custom }| {
            Resources::new(cpu, gpu, memory, custom.into_iter().map(|(name, units)| (Cow::Owned(name), units)))
        });
        Ok(Self::new(PlacementGroupId::from_raw(id), epoch, bundles.collect()))
    }
}

/// How the bundles of a group are placed on nodes. The embedded engine has one node, on which every strategy but `StrictSpread` places
/// all bundles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PlacementStrategy {
    /// On as few nodes as possible.
    #[default]
    Pack,
    /// On as many nodes as possible.
    Spread,
    /// On one node.
    StrictPack,
    /// Each bundle on a node of its own. With one node, a group of several bundles is `Infeasible`.
    StrictSpread,
}

/// A placement group that is to be made.
#[derive(Clone, Debug)]
pub(crate) struct PlacementGroupSpec {
    pub(crate) bundles: Arc<[Resources]>,
    /// The sum of the bundles.
    pub(crate) total: Resources,
    pub(crate) strategy: PlacementStrategy,
    pub(crate) name: Option<String>,
}

impl PlacementGroupSpec {
    /// # Errors
    /// `InvalidArgument`: there is no bundle, a bundle is invalid, the name is empty. `Infeasible`: one node cannot have the bundles.
    pub(crate) fn new(bundles: Vec<Bundle>, strategy: PlacementStrategy, name: Option<String>) -> Result<Self> {
        let wrong = |what: String| Err(Error::new(ErrorKind::InvalidArgument, what));
        if name.as_deref() == Some("") {
            return wrong("a placement group's name must not be empty".to_owned());
        }
        if bundles.is_empty() {
            return wrong(
                "a placement group needs at least one bundle, as in `ray::placement_group([Bundle::new().num_cpus(1)])`"
                    .to_owned(),
            );
        }
        if strategy == PlacementStrategy::StrictSpread && bundles.len() > 1 {
            let what = format!(
                "PlacementStrategy::StrictSpread asks for a node for each of {} bundles, and the embedded engine has one node: use `Spread` or `Pack`, or a group of one bundle",
                bundles.len()
            );
            return Err(Error::new(ErrorKind::Infeasible, what));
        }
        let bundles: Arc<[Resources]> = bundles.into_iter().map(Bundle::resolve).collect::<Result<_>>()?;
        match Resources::sum(bundles.iter()) {
            Some(total) => Ok(Self { bundles, total, strategy, name }),
            None => wrong("the bundles of a placement group have too large amounts in total".to_owned()),
        }
    }
}

/// The resources of one bundle of a placement group. An array or a `Vec` of names and amounts is one, too, with Ray's names.
///
/// ```
/// # extern crate ray_core as ray;
/// use ray::Bundle;
/// ray::init_with(ray::Config::new().num_cpus(2).num_gpus(1).resource("licence", 1))?;
/// let bundle = Bundle::new().num_cpus(1).num_gpus(0.5).resource("licence", 1);
/// let group = ray::placement_group([bundle, [("CPU", 1)].into()]).create()?;
/// assert_eq!(group.bundle_specs()[0].to_string(), "{CPU: 1, GPU: 0.5, licence: 1}");
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Bundle {
    resources: ResourceOverrides,
    error: Option<Error>,
}

impl Bundle {
    /// A bundle without resources, which is refused until it has one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of CPUs.
    pub fn num_cpus(mut self, cpus: impl Amount) -> Self {
        let outcome = self.resources.num_cpus(cpus.amount());
        self.remember(outcome)
    }

    /// Sets the number of GPUs: a whole number, or a fraction below 1.
    pub fn num_gpus(mut self, gpus: impl Amount) -> Self {
        let outcome = self.resources.num_gpus(gpus.amount());
        self.remember(outcome)
    }

    /// Sets the memory, in bytes.
    pub fn memory(mut self, bytes: u64) -> Self {
        self.resources.memory(bytes);
        self
    }

    /// Sets the amount of a custom resource.
    pub fn resource(mut self, name: impl Into<Cow<'static, str>>, amount: impl Amount) -> Self {
        let outcome = self.resources.resource(name, amount.amount());
        self.remember(outcome)
    }

    /// Sets the resource that Ray calls `name`.
    fn named(self, name: String, amount: f64) -> Self {
        match &*name {
            "CPU" => self.num_cpus(amount),
            "GPU" => self.num_gpus(amount),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is a whole number in range")]
            "memory" if amount >= 0.0 && amount.fract() == 0.0 && amount <= 1e15 => self.memory(amount as u64),
            "memory" => {
                let what = format!("memory: {amount}: the memory of a bundle is a number of bytes from 0 to 1e15");
                self.remember(Err(Error::new(ErrorKind::InvalidArgument, what)))
            }
            _ => self.resource(name, amount),
        }
    }

    fn remember(mut self, outcome: Result<()>) -> Self {
        if let (None, Err(error)) = (&self.error, outcome) {
            self.error = Some(error);
        }
        self
    }

    /// The resources.
    ///
    /// # Errors
    /// `InvalidArgument`: an amount is invalid, or the bundle has no resources.
    pub(crate) fn resolve(self) -> Result<Resources> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let resources = self.resources.over(Resources::NONE);
        if resources.is_none() {
            let what = "a bundle of a placement group has no resources, or only amounts of 0: give it some, as in `Bundle::new().num_cpus(1)`";
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        Ok(resources)
    }
}

impl<N: Into<String>, A: Amount, const COUNT: usize> From<[(N, A); COUNT]> for Bundle {
    fn from(resources: [(N, A); COUNT]) -> Self {
        resources.into_iter().fold(Bundle::new(), |bundle, (name, amount)| bundle.named(name.into(), amount.amount()))
    }
}

impl<N: Into<String>, A: Amount> From<Vec<(N, A)>> for Bundle {
    fn from(resources: Vec<(N, A)>) -> Self {
        resources.into_iter().fold(Bundle::new(), |bundle, (name, amount)| bundle.named(name.into(), amount.amount()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::resources::UNITS;

    #[test]
    fn a_handle_survives_encoding() {
        let bundles = [Resources::new(UNITS, UNITS / 2, 7, [("disk".into(), 3)]), Resources::ONE_CPU];
        let group = PlacementGroup::new(PlacementGroupId::from_raw(5), 2, bundles.into());
        let bytes = crate::base::value::encode(&group).unwrap();
        let again: PlacementGroup = crate::base::value::decode(&bytes).unwrap();
        assert_eq!((again.clone(), again.epoch, again.bundle_specs()), (group.clone(), 2, group.bundle_specs()));
    }

    #[test]
    fn bundles_without_valid_resources_are_refused() {
        let wrong = [
            Bundle::new(),
            Bundle::new().num_cpus(0),
            Bundle::new().num_cpus(-1),
            Bundle::new().num_gpus(1.5),
            [("memory", -1)].into(),
            [("", 1)].into(),
            [("disk", f64::NAN)].into(),
        ];
        for bundle in wrong {
            let text = format!("{bundle:?}");
            assert!(bundle.resolve().unwrap_err().is_invalid_argument(), "{text}");
        }
        let bundle = Bundle::from(vec![("CPU", 2.0), ("GPU", 0.5), ("memory", 1e3), ("disk", 1.0)]);
        assert_eq!(bundle.resolve().unwrap().to_string(), "{CPU: 2, GPU: 0.5, memory: 1000, disk: 1}");
    }

    #[test]
    fn a_demand_must_fit_one_bundle() {
        let bundles = [Resources::ONE_CPU, Resources::of_cpu(2 * UNITS)];
        let group = PlacementGroup::new(PlacementGroupId::from_raw(5), 2, bundles.into());
        assert!(group.check(None, &Resources::of_cpu(2 * UNITS), &"`f`").is_ok());
        assert!(group.check(None, &Resources::of_cpu(3 * UNITS), &"`f`").unwrap_err().is_infeasible());
        assert!(group.check(Some(0), &Resources::ONE_CPU, &"`f`").is_ok());
        assert!(group.check(Some(0), &Resources::of_cpu(2 * UNITS), &"`f`").unwrap_err().is_infeasible());
        assert!(group.check(Some(2), &Resources::NONE, &"`f`").unwrap_err().is_invalid_argument());
    }
}
