//! Errors of a run that has ended early: its ranks failed, or Ctrl-C stopped it.

use std::error::Error as StdError;
use std::fmt;

use thiserror::Error;

use super::message::rank_list;
use crate::Checkpoint;

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
    /// The rank that failed.
    pub rank: usize,
    /// The error that its loop returned, its panic, or the reason why its actor is dead.
    pub error: ray::Error,
}

/// A run ended because ranks failed, and it could not be restarted.
///
/// [`Trainer::fit`](crate::Trainer::fit) returns it inside a [`ray::Error`]. It lists the ranks that failed by themselves, and not
/// the ranks that were released because of them. Its `source()` is the error of the first rank in the list.
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
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrainingFailed {
    /// The run's name.
    pub run: String,
    /// The ranks of the last group that failed, in ascending order, each with its error.
    pub worker_failures: Vec<WorkerFailure>,
    /// The number of groups that failed, including the last one.
    pub failures: u32,
    /// The error of the restart, if a retry was left and the restart failed.
    pub restart: Option<ray::Error>,
    /// The last checkpoint. A run of the same name continues from it.
    pub checkpoint: Option<Checkpoint>,
}

// By hand: `thiserror` takes the source from a field, and here it is in the list of failures.
impl StdError for TrainingFailed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.worker_failures.first().map(|failure| &failure.error as &(dyn StdError + 'static))
    }
}

impl fmt::Display for TrainingFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the run `{}` failed", self.run)?;
        if self.failures > 1 {
            let end = if self.restart.is_none() { ", and no retry is left" } else { "" };
            write!(f, " for the {} time{end}", Ordinal(self.failures))?;
        }
        for (at, (ranks, text)) in by_text(&self.worker_failures).iter().enumerate() {
            let separator = if at == 0 { ": " } else { "; " };
            write!(f, "{separator}{}: {text}", rank_list(ranks))?;
        }
        if let Some(error) = &self.restart {
            write!(f, "; it could not be restarted: {error}")?;
        }
        LastCheckpoint(self.checkpoint.as_ref()).fmt(f)
    }
}

/// Groups the ranks whose errors have the same text, so that a message repeats no text.
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

struct Ordinal(u32);

impl fmt::Display for Ordinal {
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

/// Ctrl-C stopped a run.
///
/// ```no_run
/// # let trainer = ray_train::Trainer::new(|_: &ray_train::TrainContext| Ok(()));
/// if let Err(error) = trainer.fit() {
///     if let Some(stopped) = error.downcast_ref::<ray_train::Interrupted>() {
///         println!("stopped; the run continues from {:?}", stopped.checkpoint);
///     }
/// }
/// ```
#[derive(Clone, Debug, Error)]
#[error("the run `{run}` was interrupted{}", LastCheckpoint(.checkpoint.as_ref()))]
#[non_exhaustive]
pub struct Interrupted {
    /// The run's name.
    pub run: String,
    /// The last checkpoint. A run of the same name continues from it.
    pub checkpoint: Option<Checkpoint>,
}

/// The last checkpoint of a run that has ended early, as the end of an error message.
struct LastCheckpoint<'a>(Option<&'a Checkpoint>);

impl fmt::Display for LastCheckpoint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(checkpoint) => {
                let path = checkpoint.path().display();
                write!(f, "; the last checkpoint is {path}, and a run of the same name continues from it")
            }
            None => write!(f, "; there is no checkpoint yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training_failed(worker_failures: Vec<WorkerFailure>) -> TrainingFailed {
        TrainingFailed { run: "a".into(), worker_failures, failures: 1, restart: None, checkpoint: None }
    }

    #[test]
    fn the_source_is_the_error_of_the_first_failed_rank() {
        let failure = |rank, text: &str| WorkerFailure { rank, error: ray::Error::other(text.to_owned()) };
        let failed = training_failed(vec![failure(1, "no weights"), failure(3, "no data")]);
        assert_eq!(StdError::source(&failed).unwrap().to_string(), "no weights");
        assert!(StdError::source(&training_failed(Vec::new())).is_none());
    }
}
