//! A run on the disk.
//!
//! ```text
//! <storage>/<name>/
//!     run.json              what the run is, and all its checkpoints       (written beside, renamed)
//!     reports.jsonl         one line for each report                        (appended to)
//!     config.json           the loop's configuration, for people to read
//!     checkpoint_000004/    the files of report 4, and .manifest.json       (filled elsewhere, renamed)
//!     .staging/             what ranks fill, and what is being put together (removed at every start)
//!     .lock                 held while the run is in progress, by the system: a crash lets go of it
//! ```
//!
//! The order of writes is what a crash cannot break: the files of a checkpoint, then its manifest, then the rename, then
//! the line of the report, then `run.json`. What `run.json` does not list is not there, and is removed at the next start.

mod commit;
mod lock;
mod record;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::checkpoint::files;
use crate::checkpoint::manifest::{self, Expected};
use crate::config::{CheckpointConfig, RunConfig};
use crate::faults::Damaged;
use crate::{Checkpoint, Report};
pub(crate) use commit::{NotKept, best};
use record::{Line, Listed, Record};

/// Reads a run's two lists and makes its history of them.
#[cfg(feature = "_fuzzing")]
pub(crate) fn read_lists(run: &Path, record: &[u8], reports: &[u8]) {
    fs::write(run.join(RECORD), record).expect("a temporary directory can be written");
    fs::write(run.join(REPORTS), reports).expect("a temporary directory can be written");
    if let Ok(Some(contents)) = Contents::read(run) {
        let _ = contents.record.score();
        let _ = history(run, &contents.lines, &contents.record, None);
    }
}

const RECORD: &str = "run.json";
const REPORTS: &str = "reports.jsonl";
const STAGING: &str = ".staging";

/// The run's directory, while the run is in progress.
pub(crate) struct RunDirectory {
    path: PathBuf,
    keep: CheckpointConfig,
    fall_back: bool,
    temporary: Option<Arc<tempfile::TempDir>>,
    record: Record,
    lines: Vec<Line>,
    /// The states of the ranks' generators at the checkpoint that the run went back to.
    generators: Vec<u64>,
    reports: File,
    /// Held until this is dropped.
    _lock: lock::Lock,
}

/// What a run's directory says, for whoever only looks.
pub(crate) struct Contents {
    record: Record,
    lines: Vec<Line>,
}

impl RunDirectory {
    /// Makes the directory or goes on with what is there.
    ///
    /// # Errors
    /// [`InProgress`](crate::InProgress), [`Damaged`], and what the file system says.
    pub(crate) fn open(config: &RunConfig, workers: usize) -> ray::Result<RunDirectory> {
        let path = config.path()?;
        fs::create_dir_all(&path).map_err(|error| files::at("the run's directory cannot be made", &path, &error))?;
        let path = fs::canonicalize(&path).map_err(|error| files::at("the run's directory cannot be found", &path, &error))?;
        let lock = lock::take(&path)?;
        let mut contents = match Contents::read(&path) {
            Ok(Some(contents)) => contents,
            Ok(None) => Contents { record: Record::new(config.name(), workers), lines: Vec::new() },
            Err(_) if config.falls_back() => record::rebuild(&path, config.name(), workers)?,
            Err(damaged) => return Err(ray::Error::other(damaged)),
        };
        contents.record.workers = workers;
        let mut directory = RunDirectory {
            reports: record::open_reports(&path)?,
            path,
            keep: config.checkpoint_config().clone(),
            fall_back: config.falls_back(),
            temporary: config.temporary_storage(),
            record: contents.record,
            lines: contents.lines,
            generators: Vec::new(),
            _lock: lock,
        };
        directory.write_record()?;
        Ok(directory)
    }

