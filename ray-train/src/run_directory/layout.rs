//! The names of files and directories in a run's directory.

use std::fs;
use std::path::Path;

use crate::checkpoint::files;

/// The file with the run and the list of its checkpoints.
pub(super) const RECORD: &str = "run.json";

/// The file with one line for each report.
pub(super) const REPORTS: &str = "reports.jsonl";

/// The directory for files of checkpoints that are not committed yet.
pub(super) const STAGING: &str = ".staging";

/// The name of the directory of a report's checkpoint.
pub(super) fn checkpoint_name(report: u64) -> String {
    format!("checkpoint_{report:06}")
}

/// The report of a checkpoint, from the name of its directory; none if it is not the name of a checkpoint.
pub(super) fn report_of(directory: &str) -> Option<u64> {
    let digits = directory.strip_prefix("checkpoint_")?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Renames the directory of a damaged checkpoint, so that the run no longer uses it and the user can inspect it.
pub(super) fn quarantine(checkpoint: &Path, name: &str) -> ray::Result<()> {
    if !checkpoint.exists() {
        return Ok(());
    }
    let target = (0..).map(|n| checkpoint.with_file_name(format!("damaged_{n}_{name}"))).find(|target| !target.exists());
    let target = target.expect("a directory has fewer entries than there are numbers");
    fs::rename(checkpoint, &target).map_err(|error| files::io_error("a damaged checkpoint cannot be renamed", checkpoint, &error))
}
