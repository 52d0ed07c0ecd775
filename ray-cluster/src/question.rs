//! Questions about the cluster and its actors, and their answers.

use serde::{Deserialize, Serialize};

/// A question about the cluster.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Question<'a> {
    pub(crate) ask: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<&'a str>,
}

/// A question that has no further fields.
pub(crate) fn question(what: &str) -> Question<'_> {
    Question { ask: what, ..Question::default() }
}

/// An actor, as the Python package answers.
#[derive(Debug, Deserialize)]
pub(crate) struct Found {
    pub(crate) actor: u64,
    pub(crate) class: String,
}
