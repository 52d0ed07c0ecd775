//! What goes wrong in a run, as types that [`ray::Error::downcast_ref`] finds.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

use crate::Checkpoint;

/// An error of ours that is no more than its text.
pub(crate) fn failed(message: impl Into<String>) -> ray::Error {
    ray::Error::other(message.into())
}

/// Why one rank of a group failed.
///
/// ```
/// # let error = ray_train::Trainer::new(|_: &ray_train::TrainContext| -> ray::Result<()> { panic!("torn") })
/// #     .run_config(ray_train::RunConfig::temporary("doc-worker-failure")?).fit().unwrap_err();
/// let failed = error.downcast_ref::<ray_train::TrainingFailed>().unwrap();
/// assert_eq!(failed.worker_failures[0].rank, 0);
/// assert!(failed.worker_failures[0].error.to_string().contains("torn"));
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorkerFailure {
    /// Which one.
    pub rank: usize,
    /// What its loop returned, the panic, or why it is dead.
    pub error: ray::Error,
}

/// A run ended because ranks failed, and no retry was left or possible.
///
/// It is what [`Trainer::fit`](crate::Trainer::fit) returns, inside a [`ray::Error`]; the ranks listed are those that
/// failed of their own accord, not those that were released because of them.
///
/// ```
/// use ray_train::{RunConfig, ScalingConfig, TrainContext, Trainer, TrainingFailed};
///
/// fn train(ctx: &TrainContext) -> ray::Result<()> {
///     if ctx.world_rank() == 1 {
///         return Err(ray::Error::other("no such file"));
///     }
///     ctx.barrier() // released as soon as rank 1 fails
/// }
///
/// # let _ = ray::init_with(ray::Config::new().num_cpus(2));
/// let run = RunConfig::temporary("doc-training-failed")?;
/// let error = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit().unwrap_err();
/// let failed = error.downcast_ref::<TrainingFailed>().unwrap();
/// assert_eq!(failed.worker_failures.len(), 1);
/// assert_eq!(failed.worker_failures[0].rank, 1);
/// assert!(failed.checkpoint.is_none());
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub struct TrainingFailed {
    /// The run's name.
    pub run: String,
    /// The ranks of the last group that failed, in their order, and why.
    pub worker_failures: Vec<WorkerFailure>,
    /// Groups that failed, the last one included.
    pub failures: u32,
    /// Why the run could not be started again, where a retry was left.
    pub restart: Option<ray::Error>,
    /// The last checkpoint, which a run of the same name goes on from.
    pub checkpoint: Option<Checkpoint>,
}

impl fmt::Display for TrainingFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the run `{}` failed", self.run)?;
        if self.failures > 1 {
            let end = if self.restart.is_none() { ", and no retry is left" } else { "" };
            write!(f, " for the {} time{end}", Nth(self.failures))?;
        }
        for (at, (ranks, text)) in by_text(&self.worker_failures).iter().enumerate() {
            let mark = if at == 0 { ": " } else { "; " };
            write!(f, "{mark}{}: {text}", listed(ranks))?;
        }
        if let Some(error) = &self.restart {
            write!(f, "; it could not be started again: {error}")?;
        }
        Last(self.checkpoint.as_ref()).fmt(f)
    }
}

/// What several ranks say in the same words is said once, with the ranks.
fn by_text(failures: &[WorkerFailure]) -> Vec<(Vec<usize>, String)> {
    let mut by_text: Vec<(Vec<usize>, String)> = Vec::new();
    for failure in failures {
        let text = failure.error.to_string();
        match by_text.iter_mut().find(|(_, known)| *known == text) {
            Some((ranks, _)) => ranks.push(failure.rank),
            None => by_text.push((vec![failure.rank], text)),
        }
    }
    by_text
}

/// `rank 1`, `ranks 1, 2 and 4`.
pub(crate) fn listed(ranks: &[usize]) -> String {
    match ranks {
        [one] => format!("rank {one}"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(usize::to_string).collect();
            format!("ranks {} and {last}", first.join(", "))
        }
        [] => "no rank".to_owned(),
    }
}

struct Nth(u32);

impl fmt::Display for Nth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match (self.0 % 100, self.0 % 10) {
            (11..=13, _) => "th",
            (_, 1) => "st",
            (_, 2) => "nd",
            (_, 3) => "rd",
            _ => "th",
        };
        write!(f, "{}{suffix}", self.0)
    }
}

/// A run was stopped by Ctrl-C.
///
/// ```no_run
/// # let trainer = ray_train::Trainer::new(|_: &ray_train::TrainContext| Ok(()));
/// if let Err(error) = trainer.fit() {
///     if let Some(stopped) = error.downcast_ref::<ray_train::Interrupted>() {
///         println!("stopped; {:?} is where it will go on", stopped.checkpoint);
///     }
/// }
/// ```
#[derive(Clone, Debug, Error)]
#[error("the run `{run}` was interrupted{}", Last(.checkpoint.as_ref()))]
#[non_exhaustive]
pub struct Interrupted {
    /// The run's name.
    pub run: String,
    /// The last checkpoint, which a run of the same name goes on from.
    pub checkpoint: Option<Checkpoint>,
}

/// The last checkpoint of a run that has ended early, as the end of a sentence.
struct Last<'a>(Option<&'a Checkpoint>);

impl fmt::Display for Last<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(checkpoint) => {
                write!(f, "; the last checkpoint is {}, and a run of the same name goes on from it", checkpoint.path().display())
            }
            None => write!(f, "; there is no checkpoint yet"),
        }
    }
}

/// A checkpoint, or the file that lists a run's, is not as it was written: cut short, changed, or of another program.
///
/// [`RunConfig::fall_back`](crate::RunConfig::fall_back) takes the one before it.
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
    /// The file or directory.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

/// A run of the same name and place is in progress.
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
    "a run of this name is in progress in {} ({holder}): wait for its end, or take another name or storage",
    path.display()
)]
#[non_exhaustive]
pub struct InProgress {
    /// The run's directory.
    pub path: PathBuf,
    /// Which process has it, as it wrote there itself.
    pub holder: String,
}

/// The group's resources could not be had.
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
    /// What is asked for, what there is and who has it.
    pub message: String,
}

/// What a rank gets that was released because of others: no failure of its own.
#[derive(Clone, Debug, Error)]
#[error("{why}")]
pub(crate) struct Released {
    pub(crate) why: String,
}

impl Released {
    pub(crate) fn error(why: impl Into<String>) -> ray::Error {
        ray::Error::other(Released { why: why.into() })
    }

    /// Whether an error, or what caused it, is a release.
    pub(crate) fn is_in(error: &ray::Error) -> bool {
        let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(error) = at {
            if error.downcast_ref::<ray::Error>().is_some_and(|error| error.downcast_ref::<Released>().is_some()) {
                return true;
            }
            at = error.source();
        }
        false
    }
}
