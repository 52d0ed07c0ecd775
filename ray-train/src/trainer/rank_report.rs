//! The report of one rank, and its answer.

use crate::{Checkpoint, Metrics};

/// The report of one rank.
#[derive(Debug)]
pub(crate) struct RankReport {
    pub(crate) metrics: Metrics,
    pub(crate) checkpoint: Option<Checkpoint>,
    /// Whether the rank called `report_mean`.
    pub(crate) mean: bool,
    /// The state of the rank's generator.
    pub(crate) generator: u64,
}

/// The answer to a report: the run's last checkpoint after it.
pub(crate) type ReportAnswer = ray::Result<Option<Checkpoint>>;
