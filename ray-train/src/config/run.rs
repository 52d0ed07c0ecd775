//! A run: its name and place, what it keeps, what it forgives.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::Report;
use crate::faults::failed;

/// As Ray's collectives: half an hour.
const TIMEOUT: Duration = Duration::from_secs(1800);

/// How long the ranks of a group that ends have for leaving it.
const GRACE: Duration = Duration::from_secs(5);

pub(crate) type Callback = Arc<dyn Fn(&Report) + Send + Sync>;

/// A run's name and storage, which checkpoints it keeps, how many failures it forgives, and how long it waits.
///
/// A run lies in a directory of its name, below the storage. A run of a name that is there already goes on from its last
/// checkpoint, with more epochs or with another number of workers too.
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
    /// A new run with a name of its own, made of the time: `ray_train_run-2026-01-31_12-00-00`.
    fn default() -> RunConfig {
        RunConfig {
            name: None,
            storage: None,
            temporary: None,
            checkpoints: CheckpointConfig::new(),
            max_failures: 0,
            timeout: TIMEOUT,
            grace: GRACE,
            seed: 0,
            fall_back: false,
            callbacks: Vec::new(),
        }
    }
}

impl RunConfig {
    /// The run of this name: a new one, or the one to go on with.
    ///
    /// ```
    /// let run = ray_train::RunConfig::new("my-run");
    /// ```
    pub fn new(name: impl Into<String>) -> RunConfig {
        RunConfig { name: Some(name.into()), ..RunConfig::default() }
    }

    /// A run in a directory of the system's temporary files, which is removed with the last clone of this, of the result and
    /// of its checkpoints: for tests.
    ///
    /// # Errors
    /// What the file system says.
    ///
    /// ```
    /// let run = ray_train::RunConfig::temporary("a-test")?;
    /// assert!(run.path()?.ends_with("a-test"));
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn temporary(name: impl Into<String>) -> ray::Result<RunConfig> {
        let dir = tempfile::Builder::new().prefix("ray-train-").tempdir();
        let dir = dir.map_err(|error| failed(format!("no temporary directory can be made: {error}")))?;
        Ok(RunConfig { temporary: Some(Arc::new(dir)), ..RunConfig::new(name) })
    }

    /// The directory that runs lie in, by default `ray_results` in the home directory.
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

    /// Which checkpoints are kept; by default all.
    ///
    /// ```
    /// # use ray_train::{CheckpointConfig, RunConfig};
    /// let run = RunConfig::new("a").checkpoints(CheckpointConfig::new().num_to_keep(1));
    /// ```
    pub fn checkpoints(mut self, checkpoints: CheckpointConfig) -> RunConfig {
        self.checkpoints = checkpoints;
        self
    }

    /// How many times the group may fail and is started again from the last checkpoint, as a whole; by default 0, and -1
    /// for ever.
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

    /// How long a rank waits for the others, in a collective or at a report, before it fails and names those that are
    /// missing; by default 1800 s.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let run = ray_train::RunConfig::new("a").timeout(Duration::from_secs(60));
    /// ```
    pub fn timeout(mut self, longest: Duration) -> RunConfig {
        self.timeout = longest;
        self
    }

    /// How long the ranks have for leaving a group that failed or was interrupted, by default 5 s. A rank that is in code of
    /// its own, which nobody can stop, is left behind after that: whatever it asks of its context is an error.
    ///
    /// ```
    /// # use std::time::Duration;
    /// let run = ray_train::RunConfig::new("a").grace(Duration::from_millis(100));
    /// ```
    pub fn grace(mut self, grace: Duration) -> RunConfig {
        self.grace = grace;
        self
    }

    /// What the generators of the ranks and the order of the data begin with, by default 0.
    ///
    /// ```
    /// let run = ray_train::RunConfig::new("a").seed(42);
    /// ```
    pub fn seed(mut self, seed: u64) -> RunConfig {
        self.seed = seed;
        self
    }