    /// Goes back to the last checkpoint, or to the beginning if there is none: reports that came after it will be made
    /// again, and what lies about half made, or beyond what is to be kept, is removed. The checkpoint's files are compared
    /// with what was written.
    ///
    /// # Errors
    /// [`Damaged`], unless the run falls back; what the file system says.
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
                    "{}; RunConfig::fall_back(true) goes on from the checkpoint before it, another name begins anew",
                    damaged.why
                );
                return Err(ray::Error::other(Damaged { why, ..damaged }));
            }
            set_aside(&path, &listed.directory)?;
            self.record.checkpoints.pop();
        }
        let last = self.record.checkpoints.last().map_or(0, |listed| listed.report);
        self.lines.retain(|line| line.report <= last);
        // Fewer may be kept than before; the sweep removes the others.
        self.drop_surplus();
        // The list first: it must not speak of a checkpoint whose line is gone.
        self.write_record()?;
        self.write_lines()?;
        self.sweep()?;
        Ok(self.latest())
    }

    /// Removes what `run.json` does not list, and files whose writing a crash cut off.
    fn sweep(&self) -> ray::Result<()> {
        let entries =
            fs::read_dir(&self.path).map_err(|error| files::at("the run's directory cannot be read", &self.path, &error))?;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let listed = self.record.checkpoints.iter().any(|listed| listed.directory == name);
            if name == STAGING || (record::report_of(name).is_some() && !listed) {
                // A rank that was left behind may still write there; what is left goes the next time.
                let _ = fs::remove_dir_all(entry.path());
            } else if name.starts_with(files::WRITING) {
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(())
    }

    /// Where ranks and commits make what is not in its place yet.
    pub(crate) fn staging(&self) -> PathBuf {
        self.path.join(STAGING)
    }

    /// Writes the loop's configuration for people to read.
    pub(crate) fn write_config(&self, config: &impl Serialize) -> ray::Result<()> {
        files::write_json(&self.path.join("config.json"), config)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn latest(&self) -> Option<Checkpoint> {
        self.record.checkpoints.last().map(|listed| self.kept(listed))
    }

    /// The states of the ranks' generators at the checkpoint that [`rewind`](Self::rewind) returned.
    pub(crate) fn generators(&self) -> &[u64] {
        &self.generators
    }

    fn kept(&self, listed: &Listed) -> Checkpoint {
        Checkpoint::kept(self.path.join(&listed.directory), self.temporary.clone())
    }

    /// All reports of the run.
    pub(crate) fn history(&self) -> Vec<Report> {
        history(&self.path, &self.lines, &self.record, self.temporary.as_ref())
    }

    /// Leaves nothing that is of no use when the run has ended.
    pub(crate) fn close(&self) {
        // It goes if it is empty; what a rank that was left behind has there goes at the next start.
        let _ = fs::remove_dir(self.staging());
    }

    fn write_record(&mut self) -> ray::Result<()> {
        files::write_json(&self.path.join(RECORD), &self.record)
    }

    fn write_lines(&mut self) -> ray::Result<()> {
        record::write_lines(&self.path, &self.lines)?;
        self.reports = record::open_reports(&self.path)?;
        Ok(())
    }
}

/// A checkpoint that is not what it was goes out of the way, for its owner to look at.
fn set_aside(path: &Path, name: &str) -> ray::Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let to = (0..).map(|n| path.with_file_name(format!("damaged_{n}_{name}"))).find(|to| !to.exists());
    let to = to.expect("one of all numbers is free");
    fs::rename(path, &to).map_err(|error| files::at("a damaged checkpoint cannot be set aside", path, &error))
}

fn history(path: &Path, lines: &[Line], record: &Record, temporary: Option<&Arc<tempfile::TempDir>>) -> Vec<Report> {
    let checkpoint = |line: &Line| {
        let listed = record.checkpoints.iter().find(|listed| listed.report == line.report)?;
        Some(Checkpoint::kept(path.join(&listed.directory), temporary.cloned()))
    };
    let report = |line: &Line| Report {
        number: line.report,
        time: line.time.parse().unwrap_or(jiff::Timestamp::UNIX_EPOCH),
        metrics: line.metrics.clone(),
        checkpoint: checkpoint(line),
    };
    lines.iter().map(report).collect()
}

impl Contents {
    /// What is there; none for a directory without a run.
    pub(crate) fn read(path: &Path) -> Result<Option<Contents>, Damaged> {
        let Some(record) = Record::read(path)? else { return Ok(None) };
        let lines = record::read_lines(path, &record)?;
        Ok(Some(Contents { record, lines }))
    }

    pub(crate) fn history(&self, path: &Path) -> Vec<Report> {
        history(path, &self.lines, &self.record, None)
    }

    pub(crate) fn workers(&self) -> usize {
        self.record.workers
    }

    pub(crate) fn score(&self) -> Option<(String, crate::Order)> {
        self.record.score()
    }
}
