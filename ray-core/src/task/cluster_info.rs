//! What an executor tells of its cluster and of the nodes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The cluster that a process is a part of, as Ray describes it. An id is the text that Ray's own tools print.
///
/// ```
/// # extern crate ray_core as ray;
/// match ray::init()?.cluster() {
///     Some(cluster) => println!("node {} of the cluster {}", cluster.node_id, cluster.address),
///     None => println!("in one process"),
/// }
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ClusterInfo {
    /// The address of the head, as `host:port`.
    pub address: String,
    /// The version of Ray.
    pub ray_version: String,
    /// The version of the Python beside this process.
    pub python_version: String,
    /// The address of the dashboard, as `host:port`; empty if there is none.
    pub dashboard_url: String,
    /// The folder of the cluster's logs on this node.
    pub session_dir: String,
    /// The id of the job: one run of a driver.
    pub job_id: String,
    /// The id of this node.
    pub node_id: String,
    /// The id of this worker; empty in a driver.
    pub worker_id: String,
}

/// A node of a cluster.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RemoteNode {
    /// The id, as Ray's own tools print it.
    pub id: String,
    /// Whether the node takes work.
    pub alive: bool,
    /// The address of the node.
    pub address: String,
    /// The labels of the node.
    pub labels: BTreeMap<String, String>,
    /// The resources of the node, free or not.
    pub resources: BTreeMap<String, f64>,
}
