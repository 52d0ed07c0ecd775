//! The two lists of a run: `run.json` and `reports.jsonl`.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::layout::{RECORD, REPORTS, report_of};
use crate::Metrics;
use crate::checkpoint::files;
use crate::config::Order;
use crate::error::Damaged;

const FORMAT: &str = "ray-train run 1";

/// The contents of `run.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    format: String,
    /// The name of the run when it began, which its checkpoints carry. It stays the same if the directory is renamed.
    pub(super) name: String,
    started: String,
    pub(super) workers: usize,
    /// The metric that scores checkpoints, and whether a larger value is better.
    score: Option<(String, bool)>,
    /// The checkpoints that are kept, the oldest first.
    pub(super) checkpoints: Vec<ListedCheckpoint>,
}

/// A checkpoint in the list of `run.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ListedCheckpoint {
    pub(super) directory: String,
    pub(super) report: u64,
}

/// A line of `reports.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ReportLine {
    pub(super) report: u64,
    pub(super) time: String,
    pub(super) checkpoint: Option<String>,
    pub(super) metrics: Metrics,
}

impl Record {
    pub(super) fn new(name: &str, workers: usize) -> Record {
        Record {
            format: FORMAT.to_owned(),
            name: name.to_owned(),
            started: jiff::Timestamp::now().to_string(),
            workers,
            score: None,
            checkpoints: Vec::new(),
        }
    }

    /// Reads `run.json`; none for a directory in which no run has begun.
    pub(super) fn read(run: &Path) -> Result<Option<Record>, Damaged> {
        let path = run.join(RECORD);
        if !path.exists() {
            let has_checkpoints = fs::read_dir(run).is_ok_and(|mut entries| {
                entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().and_then(report_of).is_some()))
            });
            return match has_checkpoints {
                false => Ok(None),
                true => Err(with_advice(Damaged { path, why: "it is missing, although there are checkpoints".to_owned() })),
            };
        }
        let record: Record = files::read_json(&path).map_err(with_advice)?;
        if record.format != FORMAT {
            let why =
                format!("its format is `{}`, and this version reads `{FORMAT}`; choose another name or storage", record.format);
            return Err(Damaged { path, why });
        }
        // The list may come from elsewhere, and the run reads, renames and removes the listed directories. So only names of
        // checkpoints are accepted, which cannot lead out of the run's directory.
        if let Some(ListedCheckpoint { directory, report }) =
            record.checkpoints.iter().find(|listed| report_of(&listed.directory) != Some(listed.report))
        {
            let why = format!("it lists `{directory}` as the checkpoint of report {report}");
            return Err(with_advice(Damaged { path, why }));
        }
        Ok(Some(record))
    }

    pub(super) fn set_score(&mut self, score: Option<&(String, Order)>) {
        self.score = score.map(|(metric, order)| (metric.clone(), *order == Order::Max));
    }

    pub(super) fn score(&self) -> Option<(String, Order)> {
        let (metric, larger_is_better) = self.score.as_ref()?;
        Some((metric.clone(), if *larger_is_better { Order::Max } else { Order::Min }))
    }
}

/// Adds to an error what the user can do.
fn with_advice(damaged: Damaged) -> Damaged {
    const ADVICE: &str =
        "RunConfig::fall_back(true) rebuilds the lists from the undamaged checkpoints; with another name a new run begins";
    Damaged { why: format!("{}; {ADVICE}", damaged.why), ..damaged }
}

/// Reads `reports.jsonl`, and checks that it has the lines of all listed checkpoints. An incomplete last line, which a crash may
/// leave, is ignored.
pub(super) fn read_lines(run: &Path, record: &Record) -> Result<Vec<ReportLine>, Damaged> {
    let path = run.join(REPORTS);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(with_advice(Damaged { path, why: format!("it cannot be read: {error}") })),
    };
    let mut lines: Vec<ReportLine> = Vec::new();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let Some(complete) = line.strip_suffix('\n') else { break };
        let line = serde_json::from_str(complete)
            .map_err(|error| with_advice(Damaged { path: path.clone(), why: format!("line {}: {error}", at + 1) }))?;
        lines.push(line);
    }
    let reports: HashSet<u64> = lines.iter().map(|line| line.report).collect();
    if let Some(ListedCheckpoint { directory, .. }) = record.checkpoints.iter().find(|listed| !reports.contains(&listed.report)) {
        return Err(with_advice(Damaged { path, why: format!("the line of {directory} is missing") }));
    }
    Ok(lines)
}

/// Replaces `reports.jsonl`.
pub(super) fn write_lines(run: &Path, lines: &[ReportLine]) -> ray::Result<()> {
    let mut text = Vec::new();
    for line in lines {
        text.extend(to_json_line(line)?);
    }
    // `replace` adds the last newline.
    text.pop();
    if lines.is_empty() {
        let path = run.join(REPORTS);
        return File::create(&path)
            .map(drop)
            .map_err(|error| files::io_error("the list of reports cannot be written", &path, &error));
    }
    files::replace(&run.join(REPORTS), &text)
}

/// A line with its newline.
pub(super) fn to_json_line(line: &ReportLine) -> ray::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line).map_err(ray::Error::other)?;
    text.push(b'\n');
    Ok(text)
}

/// Opens `reports.jsonl` to append to it.
pub(super) fn open_reports(run: &Path) -> ray::Result<File> {
    let path = run.join(REPORTS);
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    opened.map_err(|error| files::io_error("the list of reports cannot be opened", &path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_may_only_name_checkpoints_of_its_own_run() {
        let run = tempfile::tempdir().unwrap();
        let read = |directory: &str| {
            let mut record = Record::new("name", 1);
            record.checkpoints.push(ListedCheckpoint { directory: directory.to_owned(), report: 4 });
            files::write_json(&run.path().join(RECORD), &record).unwrap();
            Record::read(run.path())
        };
        assert!(read("checkpoint_000004").is_ok());
        for elsewhere in ["../checkpoint_000004", "/tmp", "checkpoint_000005", "checkpoint_", ""] {
            let why = read(elsewhere).unwrap_err().why;
            assert!(why.contains("as the checkpoint of report 4"), "{elsewhere}: {why}");
        }
    }
}
