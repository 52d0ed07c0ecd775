//! Errors of a run before or between its groups: files that are damaged, a run in progress, resources that are not granted.

use std::path::PathBuf;

use thiserror::Error;

/// A checkpoint, or a file that lists a run's checkpoints or reports, is not as ray-train wrote it: truncated, changed, or written
/// by another program.
///
/// With [`RunConfig::fall_back`](crate::RunConfig::fall_back) the run continues from the checkpoint before it.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let run = ray_train::RunConfig::new("doc-damaged").storage(dir.path());
/// # std::fs::create_dir_all(run.path()?).unwrap();
/// std::fs::write(run.path()?.join("run.json"), "{").unwrap();
/// let error = ray_train::Trainer::new(|_: &ray_train::TrainContext| Ok(())).run_config(run).fit().unwrap_err();
/// assert!(error.downcast_ref::<ray_train::Damaged>().unwrap().path.ends_with("run.json"));
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug, Error)]
#[error("{}: {why}", path.display())]
#[non_exhaustive]
pub struct Damaged {
    /// The damaged file, or the directory of the damaged checkpoint.
    pub path: PathBuf,
    /// The problem, and advice for the user.
    pub why: String,
}

/// Another `fit` trains a run of the same name in the same storage.
///
/// ```
/// # let run = ray_train::RunConfig::temporary("doc-in-progress")?;
/// let inner = run.clone();
/// let train = move |_: &ray_train::TrainContext| {
///     let again = ray_train::Trainer::new(|_: &ray_train::TrainContext| Ok(())).run_config(inner.clone()).fit();
///     assert!(again.unwrap_err().downcast_ref::<ray_train::InProgress>().is_some());
///     Ok(())
/// };
/// ray_train::Trainer::new(train).run_config(run).fit()?;
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug, Error)]
#[error(
    "a run of this name is in progress in {} ({holder}): wait until it ends, or choose another name or storage",
    path.display()
)]
#[non_exhaustive]
pub struct InProgress {
    /// The run's directory.
    pub path: PathBuf,
    /// The process that holds the run's lock, as it described itself in the lock file.
    pub holder: String,
}

/// The engine did not grant the resources that the group asked for.
///
/// ```
/// use ray_train::{NotAdmitted, RunConfig, ScalingConfig, TrainContext, Trainer};
/// # let _ = ray::init_with(ray::Config::new().num_cpus(2));
/// let trainer = Trainer::new(|_: &TrainContext| Ok(()))
///     .scaling(ScalingConfig::workers(1000))
///     .run_config(RunConfig::temporary("doc-not-admitted")?);
/// let error = trainer.fit().unwrap_err();
/// assert!(error.downcast_ref::<NotAdmitted>().is_some());
/// assert!(error.to_string().contains("CPU"));
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug, Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct NotAdmitted {
    /// The resources that the group asked for, the resources of the node, their holders, and advice for the user.
    pub message: String,
}
