//! A checkpoint: a directory of files, and a few words about them.

pub(crate) mod files;
pub(crate) mod manifest;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Metrics;
use crate::faults::failed;

/// The file of a checkpoint's metadata, as Ray calls it.
pub(crate) const METADATA: &str = ".metadata.json";

/// A directory with what a run goes on from: files that the loop writes in its own formats, and metadata.
///
/// The loop asks for an empty one with [`TrainContext::new_checkpoint`](crate::TrainContext::new_checkpoint) (or takes any
/// directory of its own, [`Checkpoint::from_directory`]), fills it, and gives it to
/// [`report`](crate::TrainContext::report), which moves it to its place in the run's directory. Whoever holds the last
/// clone of one that was never reported has its files removed with it.
///
/// ```
/// use ray_train::{RunConfig, TrainContext, Trainer};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Progress {
///     epoch: usize,
/// }
///
/// fn train(ctx: &TrainContext) -> ray::Result<f64> {
///     let (first, mut weight) = match ctx.checkpoint() {
///         None => (0, 0.0),
///         Some(checkpoint) => {
///             let text = std::fs::read_to_string(checkpoint.path().join("weight.txt")).map_err(ray::Error::other)?;
///             (checkpoint.metadata::<Progress>()?.epoch + 1, text.parse().map_err(ray::Error::other)?)
///         }
///     };
///     for epoch in first..3 {
///         weight += 0.5;
///         let checkpoint = ctx.new_checkpoint()?;
///         std::fs::write(checkpoint.path().join("weight.txt"), weight.to_string()).map_err(ray::Error::other)?;
///         checkpoint.set_metadata(&Progress { epoch })?;
///         ctx.report([("weight", weight)].into_iter().collect::<ray_train::Metrics>(), Some(checkpoint))?;
///     }
///     Ok(weight)
/// }
///
/// let result = Trainer::new(train).run_config(RunConfig::temporary("doc-checkpoint")?).fit()?;
/// assert_eq!(result.checkpoint().unwrap().metadata::<Progress>()?.epoch, 2);
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone)]
pub struct Checkpoint(Arc<Directory>);

struct Directory {
    path: PathBuf,
    /// Ours to move and to remove, as long as it was not reported.
    staged: bool,
    /// A report has moved its files away, or was about to.
    spent: AtomicBool,
    /// What a temporary run lies in, so that it stays as long as this is looked at.
    _storage: Option<Arc<tempfile::TempDir>>,
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.staged {
            // What cannot be removed now goes when the run is opened the next time.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Checkpoint {
    /// A checkpoint of a directory that you have filled, and that stays yours: reporting it copies the files.
    ///
    /// ```
    /// let dir = tempfile::tempdir().unwrap();
    /// let checkpoint = ray_train::Checkpoint::from_directory(dir.path());
    /// assert_eq!(checkpoint.path(), dir.path());
    /// ```
    #[must_use]
    pub fn from_directory(path: impl Into<PathBuf>) -> Checkpoint {
        Checkpoint::of(path.into(), false, None)
    }

    fn of(path: PathBuf, staged: bool, storage: Option<Arc<tempfile::TempDir>>) -> Checkpoint {
        Checkpoint(Arc::new(Directory { path, staged, spent: AtomicBool::new(false), _storage: storage }))
    }

    /// An empty directory, for a loop to fill. No other has its name, not even that of a rank which an earlier group left behind
    /// and which still writes.
    pub(crate) fn staged(staging: &Path, rank: usize) -> ray::Result<Checkpoint> {
        let made = std::fs::create_dir_all(staging)
            .and_then(|()| tempfile::Builder::new().prefix(&format!("rank-{rank}-")).tempdir_in(staging));
        let made = made.map_err(|error| files::at("the directory of a checkpoint cannot be made", staging, &error))?;
        Ok(Checkpoint::of(made.keep(), true, None))
    }

    /// One that lies in its place.
    pub(crate) fn kept(path: PathBuf, storage: Option<Arc<tempfile::TempDir>>) -> Checkpoint {
        Checkpoint::of(path, false, storage)
    }

    /// Whether the files may be moved out of it.
    pub(crate) fn is_staged(&self) -> bool {
        self.0.staged
    }

    /// Whether a report has had its files already.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.spent.load(Ordering::Relaxed)
    }

