//! What becomes of the reports of a group: its directory, its callback, and whether it was interrupted.

use super::door::{Answer, RankReport};
use crate::config::RunConfig;
use crate::faults::{Interrupted, failed};
use crate::run_directory::{NotKept, RunDirectory};
use crate::{Checkpoint, Metrics};

use super::interrupt::Watch;

/// The thread that called `fit`, as far as reports are concerned.
pub(crate) struct Keeper {
    pub(crate) config: RunConfig,
    pub(crate) directory: RunDirectory,
    pub(crate) watch: Watch,
}

impl Keeper {
    /// Takes the reports of all ranks, in their order; the run's last checkpoint then.
    ///
    /// # Errors
    /// The reason why the report cannot be kept, and the ranks whose checkpoint it is.
    pub(crate) fn keep(&mut self, mut reports: Vec<RankReport>) -> Result<Option<Checkpoint>, NotKept> {
        let metrics = metrics(&reports)?;
        let given: Vec<(usize, Checkpoint)> = reports
            .iter_mut()
            .enumerate()
            .filter_map(|(rank, report)| report.checkpoint.take().map(|checkpoint| (rank, checkpoint)))
            .collect();
        let report = self.directory.commit(metrics, &given, reports.iter().map(|report| report.generator).collect())?;
        self.config.callbacks().iter().for_each(|callback| callback(&report));
        Ok(self.directory.latest())
    }

    /// Takes the report of the one rank, on whose thread this is.
    pub(crate) fn keep_own(&mut self, report: RankReport) -> Answer {
        self.check_interrupt()?;
        self.keep(vec![report]).map_err(|not_kept| not_kept.error)
    }

    /// The error of a run that was stopped.
    pub(crate) fn interrupted(&self) -> ray::Error {
        if let (false, Some(caller)) = (self.watch.is_pressed(), self.watch.caller().title()) {
            let run = self.config.name();
            return failed(format!("the run `{run}` has ended, because {caller}, which called `fit`, was cancelled or killed"));
        }
        ray::Error::other(Interrupted { run: self.config.name().to_owned(), checkpoint: self.directory.latest() })
    }

    pub(crate) fn check_interrupt(&self) -> ray::Result<()> {
        if self.watch.is_raised() { Err(self.interrupted()) } else { Ok(()) }
    }
}

fn metrics(reports: &[RankReport]) -> ray::Result<Metrics> {
    let asked: Vec<usize> = reports.iter().enumerate().filter(|(_, report)| report.mean).map(|(rank, _)| rank).collect();
    if asked.is_empty() {
        return Ok(reports.first().map(|report| report.metrics.clone()).unwrap_or_default());
    }
    if asked.len() < reports.len() {
        let other = (0..reports.len()).find(|rank| !asked.contains(rank)).unwrap_or_default();
        return Err(failed(format!(
            "rank {} calls report_mean and rank {other} report: all ranks must call the same one",
            asked[0]
        )));
    }
    let all: Vec<Metrics> = reports.iter().map(|report| report.metrics.clone()).collect();
    Metrics::mean(&all)
}
