//! The configuration of a run and of its checkpoints.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::Report;
use crate::error::failed;

/// The default of [`RunConfig::timeout`]: half an hour, as in Ray's collectives.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);

/// The default of [`RunConfig::grace`].
const DEFAULT_GRACE: Duration = Duration::from_secs(5);

pub(crate) type Callback = Arc<dyn Fn(&Report) + Send + Sync>;

/// A run's name and storage, which checkpoints it keeps, how many failures it tolerates, and how long it waits.
///
/// The directory of a run has the run's name, below the storage. If it exists already, the run continues from its last checkpoint,
/// also with more epochs or another number of workers.
///
/// ```
/// use ray_train::{CheckpointConfig, Order, RunConfig};
///
/// let run = RunConfig::new("fashion-mnist")
///     .storage("results")
///     .checkpoints(CheckpointConfig::new().num_to_keep(2).score("accuracy", Order::Max))
///     .max_failures(3)
///     .seed(7);
/// assert_eq!(run.path()?, std::path::Path::new("results/fashion-mnist"));
/// # Ok::<(), ray::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct RunConfig {
    name: Option<String>,
    storage: Option<PathBuf>,
    temporary: Option<Arc<tempfile::TempDir>>,
    checkpoints: CheckpointConfig,
    max_failures: i64,
    timeout: Duration,
    grace: Duration,
    seed: u64,
    fall_back: bool,
    callbacks: Vec<Callback>,
}

impl Default for RunConfig {
    /// A new run with a unique name from the current time: `ray_train_run-2026-01-31_12-00-00-123456`.
    fn default() -> RunConfig {
        RunConfig {
            name: None,
            storage: None,
            temporary: None,
            checkpoints: CheckpointConfig::new(),
            max_failures: 0,
            timeout: DEFAULT_TIMEOUT,
            grace: DEFAULT_GRACE,
            seed: 0,
            fall_back: false,
            callbacks: Vec::new(),
        }
    }
}

impl RunConfig {
    /// The run of this name: a new run, or an existing run to continue.
    ///
    /// ```
    /// let run = ray_train::RunConfig::new("my-run");
    /// ```
    pub fn new(name: impl Into<String>) -> RunConfig {
        RunConfig { name: Some(name.into()), ..RunConfig::default() }
    }

    /// A run in a temporary directory, for tests. The directory is removed when the last clone of this configuration, and the last
    /// checkpoint of the run, is dropped.
    ///
    /// # Errors
    /// The temporary directory cannot be created.
    ///
    /// ```
    /// let run = ray_train::RunConfig::temporary("a-test")?;
    /// assert!(run.path()?.ends_with("a-test"));
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn temporary(name: impl Into<String>) -> ray::Result<RunConfig> {
        let dir = tempfile::Builder::new().prefix("ray-train-").tempdir();
        let dir = dir.map_err(|error| failed(format!("a temporary directory cannot be created: {error}")))?;
        Ok(RunConfig { temporary: Some(Arc::new(dir)), ..RunConfig::new(name) })
    }

    /// The directory that contains the directories of runs; by default `ray_results` in the home directory.
    ///
    /// ```
    /// let run = ray_train::RunConfig::new("a").storage("somewhere");
    /// assert_eq!(run.path()?, std::path::Path::new("somewhere/a"));
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn storage(mut self, path: impl Into<PathBuf>) -> RunConfig {
        self.storage = Some(path.into());
        self.temporary = None;
        self
    }

    /// Which checkpoints are kept; by default all of them.
    ///
    /// ```
    /// # use ray_train::{CheckpointConfig, RunConfig};
    /// let run = RunConfig::new("a").checkpoints(CheckpointConfig::new().num_to_keep(1));
    /// ```
    pub fn checkpoints(mut self, checkpoints: CheckpointConfig) -> RunConfig {
        self.checkpoints = checkpoints;
        self
    }

