//! On which node a task or an actor runs, and in which environment.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::id::NodeId;
use crate::base::inherited;
use crate::base::labels::{self, ATTRIBUTE_LABELS, INVALID_KEY, INVALID_SELECTOR, LabelMatch, Labels, Selector};
use crate::base::placement_group::PlacementGroup;
use crate::base::runtime_env::RuntimeEnv;

/// How Ray chooses the node of a task or an actor.
/// [Ray's page](https://docs.ray.io/en/latest/ray-core/scheduling/index.html#scheduling-strategies).
///
/// The embedded engine has one node, which every strategy accepts that names no other node and no label that this node lacks.
///
/// ```
/// # extern crate ray_core as ray;
/// use ray::SchedulingStrategy;
/// ray::init_with(ray::Config::new().label("region", "us"))?;
/// let here = ray::nodes()?[0].id;
/// let strategy = SchedulingStrategy::NodeAffinity { node_id: here, soft: false };
/// let answer = ray::task(|| 42).scheduling_strategy(strategy).remote();
/// assert_eq!(ray::get(answer)?, 42);
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchedulingStrategy {
    /// Nodes in use first, as long as they are not half full; the others then.
    #[default]
    Default,
    /// As evenly over the nodes as possible.
    Spread,
    /// The node of this id.
    NodeAffinity {
        /// The node, as in [`Node::id`](crate::Node::id).
        node_id: NodeId,
        /// Whether another node may be chosen if the node does not exist, or does not have the resources.
        soft: bool,
    },
    /// A node whose labels meet conditions. The option `label_selector` is the simpler way.
    NodeLabel {
        /// The conditions that the node must meet.
        hard: BTreeMap<String, LabelMatch>,
        /// The conditions that nodes are preferred for.
        soft: BTreeMap<String, LabelMatch>,
    },
    /// A bundle of a placement group. The resources come out of the bundle. `scheduling_strategy` also takes a group itself, which
    /// means any bundle, and [`PlacementGroup::bundle`] makes the strategy of one bundle.
    /// [Ray's page](https://docs.ray.io/en/latest/ray-core/scheduling/placement-group.html).
    PlacementGroup {
        /// The group.
        placement_group: PlacementGroup,
        /// The number of the bundle, counted from 0; none: any bundle that has the resources.
        bundle_index: Option<usize>,
        /// Whether the calls and the actors that the body makes run in the group too, in any bundle, unless they have a strategy of
        /// their own. The calls and the actors that their bodies make do so, too.
        capture_child_tasks: bool,
    },
}

impl PlacementGroup {
    /// The strategy of a task or an actor that runs in this bundle, counted from 0. It does not capture the calls of its body.
    #[must_use]
    pub fn bundle(&self, index: usize) -> SchedulingStrategy {
        SchedulingStrategy::PlacementGroup {
            placement_group: self.clone(),
            bundle_index: Some(index),
            capture_child_tasks: false,
        }
    }
}

/// Any bundle of the group. The strategy does not capture the calls of the body.
impl From<&PlacementGroup> for SchedulingStrategy {
    fn from(group: &PlacementGroup) -> Self {
        SchedulingStrategy::PlacementGroup { placement_group: group.clone(), bundle_index: None, capture_child_tasks: false }
    }
}

/// Any bundle of the group. The strategy does not capture the calls of the body.
impl From<PlacementGroup> for SchedulingStrategy {
    fn from(group: PlacementGroup) -> Self {
        Self::from(&group)
    }
}

/// The place in a placement group that a strategy names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InGroup<'a> {
    pub(crate) group: &'a PlacementGroup,
    /// None: any bundle.
    pub(crate) bundle: Option<usize>,
    pub(crate) captures: bool,
}

/// How long an actor lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// Until its last handle is dropped, and not longer than its creator's job.
    #[default]
    NonDetached,
    /// Until [`kill`](crate::kill). On a cluster it outlives the program: another one finds it with
    /// [`get_actor`](crate::get_actor), so give it a name. In the embedded engine it lives until [`shutdown`](crate::shutdown).
    Detached,
}

/// The placement of an attribute, as a constant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttributePlacement {
    pub(crate) spread: Option<bool>,
    pub(crate) accelerator_type: Option<&'static str>,
    pub(crate) runtime_env: Option<fn() -> RuntimeEnv>,
    labels: [(&'static str, &'static str); ATTRIBUTE_LABELS],
    len: usize,
}

impl AttributePlacement {
    pub(crate) const fn new() -> Self {
        Self { spread: None, accelerator_type: None, runtime_env: None, labels: [("", ""); ATTRIBUTE_LABELS], len: 0 }
    }

