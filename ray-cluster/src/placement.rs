//! The options that say where work runs, as the Python package reads them.

use std::collections::BTreeMap;

use ray_core::__private::executor::RemotePlacement;
use ray_core::{LabelMatch, RuntimeEnv, SchedulingStrategy};
use serde::{Serialize, Serializer};

/// Where a task or an actor runs, under the names that Ray has for the options.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Placement {
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduling_strategy: Option<Strategy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label_selector: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fallback_strategy: Vec<Fallback>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_env: Option<Environment>,
}

/// A strategy: a text is one of Ray's own names.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
enum Strategy {
    Named(&'static str),
    Node { node_id: String, soft: bool },
    Labels { hard: BTreeMap<String, LabelMatch>, soft: BTreeMap<String, LabelMatch> },
}

#[derive(Clone, Debug, Serialize)]
struct Fallback {
    label_selector: BTreeMap<String, String>,
}

/// An environment. The fields are values of any kind, which this side has as MessagePack.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Environment {
    env_vars: BTreeMap<String, String>,
    fields: BTreeMap<String, Packed>,
}

#[derive(Clone, Debug)]
struct Packed(Vec<u8>);

impl Serialize for Packed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl Environment {
    pub(crate) fn of(environment: &RuntimeEnv) -> Self {
        let fields = environment.fields().iter().map(|(name, value)| (name.clone(), Packed(value.clone())));
        Self { env_vars: environment.env_vars().clone(), fields: fields.collect() }
    }

    /// Adds environment variables.
    pub(crate) fn with(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.env_vars.extend(variables);
        self
    }
}

impl Placement {
    pub(crate) fn of(placement: RemotePlacement<'_>) -> Self {
        Self {
            scheduling_strategy: placement.strategy().map(Strategy::of),
            label_selector: placement.label_selector().cloned(),
            fallback_strategy: placement.fallback().map(|labels| Fallback { label_selector: labels.clone() }).collect(),
            runtime_env: placement.runtime_env().map(Environment::of),
        }
    }
}

impl Strategy {
    fn of(strategy: &SchedulingStrategy) -> Self {
        match strategy {
            SchedulingStrategy::Spread => Strategy::Named("SPREAD"),
            SchedulingStrategy::NodeAffinity { node_id, soft } => Strategy::Node { node_id: node_id.to_string(), soft: *soft },
            SchedulingStrategy::NodeLabel { hard, soft } => Strategy::Labels { hard: hard.clone(), soft: soft.clone() },
            _ => Strategy::Named("DEFAULT"),
        }
    }
}
