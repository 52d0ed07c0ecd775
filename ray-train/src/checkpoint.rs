//! Checkpoints: directories of files, with metadata.

pub(crate) mod files;
pub(crate) mod manifest;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Metrics;
use crate::error::failed;

/// The file name of the metadata of a checkpoint; it is the same as in Ray.
pub(crate) const METADATA: &str = ".metadata.json";

/// A directory from which a run can continue: files that the loop writes in its own formats, and metadata.
///
/// The loop creates an empty one with [`TrainContext::new_checkpoint`](crate::TrainContext::new_checkpoint) (or uses a directory of its
/// own, [`Checkpoint::from_directory`]), writes its files, and passes it to [`report`](crate::TrainContext::report), which moves the
/// files into the run's directory. If a checkpoint of `new_checkpoint` is never reported, the drop of its last clone removes its files.
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
    /// Whether ray-train has created it and no report has committed it: its files may be moved, and are removed at the end.
    staged: bool,
    /// Whether a report has moved its files, or has begun to.
    consumed: AtomicBool,
    /// The storage of a temporary run, which stays until the last checkpoint is dropped.
    _storage: Option<Arc<tempfile::TempDir>>,
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.staged {
            // If it cannot be removed now, the next start of the run removes it.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

impl Checkpoint {
    /// A checkpoint of your own directory. A report copies the files, and leaves the directory unchanged.
    ///
    /// ```
    /// let dir = tempfile::tempdir().unwrap();
    /// let checkpoint = ray_train::Checkpoint::from_directory(dir.path());
    /// assert_eq!(checkpoint.path(), dir.path());
    /// ```
    #[must_use]
    pub fn from_directory(path: impl Into<PathBuf>) -> Checkpoint {
        Checkpoint::with(path.into(), false, None)
    }

    fn with(path: PathBuf, staged: bool, storage: Option<Arc<tempfile::TempDir>>) -> Checkpoint {
        Checkpoint(Arc::new(Directory { path, staged, consumed: AtomicBool::new(false), _storage: storage }))
    }

    /// Creates an empty directory for the files of a loop. Its name is unique, so an abandoned rank of an earlier group, which may
    /// still write, never has the same directory.
    pub(crate) fn staged(staging: &Path, rank: usize) -> ray::Result<Checkpoint> {
        let created = std::fs::create_dir_all(staging)
            .and_then(|()| tempfile::Builder::new().prefix(&format!("rank-{rank}-")).tempdir_in(staging));
        let created =
            created.map_err(|error| files::io_error("the directory of a checkpoint cannot be created", staging, &error))?;
        Ok(Checkpoint::with(created.keep(), true, None))
    }

    /// A checkpoint that a report has committed to the run's directory.
    pub(crate) fn committed(path: PathBuf, storage: Option<Arc<tempfile::TempDir>>) -> Checkpoint {
        Checkpoint::with(path, false, storage)
    }

    /// Whether a report moves its files; otherwise it copies them.
    pub(crate) fn is_staged(&self) -> bool {
        self.0.staged
    }

    /// Whether a report has moved its files already.
    pub(crate) fn is_consumed(&self) -> bool {
        self.0.consumed.load(Ordering::Relaxed)
    }

    /// Records that a report moves its files.
    pub(crate) fn mark_consumed(&self) {
        self.0.consumed.store(true, Ordering::Relaxed);
    }

    /// The directory of its files.
    ///
    /// ```
    /// let checkpoint = ray_train::Checkpoint::from_directory("somewhere");
    /// assert_eq!(checkpoint.path().join("model.safetensors"), std::path::Path::new("somewhere/model.safetensors"));
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Copies its files into a directory, which is created if it does not exist.
    ///
    /// # Errors
    /// A file cannot be copied; the error names the path.
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

    /// Replaces the metadata by the fields of a struct or the entries of a map. A loop stores its progress there: the epoch, the step.
    /// The states of the ranks' generators are stored without its help.
    ///
    /// # Errors
    /// Those of [`Metrics::of`]; the file cannot be written.
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

    /// Adds to the metadata. The values of names that exist already are replaced.
    ///
    /// # Errors
    /// Those of [`set_metadata`](Self::set_metadata); the present metadata cannot be read.
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

    /// The metadata as a type of your own. A checkpoint without metadata has no fields.
    ///
    /// # Errors
    /// A field is missing or of another type, and the error names it; the file is damaged.
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
