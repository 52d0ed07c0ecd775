//! A report goes to the disk, with its checkpoint if it has one.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::record::{Line, Listed, directory_of, text_of};
use super::{REPORTS, RunDirectory};
use crate::checkpoint::manifest::{Entry, FORMAT, MANIFEST, Manifest};
use crate::checkpoint::{METADATA, files};
use crate::config::{CheckpointConfig, Order};
use crate::faults::{failed, listed};
use crate::{Checkpoint, Metrics, Report};

/// A report that could not be committed.
#[derive(Debug)]
pub(crate) struct NotKept {
    /// The ranks whose checkpoint is the reason; none where the reason is the run's own files or the metrics.
    pub(crate) ranks: Vec<usize>,
    pub(crate) error: ray::Error,
}

impl From<ray::Error> for NotKept {
    fn from(error: ray::Error) -> NotKept {
        NotKept { ranks: Vec::new(), error }
    }
}

impl NotKept {
    /// The checkpoint of one rank is the reason.
    fn of(rank: usize) -> impl Fn(ray::Error) -> NotKept {
        move |error| NotKept { ranks: vec![rank], error }
    }
}

impl RunDirectory {
    /// Enters a report: its metrics, and the checkpoints of those ranks that gave one, as one, with the states of all ranks'
    /// generators. Either all of it is there
    /// afterwards, or the run is as it was.
    ///
    /// # Errors
    /// A file that two ranks give; a score that is missing; what the file system says.
    pub(crate) fn commit(
        &mut self,
        metrics: Metrics,
        given: &[(usize, Checkpoint)],
        generators: Vec<u64>,
    ) -> Result<Report, NotKept> {
        let number = self.lines.last().map_or(0, |line| line.report) + 1;
        let time = jiff::Timestamp::now();
        if !given.is_empty() {
            self.check_score(&metrics)?;
        }
        let directory = directory_of(number);
        let mut line = Line { report: number, time: time.to_string(), checkpoint: None, metrics };
        if !given.is_empty() {
            let head = Manifest {
                format: FORMAT.to_owned(),
                run: self.record.name.clone(),
                report: number,
                time: line.time.clone(),
                metrics: line.metrics.clone(),
                files: Vec::new(),
                generators,
            };
            self.put_together(&directory, head, given).map_err(|NotKept { mut ranks, error }| {
                if ranks.is_empty() {
                    ranks = given.iter().map(|(rank, _)| *rank).collect();
                }
                let error = failed(format!("the checkpoint of {} could not be kept: {error}", listed(&ranks)));
                NotKept { ranks, error }
            })?;
            line.checkpoint = Some(directory.clone());
        }
        if let Err(error) = self.enter(&line) {
            if line.checkpoint.is_some() {
                let _ = fs::remove_dir_all(self.path.join(&directory));
            }
            return Err(error.into());
        }
        let checkpoint = line.checkpoint.is_some().then(|| Checkpoint::kept(self.path.join(&directory), self.temporary.clone()));
        Ok(Report { number, time, metrics: line.metrics, checkpoint })
    }

    fn check_score(&self, metrics: &Metrics) -> ray::Result<()> {
        let Some((score, _)) = &self.keep.score else { return Ok(()) };
        if metrics.number(score).is_some() {
            return Ok(());
        }
        let names: Vec<&str> = metrics.iter().map(|(name, _)| name).collect();
        Err(failed(format!(
            "checkpoints are kept by the metric `{score}`, but a checkpoint was reported without that number (with {names:?}): report it, or take another CheckpointConfig::score"
        )))
    }

    /// The line and the list, or neither.
    fn enter(&mut self, line: &Line) -> ray::Result<()> {
        let path = self.path.join(REPORTS);
        let cannot = |error: std::io::Error| files::at("a report cannot be written", &path, &error);
        let before = self.reports.metadata().map_err(cannot)?.len();
        let text = text_of(line)?;
        let written = self.reports.write_all(&text).and_then(|()| match line.checkpoint {
            Some(_) => self.reports.sync_data(),
            None => Ok(()),
        });
        if let Err(error) = written {
            let _ = self.reports.set_len(before);
            return Err(cannot(error));
        }
        self.lines.push(line.clone());
        let Some(directory) = &line.checkpoint else { return Ok(()) };
        let former = self.record.clone();
        self.record.checkpoints.push(Listed { directory: directory.clone(), report: line.report });
        self.record.set_score(self.keep.score.as_ref());
        let surplus = self.drop_surplus();
        if let Err(error) = self.write_record() {
            self.record = former;
            self.lines.pop();
            let _ = self.reports.set_len(before);
            return Err(error);
        }
        for directory in surplus {
            // What cannot be removed now is not listed, and goes at the next start.
            let _ = fs::remove_dir_all(self.path.join(directory));
        }
        Ok(())
    }