    /// Its files are about to be moved away.
    pub(crate) fn spend(&self) {
        self.0.spent.store(true, Ordering::Relaxed);
    }

    /// Where its files are.
    ///
    /// ```
    /// let checkpoint = ray_train::Checkpoint::from_directory("somewhere");
    /// assert_eq!(checkpoint.path().join("model.safetensors"), std::path::Path::new("somewhere/model.safetensors"));
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Copies its files into a directory, which is made if it is not there.
    ///
    /// # Errors
    /// What the file system says, with the path.
    ///
    /// ```
    /// let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    /// std::fs::write(from.path().join("a"), "1").unwrap();
    /// ray_train::Checkpoint::from_directory(from.path()).to_directory(to.path().join("copy"))?;
    /// assert_eq!(std::fs::read_to_string(to.path().join("copy/a")).unwrap(), "1");
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn to_directory(&self, path: impl AsRef<Path>) -> ray::Result<()> {
        for file in files::list(self.path())? {
            files::copy(&self.path().join(&file), &path.as_ref().join(&file))?;
        }
        Ok(())
    }

    /// Writes metadata, in the place of what was there: the fields of a struct or the entries of a map, beside the files.
    /// It is where the loop says how far it is: the epoch, the step. The states of the ranks' generators are kept anyway.
    ///
    /// # Errors
    /// As [`Metrics::of`], and what the file system says.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let checkpoint = ray_train::Checkpoint::from_directory(dir.path());
    /// checkpoint.set_metadata(&std::collections::BTreeMap::from([("epoch", 3), ("step", 120)]))?;
    /// let read: std::collections::BTreeMap<String, u64> = checkpoint.metadata()?;
    /// assert_eq!(read["step"], 120);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn set_metadata(&self, metadata: &impl Serialize) -> ray::Result<()> {
        files::write_json(&self.path().join(METADATA), &Metrics::of(metadata)?)
    }

    /// Writes metadata beside what is there: names that are there already get the new values.
    ///
    /// # Errors
    /// As [`set_metadata`](Self::set_metadata).
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let checkpoint = ray_train::Checkpoint::from_directory(dir.path());
    /// checkpoint.set_metadata(&ray_train::Metrics::new().with("epoch", 3))?;
    /// checkpoint.update_metadata(&ray_train::Metrics::new().with("loss", f64::NAN))?;
    /// let read: ray_train::Metrics = checkpoint.metadata()?;
    /// assert!(read.number("epoch") == Some(3.0) && read.number("loss").unwrap().is_nan());
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn update_metadata(&self, metadata: &impl Serialize) -> ray::Result<()> {
        let mut all = self.all_metadata()?;
        for (name, value) in Metrics::of(metadata)?.iter() {
            all.set(name.to_owned(), value.clone());
        }
        files::write_json(&self.path().join(METADATA), &all)
    }

    /// The metadata, as a type of your own; without any it is that of no fields.
    ///
    /// # Errors
    /// A field that is missing or of another type, by name; a file that is no metadata.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let checkpoint = ray_train::Checkpoint::from_directory(dir.path());
    /// #[derive(Debug, serde::Deserialize)]
    /// struct Progress { epoch: usize }
    /// assert!(checkpoint.metadata::<Progress>().unwrap_err().to_string().contains("epoch"));
    /// ```
    pub fn metadata<T: DeserializeOwned>(&self) -> ray::Result<T> {
        let all = self.all_metadata()?;
        all.to().map_err(|error| failed(format!("the metadata of the checkpoint {}: {error}", self.path().display())))
    }

    pub(crate) fn all_metadata(&self) -> ray::Result<Metrics> {
        let path = self.path().join(METADATA);
        if !path.exists() {
            return Ok(Metrics::new());
        }
        files::read_json(&path).map_err(ray::Error::other)
    }
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checkpoint({})", self.path().display())
    }
}
