//! The directory of a run in progress.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::contents::{RunContents, history};
use super::layout::{RECORD, STAGING, quarantine, report_of};
use super::lock::Lock;
use super::record::{ListedCheckpoint, Record, ReportLine, open_reports, write_lines};
use super::retention::surplus;
use crate::checkpoint::files;
use crate::checkpoint::manifest::{self, Expected};
use crate::config::{CheckpointConfig, RunConfig};
use crate::error::Damaged;
use crate::{Checkpoint, Report};

/// The directory of a run in progress. It holds the lock of the run.
pub(crate) struct RunDirectory {
    pub(super) path: PathBuf,
    pub(super) checkpoints: CheckpointConfig,
    fall_back: bool,
    /// The storage of a temporary run.
    temporary: Option<Arc<tempfile::TempDir>>,
    pub(super) record: Record,
    pub(super) lines: Vec<ReportLine>,
    /// The states of the ranks' generators in the checkpoint that the run continues from.
    generators: Vec<u64>,
    pub(super) reports: File,
    _lock: Lock,
}

impl RunDirectory {
    /// Creates the directory, or opens that of an existing run.
    ///
    /// # Errors
    /// [`InProgress`](crate::InProgress), [`Damaged`], and errors of the file system.
    pub(crate) fn open(config: &RunConfig, workers: usize) -> ray::Result<RunDirectory> {
        let path = config.path()?;
        fs::create_dir_all(&path).map_err(|error| files::io_error("the run's directory cannot be created", &path, &error))?;
        let path = fs::canonicalize(&path)
            .map_err(|error| files::io_error("the path of the run's directory cannot be resolved", &path, &error))?;
        let lock = Lock::acquire(&path)?;
        let mut contents = match RunContents::read(&path) {
            Ok(Some(contents)) => contents,
            Ok(None) => RunContents { record: Record::new(config.name(), workers), lines: Vec::new() },
            Err(_) if config.may_fall_back() => RunContents::rebuild(&path, config.name(), workers)?,
            Err(damaged) => return Err(ray::Error::other(damaged)),
        };
        contents.record.workers = workers;
        let directory = RunDirectory {
            reports: open_reports(&path)?,
            path,
            checkpoints: config.checkpoint_config().clone(),
            fall_back: config.may_fall_back(),
            temporary: config.temporary_storage(),
            record: contents.record,
            lines: contents.lines,
            generators: Vec::new(),
            _lock: lock,
        };
        directory.write_record()?;
        Ok(directory)
    }

    /// Goes back to the last checkpoint, or to the beginning of the run if there is none, and returns it. It verifies the files of the
    /// checkpoint, drops the reports after it, and removes incomplete files and checkpoints that should not be kept.
    ///
    /// # Errors
    /// [`Damaged`], unless the run may fall back to an earlier checkpoint; errors of the file system.
    pub(crate) fn rewind(&mut self) -> ray::Result<Option<Checkpoint>> {
        self.generators = Vec::new();
        while let Some(listed) = self.record.checkpoints.last() {
            let path = self.path.join(&listed.directory);
            let time = self.lines.iter().find(|line| line.report == listed.report).map(|line| line.time.as_str());
            let expected = Expected { run: &self.record.name, report: listed.report, time };
            let damaged = match manifest::verify(&path, expected) {
                Ok(manifest) => {
                    self.generators = manifest.generators;
                    break;
                }
                Err(damaged) => damaged,
            };
            if !self.fall_back {
                let why = format!(
                    "{}; RunConfig::fall_back(true) continues from the checkpoint before it; with another name a new run begins",
                    damaged.why
                );
                return Err(ray::Error::other(Damaged { why, ..damaged }));
            }
            quarantine(&path, &listed.directory)?;
            self.record.checkpoints.pop();
        }
        let last = self.record.checkpoints.last().map_or(0, |listed| listed.report);
        self.lines.retain(|line| line.report <= last);
        // The configuration may keep fewer checkpoints than before; `remove_unlisted` removes the others.
        self.drop_surplus();
        // First the record: it must not list a checkpoint whose line is removed.
        self.write_record()?;
        write_lines(&self.path, &self.lines)?;
        self.reports = open_reports(&self.path)?;
        self.remove_unlisted()?;
        Ok(self.latest())
    }

    /// Removes checkpoints that `run.json` does not list, the staging directory, and temporary files that a crash has left.
    fn remove_unlisted(&self) -> ray::Result<()> {
        let entries = fs::read_dir(&self.path)
            .map_err(|error| files::io_error("the run's directory cannot be read", &self.path, &error))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let listed = self.record.checkpoints.iter().any(|listed| listed.directory == name);
            if name == STAGING || (report_of(name).is_some() && !listed) {
                // An abandoned rank may still write there. The next start removes what cannot be removed now.
                let _ = fs::remove_dir_all(entry.path());
            } else if name.starts_with(files::TEMPORARY_PREFIX) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Takes the checkpoints that should not be kept off the list, and returns the names of their directories.
    pub(super) fn drop_surplus(&mut self) -> Vec<String> {
        let score_of = |listed: &ListedCheckpoint| {
            let (metric, _) = self.checkpoints.score.as_ref()?;
            self.lines.iter().find(|line| line.report == listed.report)?.metrics.number(metric)
        };
        let scores: Vec<f64> = self.record.checkpoints.iter().map(|listed| score_of(listed).unwrap_or(f64::NAN)).collect();
        let surplus = surplus(&scores, &self.checkpoints);
        let surplus: Vec<String> = surplus.into_iter().map(|index| self.record.checkpoints[index].directory.clone()).collect();
        self.record.checkpoints.retain(|listed| !surplus.contains(&listed.directory));
        surplus
    }

    /// The directory for files of checkpoints that are not committed yet.
    pub(crate) fn staging(&self) -> PathBuf {
        self.path.join(STAGING)
    }

    /// Writes the configuration of the loop, for people to read.
    pub(crate) fn write_config(&self, config: &impl Serialize) -> ray::Result<()> {
        files::write_json(&self.path.join("config.json"), config)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The last checkpoint.
    pub(crate) fn latest(&self) -> Option<Checkpoint> {
        self.record.checkpoints.last().map(|listed| self.checkpoint(&listed.directory))
    }

    /// The states of the ranks' generators in the checkpoint that [`rewind`](Self::rewind) returned.
    pub(crate) fn generators(&self) -> &[u64] {
        &self.generators
    }

    /// The committed checkpoint in a directory of the run.
    pub(super) fn checkpoint(&self, directory: &str) -> Checkpoint {
        Checkpoint::committed(self.path.join(directory), self.temporary.clone())
    }

    /// All reports of the run.
    pub(crate) fn history(&self) -> Vec<Report> {
        history(&self.path, &self.record, &self.lines, self.temporary.as_ref())
    }

    /// Removes the staging directory at the end of the run, if it is empty. If an abandoned rank still has files there, the next start
    /// removes it.
    pub(crate) fn remove_empty_staging(&self) {
        let _ = fs::remove_dir(self.staging());
    }

    pub(super) fn write_record(&self) -> ray::Result<()> {
        files::write_json(&self.path.join(RECORD), &self.record)
    }
}
