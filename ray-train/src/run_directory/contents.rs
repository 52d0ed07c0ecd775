//! The recorded state of a run: read from its two lists, or rebuilt from its checkpoints.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::layout::{quarantine, report_of};
use super::record::{ListedCheckpoint, Record, ReportLine, read_lines};
use crate::checkpoint::files;
use crate::checkpoint::manifest::{self, Expected};
use crate::error::Damaged;
use crate::{Checkpoint, Order, Report};

/// The two lists of a run.
pub(crate) struct RunContents {
    pub(super) record: Record,
    pub(super) lines: Vec<ReportLine>,
}

impl RunContents {
    /// Reads the lists of a run; none for a directory without a run.
    pub(crate) fn read(path: &Path) -> Result<Option<RunContents>, Damaged> {
        let Some(record) = Record::read(path)? else { return Ok(None) };
        let lines = read_lines(path, &record)?;
        Ok(Some(RunContents { record, lines }))
    }

    /// Rebuilds the lists from the undamaged checkpoints, and quarantines the others.
    pub(super) fn rebuild(run: &Path, name: &str, workers: usize) -> ray::Result<RunContents> {
        let mut record = Record::new(name, workers);
        let mut lines = Vec::new();
        let entries = fs::read_dir(run).map_err(|error| files::io_error("the run's directory cannot be read", run, &error))?;
        let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.retain(|name| report_of(name).is_some());
        names.sort_by_key(|name| report_of(name));
        for directory in names {
            let path = run.join(&directory);
            let expected = Expected { run: name, report: report_of(&directory).unwrap_or_default(), time: None };
            let Ok(manifest) = manifest::verify(&path, expected) else {
                quarantine(&path, &directory)?;
                continue;
            };
            let (report, checkpoint) = (manifest.report, Some(directory.clone()));
            lines.push(ReportLine { report, time: manifest.time, checkpoint, metrics: manifest.metrics });
            record.checkpoints.push(ListedCheckpoint { report, directory });
        }
        Ok(RunContents { record, lines })
    }

    /// All reports of the run in this directory.
    pub(crate) fn history(&self, path: &Path) -> Vec<Report> {
        history(path, &self.record, &self.lines, None)
    }

    pub(crate) fn workers(&self) -> usize {
        self.record.workers
    }

    pub(crate) fn score(&self) -> Option<(String, Order)> {
        self.record.score()
    }
}

/// The reports of the lines. A report has its checkpoint if the record lists it.
pub(super) fn history(
    path: &Path,
    record: &Record,
    lines: &[ReportLine],
    temporary: Option<&Arc<tempfile::TempDir>>,
) -> Vec<Report> {
    let checkpoint = |line: &ReportLine| {
        let listed = record.checkpoints.iter().find(|listed| listed.report == line.report)?;
        Some(Checkpoint::committed(path.join(&listed.directory), temporary.cloned()))
    };
    let report = |line: &ReportLine| Report {
        number: line.report,
        time: line.time.parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH),
        metrics: line.metrics.clone(),
        checkpoint: checkpoint(line),
    };
    lines.iter().map(report).collect()
}

/// Parses the two lists of a run, for the fuzz targets.
#[cfg(feature = "_fuzzing")]
pub(crate) fn read_lists(run: &Path, record: &[u8], reports: &[u8]) {
    use super::layout::{RECORD, REPORTS};

    fs::write(run.join(RECORD), record).expect("a temporary directory can be written");
    fs::write(run.join(REPORTS), reports).expect("a temporary directory can be written");
    if let Ok(Some(contents)) = RunContents::read(run) {
        let _ = contents.score();
        let _ = contents.history(run);
    }
}
