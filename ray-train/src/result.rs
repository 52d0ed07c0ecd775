//! The result of a run.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::Order;
use crate::error::failed;
use crate::run_directory::{RunContents, best};
use crate::trainer::run_recorder::RunRecorder;
use crate::{Checkpoint, Metrics, Report};

/// The result of a run: its reports, the checkpoints that are kept, and the value that the loop of rank 0 returned.
///
/// ```
/// use ray_train::{Metrics, RunConfig, TrainContext, Trainer};
///
/// let train = |ctx: &TrainContext| {
///     for epoch in 0..3 {
///         ctx.report(Metrics::new().with("epoch", epoch).with("loss", 1.0 / f64::from(epoch + 1)), None)?;
///     }
///     Ok("done")
/// };
/// let result = Trainer::new(train).run_config(RunConfig::temporary("doc-result")?).fit()?;
/// assert_eq!(result.metrics().number("epoch"), Some(2.0));
/// assert_eq!(result.history().len(), 3);
/// assert_eq!(result.into_value(), "done");
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone)]
pub struct TrainResult<R> {
    value: R,
    path: PathBuf,
    history: Vec<Report>,
    metrics: Metrics,
    score: Option<(String, Order)>,
    workers: usize,
}

impl<R> TrainResult<R> {
    pub(crate) fn of_run(value: R, recorder: &RunRecorder, workers: usize) -> TrainResult<R> {
        let history = recorder.directory.history();
        TrainResult {
            value,
            path: recorder.directory.path().to_owned(),
            metrics: last(&history),
            history,
            score: recorder.config.checkpoint_config().score.clone(),
            workers,
        }
    }

    /// The value that the loop of rank 0 returned.
    ///
    /// ```
    /// # let run = ray_train::RunConfig::temporary("doc-value")?;
    /// let result = ray_train::Trainer::new(|_: &ray_train::TrainContext| Ok(7)).run_config(run).fit()?;
    /// assert_eq!(*result.value(), 7);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[must_use]
    pub fn value(&self) -> &R {
        &self.value
    }

    /// Returns the value that the loop of rank 0 returned.
    ///
    /// ```
    /// # fn model(result: ray_train::TrainResult<Vec<f32>>) -> Vec<f32> {
    /// result.into_value()
    /// # }
    /// ```
    #[must_use]
    pub fn into_value(self) -> R {
        self.value
    }

    /// The metrics of the last report, with or without a checkpoint. They are empty if there was no report.
    ///
    /// ```
    /// # fn show(result: &ray_train::TrainResult<()>) {
    /// println!("{}", result.metrics());
    /// # }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// All reports of the run, including those before it was resumed.
    ///
    /// ```
    /// # fn losses(result: &ray_train::TrainResult<()>) -> Vec<f64> {
    /// result.history().iter().filter_map(|report| report.metrics().number("loss")).collect()
    /// # }
    /// ```
    #[must_use]
    pub fn history(&self) -> &[Report] {
        &self.history
    }

    /// The last checkpoint.
    ///
    /// ```
    /// # fn show(result: &ray_train::TrainResult<()>) {
    /// if let Some(checkpoint) = result.checkpoint() {
    ///     println!("{}", checkpoint.path().display());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.history.iter().rev().find_map(Report::checkpoint)
    }

    /// The checkpoints that are kept, the oldest first, with the metrics of their reports.
    ///
    /// ```
    /// # fn show(result: &ray_train::TrainResult<()>) {
    /// for (checkpoint, metrics) in result.checkpoints() {
    ///     println!("{}: {metrics}", checkpoint.path().display());
    /// }
    /// # }
    /// ```
    pub fn checkpoints(&self) -> impl Iterator<Item = (&Checkpoint, &Metrics)> {
        self.history.iter().filter_map(|report| Some((report.checkpoint()?, report.metrics())))
    }

    /// The checkpoints that are kept, the best by [`CheckpointConfig::score`](crate::CheckpointConfig::score) first, and those with a
    /// score of NaN last. Without a score, the newest is first.
    ///
    /// ```
    /// # fn best(result: &ray_train::TrainResult<()>) -> Option<ray_train::Checkpoint> {
    /// result.best_checkpoints().first().map(|(checkpoint, _)| checkpoint.clone().clone())
    /// # }
    /// ```
    #[must_use]
    pub fn best_checkpoints(&self) -> Vec<(&Checkpoint, &Metrics)> {
        let mut all: Vec<_> = self.checkpoints().collect();
        all.reverse();
        if let Some((metric, order)) = &self.score {
            let score = |metrics: &Metrics| metrics.number(metric).unwrap_or(f64::NAN);
            all.sort_by(|(_, a), (_, b)| {
                let (a, b) = (score(a), score(b));
                order.is_better(b, a).cmp(&order.is_better(a, b))
            });
        }
        all
    }

    /// The best checkpoint by a metric; none if no checkpoint has a number of this name that is not NaN.
    ///
    /// ```
    /// # use ray_train::Order;
    /// # fn best(result: &ray_train::TrainResult<()>) -> Option<&ray_train::Checkpoint> {
    /// result.best_checkpoint("loss", Order::Min)
    /// # }
    /// ```
    #[must_use]
    pub fn best_checkpoint(&self, metric: &str, order: Order) -> Option<&Checkpoint> {
        let scores = self.checkpoints().map(|(_, metrics)| metrics.number(metric).unwrap_or(f64::NAN));
        self.checkpoints().nth(best(scores, order)?).map(|(checkpoint, _)| checkpoint)
    }

    /// The run's directory.
    ///
    /// ```
    /// # fn show(result: &ray_train::TrainResult<()>) {
    /// println!("{}", result.path().display());
    /// # }
    /// ```
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of workers in the group that finished the run.
    ///
    /// ```
    /// # fn show(result: &ray_train::TrainResult<()>) {
    /// println!("by {}", result.workers());
    /// # }
    /// ```
    #[must_use]
    pub fn workers(&self) -> usize {
        self.workers
    }
}

impl TrainResult<()> {
    /// Reads the result from a run's directory. The run may have ended, may have been interrupted, or may be in progress.
    ///
    /// # Errors
    /// The directory has no run; [`Damaged`](crate::Damaged).
    ///
    /// ```
    /// # use ray_train::{Metrics, RunConfig, TrainContext, Trainer, TrainResult};
    /// let run = RunConfig::temporary("doc-from-path")?;
    /// let train = |ctx: &TrainContext| ctx.report(Metrics::new().with("loss", f64::NAN), None);
    /// Trainer::new(train).run_config(run.clone()).fit()?;
    /// assert!(TrainResult::from_path(run.path()?)?.metrics().number("loss").unwrap().is_nan());
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn from_path(path: impl AsRef<Path>) -> ray::Result<TrainResult<()>> {
        let path = path.as_ref();
        let contents = RunContents::read(path).map_err(ray::Error::other)?;
        let contents = contents.ok_or_else(|| failed(format!("there is no run in {}: it has no run.json", path.display())))?;
        let history = contents.history(path);
        Ok(TrainResult {
            value: (),
            path: path.to_owned(),
            metrics: last(&history),
            history,
            score: contents.score(),
            workers: contents.workers(),
        })
    }
}

fn last(history: &[Report]) -> Metrics {
    history.last().map(|report| report.metrics.clone()).unwrap_or_default()
}

impl<R: fmt::Debug> fmt::Debug for TrainResult<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainResult")
            .field("value", &self.value)
            .field("path", &self.path)
            .field("metrics", &self.metrics)
            .field("reports", &self.history.len())
            .finish_non_exhaustive()
    }
}
