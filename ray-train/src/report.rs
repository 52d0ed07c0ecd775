//! Reports of a group.

use std::time::SystemTime;

use crate::{Checkpoint, Metrics};

/// A report of all ranks of a group: metrics, and optionally a checkpoint.
///
/// ```
/// # use ray_train::{Metrics, RunConfig, TrainContext, Trainer};
/// let train = |ctx: &TrainContext| ctx.report(Metrics::new().with("loss", 0.5), None);
/// let result = Trainer::new(train).run_config(RunConfig::temporary("doc-report")?).fit()?;
/// let report = &result.history()[0];
/// assert_eq!((report.number(), report.metrics().number("loss")), (1, Some(0.5)));
/// assert!(report.checkpoint().is_none());
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Report {
    pub(crate) number: u64,
    pub(crate) time: jiff::Timestamp,
    pub(crate) metrics: Metrics,
    pub(crate) checkpoint: Option<Checkpoint>,
}

impl Report {
    /// The number of the report in the run, from 1. The count continues over restarts and resumes. Reports after the last checkpoint are
    /// dropped at a restart, and their numbers are used again.
    ///
    /// ```
    /// # fn show(report: &ray_train::Report) {
    /// println!("report {}", report.number());
    /// # }
    /// ```
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The metrics of rank 0, or the means over all ranks.
    ///
    /// ```
    /// # fn show(report: &ray_train::Report) {
    /// println!("{}", report.metrics());
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The checkpoint, if the report has one and it is still kept.
    ///
    /// ```
    /// # fn show(report: &ray_train::Report) {
    /// if let Some(checkpoint) = report.checkpoint() {
    ///     println!("in {}", checkpoint.path().display());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoint.as_ref()
    }

    /// The time of the report.
    ///
    /// ```
    /// # fn show(report: &ray_train::Report) {
    /// println!("{:?} ago", report.time().elapsed());
    /// # }
    /// ```
    #[must_use]
    pub fn time(&self) -> SystemTime {
        SystemTime::try_from(self.time).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}