    pub(crate) const fn is_silent(&self) -> bool {
        self.spread.is_none() && self.accelerator_type.is_none() && self.runtime_env.is_none() && self.len == 0
    }

    #[track_caller]
    pub(crate) const fn label(mut self, key: &'static str, value: &'static str) -> Self {
        assert!(labels::is_key(key), "{}", INVALID_KEY);
        assert!(labels::is_selector(value), "{}", INVALID_SELECTOR);
        assert!(self.len < ATTRIBUTE_LABELS, "an attribute selects by at most 8 labels; give the others by `.options()`");
        self.labels[self.len] = (key, value);
        self.len += 1;
        self
    }

    fn placement(&self) -> Placement {
        let strategy = |spread| if spread { SchedulingStrategy::Spread } else { SchedulingStrategy::Default };
        let labels = &self.labels[..self.len];
        Placement {
            strategy: self.spread.map(strategy),
            selector: (!labels.is_empty()).then(|| {
                Selector::new(labels.iter().copied()).expect("the attribute's labels were checked when it was compiled")
            }),
            fallback: Vec::new(),
            runtime_env: self.runtime_env.map(|make| make()),
        }
    }
}

/// The options of one call or creation that say where it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placement {
    pub(crate) strategy: Option<SchedulingStrategy>,
    pub(crate) selector: Option<Selector>,
    /// The selectors to try, in this order, if no node meets the first one.
    pub(crate) fallback: Vec<Selector>,
    pub(crate) runtime_env: Option<RuntimeEnv>,
}

impl Placement {
    /// The options over those of the attribute; none: neither says anything.
    ///
    /// # Errors
    /// `InvalidArgument`: the environment has a field that cannot be sent.
    pub(crate) fn over(mine: Option<Box<Self>>, attribute: &AttributePlacement) -> Result<Option<Arc<Self>>> {
        if mine.is_none() && attribute.is_silent() {
            return Ok(None);
        }
        if mine.as_ref().and_then(|mine| mine.in_group()).is_some_and(|place| place.captures) {
            inherited::begin(inherited::PLACEMENT_GROUP);
        }
        let base = attribute.placement();
        let merged = match mine {
            None => base,
            Some(mine) => Placement {
                strategy: mine.strategy.or(base.strategy),
                selector: mine.selector.or(base.selector),
                fallback: mine.fallback,
                runtime_env: mine.runtime_env.or(base.runtime_env),
            },
        };
        match merged.runtime_env.as_ref().and_then(|environment| environment.error.as_ref()) {
            Some(why) => Err(Error::new(ErrorKind::InvalidArgument, format!("runtime_env: {why}"))),
            None => Ok(Some(Arc::new(merged))),
        }
    }

    /// The place in a placement group.
    pub(crate) fn in_group(&self) -> Option<InGroup<'_>> {
        match &self.strategy {
            Some(SchedulingStrategy::PlacementGroup { placement_group, bundle_index, capture_child_tasks }) => {
                Some(InGroup { group: placement_group, bundle: *bundle_index, captures: *capture_child_tasks })
            }
            _ => None,
        }
    }

    /// The placement of a call that a body in this group makes, if the group captures it: any bundle of the group.
    pub(crate) fn captured(&self, own: Option<&Placement>) -> Option<Arc<Placement>> {
        let InGroup { group, captures: true, .. } = self.in_group()? else { return None };
        if own.is_some_and(|own| own.strategy.is_some()) {
            return None;
        }
        let strategy =
            SchedulingStrategy::PlacementGroup { placement_group: group.clone(), bundle_index: None, capture_child_tasks: true };
        Some(Arc::new(Placement { strategy: Some(strategy), ..own.cloned().unwrap_or_default() }))
    }

    /// Checks that the one node of the embedded engine is a right place. `who` is the subject of the error.
    ///
    /// # Errors
    /// `Infeasible`; `InvalidArgument`: the embedded engine cannot do it.
    pub(crate) fn check(&self, node: NodeId, labels: &Labels, who: &dyn fmt::Display) -> Result<()> {
        if self.runtime_env.is_some() {
            return Err(Error::new(
                ErrorKind::InvalidArgument,
                format!(
                    "{who} has a runtime_env, and the embedded engine runs all bodies in this process: pass the values as arguments, or run on a cluster (RAY_ADDRESS=local starts one on this machine)"
                ),
            ));
        }
        let infeasible = |what: String| Err(Error::new(ErrorKind::Infeasible, what));
        match &self.strategy {
            Some(SchedulingStrategy::NodeAffinity { node_id, soft: false }) if *node_id != node => {
                return infeasible(format!(
                    "{who} must run on node {node_id}, which does not exist: the only node is {node}; take an id of `ray::nodes()`, or set `soft`"
                ));
            }
            Some(SchedulingStrategy::NodeLabel { hard, .. }) => {
                if let Some((key, condition)) = labels::unmet(hard, labels) {
                    return infeasible(format!(
                        "{who} needs a node whose label `{key}` meets {condition:?}, and the only node has the labels {}: {SET_LABEL}",
                        labels::text(labels)
                    ));
                }
            }
            _ => {}
        }
        let Some(selector) = &self.selector else { return Ok(()) };
        if selector.allows(labels) || self.fallback.iter().any(|other| other.allows(labels)) {
            return Ok(());
        }
        infeasible(format!(
            "{who} needs a node with the labels {selector}, and the only node has {}: {SET_LABEL}",
            labels::text(labels)
        ))
    }
}

