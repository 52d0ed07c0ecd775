//! Commits a report to the run's directory, with its checkpoint if it has one.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::directory::RunDirectory;
use super::layout::{REPORTS, checkpoint_name};
use super::record::{ListedCheckpoint, ReportLine, to_json_line};
use crate::checkpoint::manifest::{Entry, FORMAT, MANIFEST, Manifest};
use crate::checkpoint::{METADATA, files};
use crate::error::{failed, rank_list};
use crate::{Checkpoint, Metrics, Report};

/// A report that could not be committed.
#[derive(Debug)]
pub(crate) struct CommitError {
    /// The ranks whose checkpoints are the cause; empty if the cause is in the metrics or in the files of the run.
    pub(crate) ranks: Vec<usize>,
    pub(crate) error: ray::Error,
}

impl From<ray::Error> for CommitError {
    fn from(error: ray::Error) -> CommitError {
        CommitError { ranks: Vec::new(), error }
    }
}

impl CommitError {
    /// An error that the checkpoint of one rank causes.
    fn of_rank(rank: usize) -> impl Fn(ray::Error) -> CommitError {
        move |error| CommitError { ranks: vec![rank], error }
    }
}

impl RunDirectory {
    /// Commits a report: its metrics, the checkpoints of the ranks that passed one, merged into one checkpoint, and the states of all
    /// ranks' generators. If it fails, the run is unchanged.
    ///
    /// # Errors
    /// Two ranks pass a file of the same name; the metric that scores checkpoints is missing; errors of the file system.
    pub(crate) fn commit(
        &mut self,
        metrics: Metrics,
        checkpoints: &[(usize, Checkpoint)],
        generators: Vec<u64>,
    ) -> Result<Report, CommitError> {
        let number = self.lines.last().map_or(0, |line| line.report) + 1;
        let time = jiff::Timestamp::now();
        let mut line = ReportLine { report: number, time: time.to_string(), checkpoint: None, metrics };
        if !checkpoints.is_empty() {
            self.check_score(&line.metrics)?;
            let directory = checkpoint_name(number);
            let manifest = Manifest {
                format: FORMAT.to_owned(),
                run: self.record.name.clone(),
                report: number,
                time: line.time.clone(),
                metrics: line.metrics.clone(),
                files: Vec::new(),
                generators,
            };
            self.commit_checkpoint(&directory, manifest, checkpoints).map_err(|CommitError { mut ranks, error }| {
                if ranks.is_empty() {
                    ranks = checkpoints.iter().map(|(rank, _)| *rank).collect();
                }
                let error = failed(format!("the checkpoint of {} could not be saved: {error}", rank_list(&ranks)));
                CommitError { ranks, error }
            })?;
            line.checkpoint = Some(directory);
        }
        if let Err(error) = self.append(&line) {
            if let Some(directory) = &line.checkpoint {
                let _ = fs::remove_dir_all(self.path.join(directory));
            }
            return Err(error.into());
        }
        let checkpoint = line.checkpoint.as_ref().map(|directory| self.checkpoint(directory));
        Ok(Report { number, time, metrics: line.metrics, checkpoint })
    }

    fn check_score(&self, metrics: &Metrics) -> ray::Result<()> {
        let Some((score, _)) = &self.checkpoints.score else { return Ok(()) };
        if metrics.number(score).is_some() {
            return Ok(());
        }
        let names: Vec<&str> = metrics.iter().map(|(name, _)| name).collect();
        Err(failed(format!(
            "the metric `{score}` scores checkpoints, but a checkpoint was reported without this number (only with {names:?}): report it, or choose another CheckpointConfig::score"
        )))
    }

    /// Appends a line to the list of reports, and lists its checkpoint in `run.json`. If one of the two fails, both are unchanged.
    fn append(&mut self, line: &ReportLine) -> ray::Result<()> {
        let path = self.path.join(REPORTS);
        let write_error = |error: std::io::Error| files::io_error("a report cannot be written", &path, &error);
        let length_before = self.reports.metadata().map_err(write_error)?.len();
        let text = to_json_line(line)?;
        let written = self.reports.write_all(&text).and_then(|()| match line.checkpoint {
            Some(_) => self.reports.sync_data(),
            None => Ok(()),
        });
        if let Err(error) = written {
            let _ = self.reports.set_len(length_before);
            return Err(write_error(error));
        }
        self.lines.push(line.clone());
        let Some(directory) = &line.checkpoint else { return Ok(()) };
        let former = self.record.clone();
        self.record.checkpoints.push(ListedCheckpoint { directory: directory.clone(), report: line.report });
        self.record.set_score(self.checkpoints.score.as_ref());
        let surplus = self.drop_surplus();
        if let Err(error) = self.write_record() {
            self.record = former;
            self.lines.pop();
            let _ = self.reports.set_len(length_before);
            return Err(error);
        }
        for directory in surplus {
            // If it cannot be removed now, the next start removes it, because it is not listed.
            let _ = fs::remove_dir_all(self.path.join(directory));
        }
        Ok(())
    }