    /// Takes the checkpoints off the list that are beyond those to be kept; which they are.
    pub(super) fn drop_surplus(&mut self) -> Vec<String> {
        let score_of = |listed: &Listed| {
            let (metric, _) = self.keep.score.as_ref()?;
            self.lines.iter().find(|line| line.report == listed.report)?.metrics.number(metric)
        };
        let scores: Vec<f64> = self.record.checkpoints.iter().map(|listed| score_of(listed).unwrap_or(f64::NAN)).collect();
        let surplus = surplus(&scores, &self.keep);
        let surplus: Vec<String> = surplus.into_iter().map(|at| self.record.checkpoints[at].directory.clone()).collect();
        self.record.checkpoints.retain(|listed| !surplus.contains(&listed.directory));
        surplus
    }

    /// Puts the files of all ranks into one directory, lists them, has them written to the disk, and gives the directory its
    /// name.
    fn put_together(&self, directory: &str, mut manifest: Manifest, given: &[(usize, Checkpoint)]) -> Result<(), NotKept> {
        let whole = self.staging().join(directory);
        if whole.exists() {
            fs::remove_dir_all(&whole).map_err(|error| files::at("it cannot be removed", &whole, &error))?;
        }
        fs::create_dir_all(&whole).map_err(|error| files::at("the directory of a checkpoint cannot be made", &whole, &error))?;
        let placed = self.place(&whole, &mut manifest, given).and_then(|()| {
            files::write_json(&whole.join(MANIFEST), &manifest)?;
            let place = self.path.join(directory);
            if place.exists() {
                fs::remove_dir_all(&place).map_err(|error| files::at("it cannot be removed", &place, &error))?;
            }
            fs::rename(&whole, &place).map_err(|error| files::at("the checkpoint cannot be given its name", &place, &error))?;
            Ok(files::sync(&self.path)?)
        });
        if placed.is_err() {
            let _ = fs::remove_dir_all(&whole);
        }
        placed
    }

    fn place(&self, whole: &Path, manifest: &mut Manifest, given: &[(usize, Checkpoint)]) -> Result<(), NotKept> {
        let mut from: BTreeMap<PathBuf, usize> = BTreeMap::new();
        let mut metadata = Metrics::new();
        let mut lists = Vec::new();
        // Nothing is moved before it is known that all of it can be.
        for (rank, checkpoint) in given {
            if checkpoint.is_spent() {
                return Err(NotKept::of(*rank)(failed(format!(
                    "rank {rank} gives a checkpoint for the second time, and its files went with the first report: ctx.new_checkpoint() makes another"
                ))));
            }
            let mut list = files::list(checkpoint.path()).map_err(NotKept::of(*rank))?;
            list.retain(|file| file != Path::new(METADATA) && file != Path::new(MANIFEST));
            for file in &list {
                if let Some(other) = from.insert(file.clone(), *rank) {
                    let error = failed(format!(
                        "rank {other} and rank {rank} both give a file `{}`: give each rank's files names of their own, or have one rank report them",
                        file.display()
                    ));
                    return Err(NotKept { ranks: vec![other, *rank], error });
                }
            }
            for (name, value) in checkpoint.all_metadata().map_err(NotKept::of(*rank))?.iter() {
                match metadata.value(name) {
                    // NaN is the same here too, which `==` denies.
                    Some(there) if format!("{there:?}") != format!("{value:?}") => {
                        return Err(NotKept::of(*rank)(failed(format!(
                            "rank {rank} says `{name}` is {value} in the checkpoint's metadata, and a rank before it {there}: they must say the same"
                        ))));
                    }
                    Some(_) => {}
                    None => metadata.set(name.to_owned(), value.clone()),
                }
            }
            lists.push((*rank, checkpoint, list));
        }
        for (rank, checkpoint, list) in lists {
            if checkpoint.is_staged() {
                checkpoint.spend();
            }
            for file in list {
                let (source, target) = (checkpoint.path().join(&file), whole.join(&file));
                let moved =
                    if checkpoint.is_staged() { files::relocate(&source, &target) } else { files::copy(&source, &target) };
                moved.and_then(|()| self.list(whole, &file, rank, manifest)).map_err(NotKept::of(rank))?;
            }
        }
        if !metadata.is_empty() {
            files::write_json(&whole.join(METADATA), &metadata)?;
            self.list(whole, Path::new(METADATA), given[0].0, manifest)?;
        }
        for folder in folders(manifest) {
            files::sync(&whole.join(folder))?;
        }
        Ok(())
    }