    /// Whether a checkpoint that is damaged is passed over, and the one before it taken; by default it is an error.
    ///
    /// ```
    /// let run = ray_train::RunConfig::new("a").fall_back(true);
    /// ```
    pub fn fall_back(mut self, fall_back: bool) -> RunConfig {
        self.fall_back = fall_back;
        self
    }

    /// Adds a callback, which `fit` calls after each report of the group while the ranks wait: to print, to plot, to log. Several
    /// callbacks are called in the order in which they were added.
    ///
    /// The callback runs on the thread that called `fit`, or on a thread of its own where a task or an actor's method called
    /// `fit`. A panic in it ends the run and comes out of `fit`; in place it is a panic of the loop.
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
    /// A run without a name, which gets one when it begins; a name that is no name of a directory; no home directory, and no
    /// storage either.
    ///
    /// ```
    /// assert!(ray_train::RunConfig::new("../a").path().is_err());
    /// ```
    pub fn path(&self) -> ray::Result<PathBuf> {
        let name = self.name.as_deref().ok_or_else(|| {
            failed(
                "a run without a name has no directory yet: RunConfig::new(name) gives it one, and the result knows where it is",
            )
        })?;
        let plain = !name.trim().is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0']);
        if !plain {
            return Err(failed(format!("`{name}` is no name for a run: it becomes that of a directory")));
        }
        let storage = match (&self.temporary, &self.storage) {
            (Some(dir), _) => dir.path().to_owned(),
            (_, Some(path)) => path.clone(),
            _ => std::env::home_dir()
                .ok_or_else(|| failed("there is no home directory for `ray_results`: say where with RunConfig::storage"))?
                .join("ray_results"),
        };
        Ok(storage.join(name))
    }

    /// The same, with a name if it had none.
    pub(crate) fn named(&self) -> RunConfig {
        let mut named = self.clone();
        named.name.get_or_insert_with(|| jiff::Timestamp::now().strftime("ray_train_run-%Y-%m-%d_%H-%M-%S-%6f").to_string());
        named
    }

    pub(crate) fn check(&self) -> ray::Result<()> {
        if self.checkpoints.num_to_keep == Some(0) {
            return Err(failed("CheckpointConfig::num_to_keep is 1 or more: the last checkpoint is always kept"));
        }
        if self.max_failures < -1 {
            return Err(failed(format!("RunConfig::max_failures({}): 0 or more, or -1 for ever", self.max_failures)));
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

    /// Whether so many failures are forgiven.
    pub(crate) fn forgives(&self, failures: u32) -> bool {
        self.max_failures < 0 || i64::from(failures) <= self.max_failures
    }

    pub(crate) fn longest_wait(&self) -> Duration {
        self.timeout
    }

    pub(crate) fn leaving(&self) -> Duration {
        self.grace
    }

    pub(crate) fn first_seed(&self) -> u64 {
        self.seed
    }

    pub(crate) fn falls_back(&self) -> bool {
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

/// Whether more or less is better.
///
/// ```
/// use ray_train::Order;
/// assert!(Order::Min.is_better(0.1, 0.2) && Order::Max.is_better(0.9, f64::NAN));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As for an accuracy.
    Max,
    /// As for a loss.
    Min,
}

impl Order {
    /// Whether `a` is better than `b`. NaN is better than nothing, and everything but NaN is better than it.
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
    /// All of them.
    ///
    /// ```
    /// let all = ray_train::CheckpointConfig::new();
    /// ```
    pub fn new() -> CheckpointConfig {
        CheckpointConfig::default()
    }

    /// How many checkpoints are kept: the last ones, or the best ones by [`score`](Self::score). As in Ray, the last checkpoint is
    /// always kept, because a run goes on from it: where it is not among the best, it is kept in addition to them. 0 is an error
    /// of `fit`.
    ///
    /// ```
    /// let last = ray_train::CheckpointConfig::new().num_to_keep(1);
    /// ```
    pub fn num_to_keep(mut self, checkpoints: usize) -> CheckpointConfig {
        self.num_to_keep = Some(checkpoints);
        self
    }

    /// The metric that says how good a checkpoint is. A checkpoint that is reported without it is an error.
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