    /// Assembles a checkpoint in the staging directory, syncs it to the disk, and renames it to its final name.
    fn commit_checkpoint(
        &self,
        directory: &str,
        mut manifest: Manifest,
        checkpoints: &[(usize, Checkpoint)],
    ) -> Result<(), CommitError> {
        let remove = |path: &Path| {
            fs::remove_dir_all(path).map_err(|error| files::io_error("an incomplete checkpoint cannot be removed", path, &error))
        };
        let staged = self.staging().join(directory);
        if staged.exists() {
            remove(&staged)?;
        }
        fs::create_dir_all(&staged)
            .map_err(|error| files::io_error("the directory of a checkpoint cannot be created", &staged, &error))?;
        let committed = assemble(&staged, &mut manifest, checkpoints).and_then(|()| {
            files::write_json(&staged.join(MANIFEST), &manifest)?;
            let target = self.path.join(directory);
            if target.exists() {
                remove(&target)?;
            }
            fs::rename(&staged, &target)
                .map_err(|error| files::io_error("a checkpoint cannot be renamed to its final name", &target, &error))?;
            Ok(files::sync(&self.path)?)
        });
        if committed.is_err() {
            let _ = fs::remove_dir_all(&staged);
        }
        committed
    }
}

/// Moves or copies the files of all ranks into one directory, merges their metadata, and adds all files to the manifest.
fn assemble(staged: &Path, manifest: &mut Manifest, checkpoints: &[(usize, Checkpoint)]) -> Result<(), CommitError> {
    // All checks come before the first move, so that a refused checkpoint still has its files.
    let (files_of_ranks, metadata) = check_checkpoints(checkpoints)?;
    for ((rank, checkpoint), files) in checkpoints.iter().zip(files_of_ranks) {
        if checkpoint.is_staged() {
            checkpoint.mark_consumed();
        }
        for file in files {
            let (source, target) = (checkpoint.path().join(&file), staged.join(&file));
            let moved = if checkpoint.is_staged() { files::move_file(&source, &target) } else { files::copy(&source, &target) };
            moved.and_then(|()| add_to_manifest(staged, &file, *rank, manifest)).map_err(CommitError::of_rank(*rank))?;
        }
    }
    if !metadata.is_empty() {
        files::write_json(&staged.join(METADATA), &metadata)?;
        add_to_manifest(staged, Path::new(METADATA), checkpoints[0].0, manifest)?;
    }
    for folder in folders(manifest) {
        files::sync(&staged.join(folder))?;
    }
    Ok(())
}

/// Checks that the checkpoints of the ranks can be merged. Returns the files of each, and the merged metadata.
fn check_checkpoints(checkpoints: &[(usize, Checkpoint)]) -> Result<(Vec<Vec<PathBuf>>, Metrics), CommitError> {
    let mut owners: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut metadata = Metrics::new();
    let mut files_of_ranks = Vec::new();
    for (rank, checkpoint) in checkpoints {
        if checkpoint.is_consumed() {
            return Err(CommitError::of_rank(*rank)(failed(format!(
                "rank {rank} reported the same checkpoint twice, and the first report has moved its files: make another one with ctx.new_checkpoint()"
            ))));
        }
        let mut files = files::list(checkpoint.path()).map_err(CommitError::of_rank(*rank))?;
        files.retain(|file| file != Path::new(METADATA) && file != Path::new(MANIFEST));
        for file in &files {
            if let Some(other) = owners.insert(file.clone(), *rank) {
                let error = failed(format!(
                    "rank {other} and rank {rank} both report a file `{}`: use different file names on each rank, or report the file on one rank only",
                    file.display()
                ));
                return Err(CommitError { ranks: vec![other, *rank], error });
            }
        }
        for (name, value) in checkpoint.all_metadata().map_err(CommitError::of_rank(*rank))?.iter() {
            match metadata.value(name) {
                // By their texts: NaN differs from itself under `==`.
                Some(other) if format!("{other:?}") != format!("{value:?}") => {
                    return Err(CommitError::of_rank(*rank)(failed(format!(
                        "the metadata `{name}` of the checkpoint is {value} on rank {rank}, and {other} on an earlier rank: it must be the same on all ranks"
                    ))));
                }
                Some(_) => {}
                None => metadata.set(name.to_owned(), value.clone()),
            }
        }
        files_of_ranks.push(files);
    }
    Ok((files_of_ranks, metadata))
}

/// Syncs a file of a checkpoint to the disk, and adds it with its checksum to the manifest.
fn add_to_manifest(staged: &Path, file: &Path, rank: usize, manifest: &mut Manifest) -> ray::Result<()> {
    let path = staged.join(file);
    files::sync(&path)?;
    let (bytes, crc32) =
        files::checksum(&path).map_err(|error| files::io_error("a file of a checkpoint cannot be read", &path, &error))?;
    let name = file.to_str().ok_or_else(|| {
        failed(format!("the file name {} is not valid Unicode: a checkpoint needs names that are", file.display()))
    })?;
    manifest.files.push(Entry { name: name.to_owned(), bytes, crc32, rank });
    Ok(())
}

/// The folders of all files, and those that contain them.
fn folders(manifest: &Manifest) -> Vec<PathBuf> {
    let ancestors = |entry: &Entry| Path::new(&entry.name).ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>();
    let mut folders: Vec<PathBuf> = manifest.files.iter().flat_map(ancestors).collect();
    folders.sort();
    folders.dedup();
    folders
}