    /// The number of times that the group may fail. After each of these failures the whole group is restarted from the last
    /// checkpoint. The default is 0; -1 means without limit.
    ///
    /// ```
    /// # use std::sync::atomic::{AtomicU32, Ordering};
    /// # use ray_train::{RunConfig, TrainContext, Trainer};
    /// let attempts = AtomicU32::new(0);
    /// let train = move |_: &TrainContext| match attempts.fetch_add(1, Ordering::Relaxed) {
    ///     0 => Err(ray::Error::other("the first time")),
    ///     n => Ok(n),
    /// };
    /// let run = RunConfig::temporary("doc-max-failures")?.max_failures(1);
    /// assert_eq!(Trainer::new(train).run_config(run).fit()?.into_value(), 1);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn max_failures(mut self, failures: i64) -> RunConfig {
        self.max_failures = failures;
        self
    }

    /// The time that a rank waits for the others in a collective operation or at a report; by default 1800 s. Then the operation
    /// fails, and the error names the missing ranks.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let run = ray_train::RunConfig::new("a").timeout(Duration::from_secs(60));
    /// ```
    pub fn timeout(mut self, longest: Duration) -> RunConfig {
        self.timeout = longest;
        self
    }

    /// The time that the loops have to return after their group has failed or was interrupted; by default 5 s. A rank whose loop is
    /// in code that cannot be interrupted is abandoned after that: its loop continues, but each call of its context fails.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let run = ray_train::RunConfig::new("a").grace(Duration::from_millis(100));
    /// ```
    pub fn grace(mut self, grace: Duration) -> RunConfig {
        self.grace = grace;
        self
    }

    /// The seed for the generators of the ranks and for the order of the data; by default 0.
    ///
    /// ```
    /// let run = ray_train::RunConfig::new("a").seed(42);
    /// ```
    pub fn seed(mut self, seed: u64) -> RunConfig {
        self.seed = seed;
        self
    }

    /// Whether the run skips a damaged checkpoint and continues from the one before it. By default a damaged checkpoint is an error.
    ///
    /// ```
    /// let run = ray_train::RunConfig::new("a").fall_back(true);
    /// ```
    pub fn fall_back(mut self, fall_back: bool) -> RunConfig {
        self.fall_back = fall_back;
        self
    }

    /// Adds a callback for each report of the group, for instance to print or to log. The ranks wait while it runs. Several callbacks
    /// are called in the order in which they were added.
    ///
    /// The callback runs on the thread that called `fit`; if a task or an actor's method called `fit`, it runs on a separate thread. A
    /// panic in it ends the run, and `fit` panics with the same value; in place it is a panic of the loop.
    ///
    /// ```
    /// # use ray_train::{Metrics, RunConfig, TrainContext, Trainer};
    /// let run = RunConfig::temporary("doc-on-report")?
    ///     .on_report(|report| println!("{}: {}", report.number(), report.metrics()));
    /// Trainer::new(|ctx: &TrainContext| ctx.report(Metrics::new().with("loss", 0.5), None)).run_config(run).fit()?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn on_report(mut self, callback: impl Fn(&Report) + Send + Sync + 'static) -> RunConfig {
        self.callbacks.push(Arc::new(callback));
        self
    }

    /// The run's directory.
    ///
    /// # Errors
    /// The run has no name yet; the name cannot be the name of a directory; there is neither a storage nor a home directory.
    ///
    /// ```
    /// assert!(ray_train::RunConfig::new("../a").path().is_err());
    /// ```
    pub fn path(&self) -> ray::Result<PathBuf> {
        let name = self.name.as_deref().ok_or_else(|| {
            failed(
                "a run without a name has no directory before it starts: name it with RunConfig::new, or use TrainResult::path after it",
            )
        })?;
        let valid = !name.trim().is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0']);
        if !valid {
            return Err(failed(format!("`{name}` cannot be the name of a run, because it cannot be the name of a directory")));
        }
        let storage = match (&self.temporary, &self.storage) {
            (Some(dir), _) => dir.path().to_owned(),
            (_, Some(path)) => path.clone(),
            _ => std::env::home_dir()
                .ok_or_else(|| {
                    failed("there is no home directory for `ray_results`: choose a directory with RunConfig::storage")
                })?
                .join("ray_results"),
        };
        Ok(storage.join(name))
    }

    /// A clone that has a name: its own, or a new one from the current time.
    pub(crate) fn named(&self) -> RunConfig {
        let mut named = self.clone();
        named.name.get_or_insert_with(|| jiff::Timestamp::now().strftime("ray_train_run-%Y-%m-%d_%H-%M-%S-%6f").to_string());
        named
    }

    /// # Errors
    /// A setting is out of range.
    pub(crate) fn validate(&self) -> ray::Result<()> {
        if self.checkpoints.num_to_keep == Some(0) {
            return Err(failed("CheckpointConfig::num_to_keep(0): pass 1 or more, because the last checkpoint is always kept"));
        }
        if self.max_failures < -1 {
            return Err(failed(format!("RunConfig::max_failures({}): pass 0 or more, or -1 for no limit", self.max_failures)));
        }
        Ok(())
    }

    pub(crate) fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    pub(crate) fn temporary_storage(&self) -> Option<Arc<tempfile::TempDir>> {
        self.temporary.clone()
    }

    pub(crate) fn checkpoint_config(&self) -> &CheckpointConfig {
        &self.checkpoints
    }

    /// Whether a retry is left after this number of failures.
    pub(crate) fn allows_failures(&self, failures: u32) -> bool {
        self.max_failures < 0 || i64::from(failures) <= self.max_failures
    }

    /// The time that a rank waits for the others.
    pub(crate) fn rank_timeout(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn grace_period(&self) -> Duration {
        self.grace
    }

    pub(crate) fn run_seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn may_fall_back(&self) -> bool {
        self.fall_back
    }

    pub(crate) fn callbacks(&self) -> &[Callback] {
        &self.callbacks
    }
}

