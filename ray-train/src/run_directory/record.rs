//! `run.json` and `reports.jsonl`: written, read, and put together again from the checkpoints where they are damaged.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Contents, RECORD, REPORTS, set_aside};
use crate::Metrics;
use crate::checkpoint::files;
use crate::checkpoint::manifest::{self, Expected};
use crate::config::Order;
use crate::faults::Damaged;

const FORMAT: &str = "ray-train run 1";

/// What `run.json` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    format: String,
    /// The name that the run began with, which its checkpoints carry. A directory that is moved goes on with it.
    pub(super) name: String,
    started: String,
    pub(super) workers: usize,
    /// The metric by which checkpoints are compared, and whether more of it is better.
    score: Option<(String, bool)>,
    /// Those that are kept, the oldest first.
    pub(super) checkpoints: Vec<Listed>,
}

/// A checkpoint that is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Listed {
    pub(super) directory: String,
    pub(super) report: u64,
}

/// A line of `reports.jsonl`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
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

    /// None for a directory in which no run has begun.
    pub(super) fn read(run: &Path) -> Result<Option<Record>, Damaged> {
        let path = run.join(RECORD);
        if !path.exists() {
            let begun = fs::read_dir(run).is_ok_and(|mut entries| {
                entries.any(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().and_then(report_of).is_some()))
            });
            return match begun {
                false => Ok(None),
                true => Err(Damaged { path, why: format!("it is gone, though there are checkpoints; {ADVICE}") }),
            };
        }
        let record: Record = files::read_json(&path).map_err(advised)?;
        if record.format != FORMAT {
            let why =
                format!("its format is `{}`, and this version reads `{FORMAT}`; take another name or storage", record.format);
            return Err(Damaged { path, why });
        }
        // A list from outside must not lead to another place: what it names is read, moved and removed.
        if let Some(Listed { directory, report }) =
            record.checkpoints.iter().find(|listed| report_of(&listed.directory) != Some(listed.report))
        {
            let why = format!("it lists `{directory}` as the checkpoint of report {report}");
            return Err(advised(Damaged { path, why }));
        }
        Ok(Some(record))
    }

    pub(super) fn set_score(&mut self, score: Option<&(String, Order)>) {
        self.score = score.map(|(metric, order)| (metric.clone(), *order == Order::Max));
    }

    pub(super) fn score(&self) -> Option<(String, Order)> {
        let (metric, most) = self.score.as_ref()?;
        Some((metric.clone(), if *most { Order::Max } else { Order::Min }))
    }
}

const ADVICE: &str = "RunConfig::fall_back(true) goes on from the checkpoints that are whole, another name begins anew";

fn advised(damaged: Damaged) -> Damaged {
    Damaged { why: format!("{}; {ADVICE}", damaged.why), ..damaged }
}

/// The name of a report's checkpoint.
pub(super) fn directory_of(report: u64) -> String {
    format!("checkpoint_{report:06}")
}

/// The report that a directory is the checkpoint of, by its name.
pub(super) fn report_of(directory: &str) -> Option<u64> {
    let digits = directory.strip_prefix("checkpoint_")?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Every line, among them those of the checkpoints that are listed; the last one may have been cut off by a crash, and then does
/// not count.
pub(super) fn read_lines(run: &Path, record: &Record) -> Result<Vec<Line>, Damaged> {
    let path = run.join(REPORTS);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(advised(Damaged { path, why: format!("it cannot be read: {error}") })),
    };
    let mut lines: Vec<Line> = Vec::new();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let Some(whole) = line.strip_suffix('\n') else { break };
        let line = serde_json::from_str(whole)
            .map_err(|error| advised(Damaged { path: path.clone(), why: format!("line {}: {error}", at + 1) }))?;
        lines.push(line);
    }
    let there: HashSet<u64> = lines.iter().map(|line| line.report).collect();
    if let Some(Listed { directory, .. }) = record.checkpoints.iter().find(|listed| !there.contains(&listed.report)) {
        return Err(advised(Damaged { path, why: format!("the line of {directory} is not there") }));
    }
    Ok(lines)
}

pub(super) fn write_lines(run: &Path, lines: &[Line]) -> ray::Result<()> {
    let mut text = Vec::new();
    for line in lines {
        text.extend(text_of(line)?);
    }
    // What `replace` ends with.
    text.pop();
    if lines.is_empty() {
        let path = run.join(REPORTS);
        return File::create(&path).map(drop).map_err(|error| files::at("the run's reports cannot be written", &path, &error));
    }
    files::replace(&run.join(REPORTS), &text)
}

/// A line with its end.
pub(super) fn text_of(line: &Line) -> ray::Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line).map_err(ray::Error::other)?;
    text.push(b'\n');
    Ok(text)
}

pub(super) fn open_reports(run: &Path) -> ray::Result<File> {
    let path = run.join(REPORTS);
    let opened = OpenOptions::new().create(true).append(true).open(&path);
    opened.map_err(|error| files::at("the run's reports cannot be opened", &path, &error))
}

/// What the checkpoints that are whole say of the run.
pub(super) fn rebuild(run: &Path, name: &str, workers: usize) -> ray::Result<Contents> {
    let mut record = Record::new(name, workers);
    let mut lines = Vec::new();
    let entries = fs::read_dir(run).map_err(|error| files::at("the run's directory cannot be read", run, &error))?;
    let mut names: Vec<String> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| report_of(name).is_some());
    names.sort_by_key(|name| report_of(name));
    for directory in names {
        let path = run.join(&directory);
        let expected = Expected { run: name, report: report_of(&directory).unwrap_or_default(), time: None };
        let Ok(whole) = manifest::verify(&path, expected) else {
            set_aside(&path, &directory)?;
            continue;
        };
        lines.push(Line { report: whole.report, time: whole.time, checkpoint: Some(directory.clone()), metrics: whole.metrics });
        record.checkpoints.push(Listed { report: whole.report, directory });
    }
    Ok(Contents { record, lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_checkpoints_of_its_own_run_alone() {
        let run = tempfile::tempdir().unwrap();
        let read = |directory: &str| {
            let mut record = Record::new("name", 1);
            record.checkpoints.push(Listed { directory: directory.to_owned(), report: 4 });
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