    fn list(&self, whole: &Path, file: &Path, rank: usize, manifest: &mut Manifest) -> ray::Result<()> {
        let path = whole.join(file);
        files::sync(&path)?;
        let (bytes, crc32) =
            files::sum(&path).map_err(|error| files::at("a file of a checkpoint cannot be read", &path, &error))?;
        let name = file.to_str().ok_or_else(|| failed(format!("the name of the file {} is no text", file.display())))?;
        manifest.files.push(Entry { name: name.to_owned(), bytes, crc32, rank });
        Ok(())
    }
}

/// The folders that the files lie in.
fn folders(manifest: &Manifest) -> Vec<PathBuf> {
    let above = |entry: &Entry| Path::new(&entry.name).ancestors().skip(1).map(Path::to_owned).collect::<Vec<_>>();
    let mut folders: Vec<PathBuf> = manifest.files.iter().flat_map(above).collect();
    folders.sort();
    folders.dedup();
    folders
}

/// The indices of the checkpoints to remove, given the scores of all of them, the oldest first.
///
/// As in Ray: the best `num_to_keep` stay, and the last one stays in addition, because a run goes on from it. Without a score the
/// newest are the best.
fn surplus(scores: &[f64], keep: &CheckpointConfig) -> Vec<usize> {
    let Some(kept) = keep.num_to_keep else { return Vec::new() };
    let order = keep.score.as_ref().map(|(_, order)| *order);
    let mut worst_first: Vec<usize> = (0..scores.len()).collect();
    // Of equal scores, the oldest goes first.
    worst_first.sort_by(|a, b| match order {
        Some(order) if order.is_better(scores[*a], scores[*b]) => std::cmp::Ordering::Greater,
        Some(order) if order.is_better(scores[*b], scores[*a]) => std::cmp::Ordering::Less,
        Some(_) | None => a.cmp(b),
    });
    worst_first.truncate(scores.len().saturating_sub(kept.max(1)));
    worst_first.retain(|at| at + 1 != scores.len());
    worst_first
}

/// The best of scores: NaN never is.
pub(crate) fn best(scores: impl Iterator<Item = f64>, order: Order) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (at, score) in scores.enumerate() {
        if !score.is_nan() && best.is_none_or(|(_, former)| order.is_better(score, former)) {
            best = Some((at, score));
        }
    }
    best.map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_go_and_the_last_stays() {
        let keep = |n: usize| CheckpointConfig::new().num_to_keep(n);
        assert_eq!(surplus(&[1.0, 2.0, 3.0], &CheckpointConfig::new()), [0; 0]);
        assert_eq!(surplus(&[1.0, 2.0, 3.0], &keep(2)), [0]);
        let worst_last = surplus(&[1.0, f64::NAN, 4.0, 2.0, 3.0], &keep(2).score("loss", Order::Min));
        assert_eq!(worst_last, [1, 2], "NaN goes first, then the worst; the last stays beside the two best");
        let best_last = surplus(&[3.0, 4.0, 2.0], &keep(2).score("loss", Order::Min));
        assert_eq!(best_last, [1], "the last is one of the two best");
        assert_eq!(surplus(&[1.0, f64::NAN], &keep(1).score("loss", Order::Min)), [0; 0], "the last stays, though it is NaN");
        assert_eq!(surplus(&[f64::NAN], &keep(1).score("loss", Order::Max)), [0; 0]);
        assert_eq!(surplus(&[2.0, 2.0, 1.0], &keep(1).score("loss", Order::Max)), [0], "of equals the oldest goes");
    }

    #[test]
    fn nan_is_never_best() {
        assert_eq!(best([f64::NAN, 0.3, 0.2, f64::NAN].into_iter(), Order::Min), Some(2));
        assert_eq!(best([f64::NAN].into_iter(), Order::Max), None);
        assert_eq!(best([1.0, 1.0].into_iter(), Order::Max), Some(0));
    }
}