const SET_LABEL: &str = "give it the label with `Config::label`";

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeId {
        NodeId::of_process()
    }

    fn with_strategy(strategy: SchedulingStrategy) -> Placement {
        Placement { strategy: Some(strategy), ..Placement::default() }
    }

    fn checked(placement: &Placement, labels: &[(&str, &str)]) -> Result<()> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        placement.check(node(), &labels, &"`f`")
    }

    #[test]
    fn one_node_satisfies_what_names_no_other() {
        let other: NodeId = "ab".repeat(28).parse().unwrap();
        let soft = [("gpu".to_owned(), LabelMatch::Exists)].into();
        for strategy in [
            SchedulingStrategy::Default,
            SchedulingStrategy::Spread,
            SchedulingStrategy::NodeAffinity { node_id: node(), soft: false },
            SchedulingStrategy::NodeAffinity { node_id: other, soft: true },
            SchedulingStrategy::NodeLabel { hard: BTreeMap::new(), soft },
        ] {
            assert!(checked(&with_strategy(strategy.clone()), &[]).is_ok(), "{strategy:?}");
        }
        let error = checked(&with_strategy(SchedulingStrategy::NodeAffinity { node_id: other, soft: false }), &[]).unwrap_err();
        assert!(error.is_infeasible() && error.to_string().contains(&other.to_string()), "{error}");
        let hard = [("gpu".to_owned(), LabelMatch::Exists)].into();
        let error = checked(&with_strategy(SchedulingStrategy::NodeLabel { hard, soft: BTreeMap::new() }), &[]).unwrap_err();
        assert!(error.is_infeasible() && error.to_string().contains("Config::label"), "{error}");
    }

    #[test]
    fn a_selector_falls_back() {
        let selector = |value: &str| Selector::new([("region", value)]).unwrap();
        let mut placement = Placement { selector: Some(selector("us")), ..Placement::default() };
        assert!(checked(&placement, &[("region", "us")]).is_ok());
        assert!(checked(&placement, &[("region", "eu")]).unwrap_err().is_infeasible());
        placement.fallback = vec![selector("asia"), selector("eu")];
        assert!(checked(&placement, &[("region", "eu")]).is_ok());
    }

    #[test]
    fn options_are_over_those_of_the_attribute() {
        const NOTHING: AttributePlacement = AttributePlacement::new();
        const ATTRIBUTE: AttributePlacement = AttributePlacement { spread: Some(true), ..NOTHING.label("region", "us") };
        assert!(Placement::over(None, &NOTHING).unwrap().is_none());
        let merged = Placement::over(None, &ATTRIBUTE).unwrap().unwrap();
        assert_eq!(merged.strategy, Some(SchedulingStrategy::Spread));
        assert_eq!(merged.selector.as_ref().unwrap().to_string(), "{region=us}");
        let mine = with_strategy(SchedulingStrategy::Default);
        let merged = Placement::over(Some(Box::new(mine)), &ATTRIBUTE).unwrap().unwrap();
        assert_eq!(merged.strategy, Some(SchedulingStrategy::Default));
        assert!(merged.selector.is_some());
    }

    #[test]
    fn an_environment_needs_a_cluster() {
        let placement = Placement { runtime_env: Some(RuntimeEnv::new()), ..Placement::default() };
        let error = checked(&placement, &[]).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("RAY_ADDRESS=local"), "{error}");
        let wrong = Placement { runtime_env: Some(RuntimeEnv::new().field("py_modules", &1)), ..Placement::default() };
        let error = Placement::over(Some(Box::new(wrong)), &AttributePlacement::new()).unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("py_modules"), "{error}");
    }
}