impl fmt::Debug for RunConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunConfig")
            .field("name", &self.name)
            .field("storage", &self.storage)
            .field("checkpoints", &self.checkpoints)
            .field("max_failures", &self.max_failures)
            .field("timeout", &self.timeout)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

/// Whether a larger or a smaller value of a metric is better.
///
/// ```
/// use ray_train::Order;
/// assert!(Order::Min.is_better(0.1, 0.2) && Order::Max.is_better(0.9, f64::NAN));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Larger is better, as for an accuracy.
    Max,
    /// Smaller is better, as for a loss.
    Min,
}

impl Order {
    /// Whether `a` is better than `b`. Every other number is better than NaN, and NaN is never better.
    ///
    /// ```
    /// # use ray_train::Order;
    /// assert!(!Order::Min.is_better(f64::NAN, 0.2) && !Order::Min.is_better(0.2, 0.2));
    /// ```
    #[must_use]
    pub fn is_better(self, a: f64, b: f64) -> bool {
        match self {
            _ if a.is_nan() => false,
            _ if b.is_nan() => true,
            Order::Max => a > b,
            Order::Min => a < b,
        }
    }
}

/// Which checkpoints of a run are kept.
///
/// ```
/// use ray_train::{CheckpointConfig, Order};
/// let best_two = CheckpointConfig::new().num_to_keep(2).score("loss", Order::Min);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CheckpointConfig {
    pub(crate) num_to_keep: Option<usize>,
    pub(crate) score: Option<(String, Order)>,
}

impl CheckpointConfig {
    /// Keeps all checkpoints.
    ///
    /// ```
    /// let all = ray_train::CheckpointConfig::new();
    /// ```
    pub fn new() -> CheckpointConfig {
        CheckpointConfig::default()
    }

    /// The number of checkpoints to keep: the last ones, or the best ones by [`score`](Self::score). As in Ray, the last checkpoint is
    /// always kept, because the run continues from it: if it is not among the best, it is kept in addition to them. With 0 `fit` fails.
    ///
    /// ```
    /// let last = ray_train::CheckpointConfig::new().num_to_keep(1);
    /// ```
    pub fn num_to_keep(mut self, checkpoints: usize) -> CheckpointConfig {
        self.num_to_keep = Some(checkpoints);
        self
    }

    /// The metric that scores checkpoints. A report with a checkpoint fails if it does not have this metric.
    ///
    /// ```
    /// # use ray_train::{CheckpointConfig, Order};
    /// let by_accuracy = CheckpointConfig::new().score("accuracy", Order::Max);
    /// ```
    pub fn score(mut self, metric: impl Into<String>, order: Order) -> CheckpointConfig {
        self.score = Some((metric.into(), order));
        self
    }
}
