//! What a program chooses about the node on which it runs.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::base::config::Config;

/// What a program chooses about the node on which it runs.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Node {
    pub num_cpus: Option<usize>,
    pub num_gpus: Option<usize>,
    pub memory: Option<u64>,
    pub resources: Vec<(Cow<'static, str>, f64)>,
    pub labels: BTreeMap<String, String>,
}

impl Node {
    /// The function of [`Config`] that has chosen something; none: nothing is chosen.
    #[must_use]
    pub fn chosen(&self) -> Option<&'static str> {
        let chosen = [
            ("num_cpus", self.num_cpus.is_some()),
            ("num_gpus", self.num_gpus.is_some()),
            ("memory", self.memory.is_some()),
            ("resource", !self.resources.is_empty()),
            ("label", !self.labels.is_empty()),
        ];
        chosen.into_iter().find(|(_, is_set)| *is_set).map(|(name, _)| name)
    }
}

impl Config {
    /// Removes what the program chooses about the node on which it runs, and returns it.
    #[doc(hidden)]
    pub fn take_node(&mut self) -> Node {
        Node {
            num_cpus: self.num_cpus.take().map(|cpus| cpus as usize),
            num_gpus: self.num_gpus.take().map(|gpus| gpus as usize),
            memory: self.memory.take(),
            resources: std::mem::take(&mut self.resources),
            labels: std::mem::take(&mut self.labels),
        }
    }
}
