//! Records the reports of a run: in its directory, and through its callbacks.

use super::interrupt::InterruptGuard;
use super::rank_report::{RankReport, ReportAnswer};
use crate::config::RunConfig;
use crate::error::{Interrupted, failed};
use crate::run_directory::{CommitError, RunDirectory};
use crate::{Checkpoint, Metrics};

/// The run on the disk, its configuration, and the guard that tells whether it should stop. The driver thread of the group owns it, or
/// the thread that runs the loop in place.
pub(crate) struct RunRecorder {
    pub(crate) config: RunConfig,
    pub(crate) directory: RunDirectory,
    pub(crate) interrupt: InterruptGuard,
}

impl RunRecorder {
    /// Records the reports of all ranks, in the order of the ranks, as one report. Returns the run's last checkpoint after it.
    ///
    /// # Errors
    /// The reason why the report cannot be recorded, and the ranks whose checkpoints are the cause.
    pub(crate) fn record(&mut self, mut reports: Vec<RankReport>) -> Result<Option<Checkpoint>, CommitError> {
        let metrics = combined_metrics(&reports)?;
        let checkpoints: Vec<(usize, Checkpoint)> = reports
            .iter_mut()
            .enumerate()
            .filter_map(|(rank, report)| report.checkpoint.take().map(|checkpoint| (rank, checkpoint)))
            .collect();
        let generators = reports.iter().map(|report| report.generator).collect();
        let report = self.directory.commit(metrics, &checkpoints, generators)?;
        self.config.callbacks().iter().for_each(|callback| callback(&report));
        Ok(self.directory.latest())
    }

    /// Records the report of the only rank of a run in place, unless the run should stop.
    pub(crate) fn record_in_place(&mut self, report: RankReport) -> ReportAnswer {
        self.check_stop()?;
        self.record(vec![report]).map_err(|failure| failure.error)
    }

    /// The error of a run that was stopped, by Ctrl-C or by a cancel of its caller.
    pub(crate) fn stopped(&self) -> ray::Error {
        let run = self.config.name();
        if let (false, Some(caller)) = (self.interrupt.is_signalled(), self.interrupt.caller().describe()) {
            return failed(format!("the run `{run}` was stopped, because {caller}, which called `fit`, was cancelled or killed"));
        }
        ray::Error::other(Interrupted { run: run.to_owned(), checkpoint: self.directory.latest() })
    }

    /// # Errors
    /// The run should stop.
    pub(crate) fn check_stop(&self) -> ray::Result<()> {
        if self.interrupt.should_stop() { Err(self.stopped()) } else { Ok(()) }
    }
}

/// The metrics of a report: the means of all ranks if the ranks called `report_mean`, otherwise those of rank 0.
fn combined_metrics(reports: &[RankReport]) -> ray::Result<Metrics> {
    let (averaging, plain): (Vec<usize>, Vec<usize>) = (0..reports.len()).partition(|rank| reports[*rank].mean);
    match (averaging.first(), plain.first()) {
        (Some(averaging), Some(plain)) => Err(failed(format!(
            "rank {averaging} called report_mean and rank {plain} called report: all ranks must call the same function"
        ))),
        (Some(_), None) => {
            let metrics: Vec<Metrics> = reports.iter().map(|report| report.metrics.clone()).collect();
            Metrics::mean(&metrics)
        }
        (None, _) => Ok(reports.first().map(|report| report.metrics.clone()).unwrap_or_default()),
    }
}
