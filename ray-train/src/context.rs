//! The context of a training loop: its rank, its group, its generator, and its reports.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ray::collective::Group;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::failed;
use crate::trainer::rank_report::RankReport;
use crate::trainer::report_channel::ReportChannel;
use crate::{Checkpoint, Device, Metrics};

/// The context of a training loop. [`Trainer`](crate::Trainer) gives one to the loop of each rank.
///
/// A context stays on the thread of its rank. All ranks must call the collective functions (reports, barriers, operations of the
/// group) equally often and in the same order. If they do not, the calls fail, and the error names the ranks and their calls.
///
/// ```
/// use ray_train::{Metrics, RunConfig, ScalingConfig, TrainContext, Trainer};
///
/// fn train(ctx: &TrainContext) -> ray::Result<f64> {
///     let mut sum = [ctx.world_rank() as f64];
///     ctx.collective().allreduce(&mut sum, ray::collective::Sum)?;
///     ctx.report(Metrics::new().with("sum", sum[0]), None)?;
///     Ok(sum[0])
/// }
///
/// # let _ = ray::init_with(ray::Config::new().num_cpus(3));
/// let result = Trainer::new(train)
///     .scaling(ScalingConfig::workers(3))
///     .run_config(RunConfig::temporary("doc-context")?)
///     .fit()?;
/// assert_eq!(*result.value(), 3.0);
/// # Ok::<(), ray::Error>(())
/// ```
pub struct TrainContext {
    info: RankInfo,
    device: Device,
    group: RefCell<Group>,
    generator: RefCell<fastrand::Rng>,
    latest: RefCell<Option<Checkpoint>>,
    channel: ReportChannel,
}

/// The rank, its group and its run.
#[derive(Clone, Debug)]
pub(crate) struct RankInfo {
    pub(crate) rank: usize,
    pub(crate) size: usize,
    pub(crate) run: String,
    pub(crate) path: PathBuf,
    pub(crate) staging: PathBuf,
    pub(crate) attempt: u32,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    /// The number of its GPU, if it uses one.
    pub(crate) gpu: Option<usize>,
    pub(crate) timeout: Duration,
    pub(crate) latest: Option<Checkpoint>,
    /// The states of the ranks' generators in the latest checkpoint.
    pub(crate) generators: Vec<u64>,
}

impl TrainContext {
    pub(crate) fn new(info: RankInfo, group: Group, channel: ReportChannel) -> ray::Result<TrainContext> {
        Ok(TrainContext {
            device: info.gpu.map_or(Ok(Device::Cpu), Device::gpu)?,
            group: RefCell::new(group),
            generator: RefCell::new(match info.generators.get(info.rank) {
                Some(state) => fastrand::Rng::with_seed(*state),
                None => new_generator(info.seed, info.rank),
            }),
            latest: RefCell::new(info.latest.clone()),
            channel,
            info,
        })
    }

    /// The number of this rank, from 0.
    ///
    /// ```
    /// # fn train(ctx: &ray_train::TrainContext) {
    /// if ctx.world_rank() == 0 {
    ///     println!("one of {}", ctx.world_size());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn world_rank(&self) -> usize {
        self.info.rank
    }

    /// The number of ranks.
    ///
    /// ```
    /// # fn share(ctx: &ray_train::TrainContext, batch: usize) -> usize {
    /// batch / ctx.world_size()
    /// # }
    /// ```
    #[must_use]
    pub fn world_size(&self) -> usize {
        self.info.size
    }

    /// The number of this rank among the ranks of its node. This process is the only node, so it equals the rank.
    ///
    /// ```
    /// # fn first_here(ctx: &ray_train::TrainContext) -> bool {
    /// ctx.local_rank() == 0
    /// # }
    /// ```
    #[must_use]
    pub fn local_rank(&self) -> usize {
        self.info.rank
    }

    /// The number of ranks on this node: all ranks.
    ///
    /// ```
    /// # fn alone_here(ctx: &ray_train::TrainContext) -> bool {
    /// ctx.local_world_size() == 1
    /// # }
    /// ```
    #[must_use]
    pub fn local_world_size(&self) -> usize {
        self.info.size
    }

    /// The number of this rank's node, which is 0.
    ///
    /// ```
    /// # fn name(ctx: &ray_train::TrainContext) -> String {
    /// format!("node{}-{}", ctx.node_rank(), ctx.local_rank())
    /// # }
    /// ```
    #[must_use]
    pub fn node_rank(&self) -> usize {
        0
    }

    /// The number of nodes, which is 1.
    ///
    /// ```
    /// # fn one(ctx: &ray_train::TrainContext) -> bool {
    /// ctx.node_count() == 1
    /// # }
    /// ```
    #[must_use]
    pub fn node_count(&self) -> usize {
        1
    }

    /// The run's name.
    ///
    /// ```
    /// # fn show(ctx: &ray_train::TrainContext) {
    /// println!("{}, attempt {}", ctx.run_name(), ctx.attempt());
    /// # }
    /// ```
    #[must_use]
    pub fn run_name(&self) -> &str {
        &self.info.run
    }

    /// The run's directory.
    ///
    /// ```
    /// # fn log(ctx: &ray_train::TrainContext) -> std::path::PathBuf {
    /// ctx.run_path().join(format!("rank-{}.log", ctx.world_rank()))
    /// # }
    /// ```
    #[must_use]
    pub fn run_path(&self) -> &Path {
        &self.info.path
    }

    /// The number of groups of this [`fit`](crate::Trainer::fit) that failed before this group.
    ///
    /// ```
    /// # fn fail_once(ctx: &ray_train::TrainContext) {
    /// assert!(ctx.attempt() > 0, "the first group fails");
    /// # }
    /// ```
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.info.attempt
    }

    /// The number of threads that this rank may use: its CPUs, rounded up. In place, it is the number of threads of the caller's rayon
    /// pool.
    ///
    /// ```
    /// # fn show(ctx: &ray_train::TrainContext) {
    /// println!("{} threads", ctx.threads());
    /// # }
    /// ```
    #[must_use]
    pub fn threads(&self) -> usize {
        self.info.threads
    }

    /// The device of this rank: the CPUs, or the GPU that [`ScalingConfig::use_gpu`](crate::ScalingConfig::use_gpu) assigns to it.
    ///
    /// ```
    /// # fn show(ctx: &ray_train::TrainContext) {
    /// println!("on {:?}", ctx.device());
    /// # }
    /// ```
    #[must_use]
    pub fn device(&self) -> Device {
        self.device
    }

    /// The run's seed. It is equal on all ranks; use it for decisions on which they must agree, such as the order of the data.
    ///
    /// ```
    /// # fn epoch(ctx: &ray_train::TrainContext, epoch: u64) -> u64 {
    /// ctx.seed() + epoch
    /// # }
    /// ```
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.info.seed
    }

    /// This rank's own generator. The run's seed and the rank determine its first state. Each reported checkpoint has the state of
    /// every rank's generator at that moment, and a run that continues from the checkpoint starts with these states. So use the
    /// generator for the steps of training. Before the first step use [`seed`](Self::seed) instead: a resumed run repeats that part.
    /// If a run continues with more workers, the new ranks have new generators.
    ///
    /// # Panics
    /// If the result of an earlier call is still held.
    ///
    /// ```
    /// # fn noise(ctx: &ray_train::TrainContext) -> f64 {
    /// ctx.rng().f64()
    /// # }
    /// ```
    #[must_use]
    pub fn rng(&self) -> RefMut<'_, fastrand::Rng> {
        self.generator.borrow_mut()
    }

    /// The group of all ranks, for collective operations on your own buffers. Its operations fail as soon as another rank fails.
    ///
    /// # Panics
    /// If the result of an earlier call is still held.
    ///
    /// ```
    /// # fn mean(ctx: &ray_train::TrainContext, loss: f32) -> ray::Result<f32> {
    /// let mut loss = [loss];
    /// ctx.collective().allreduce(&mut loss, ray::collective::Mean)?;
    /// # Ok(loss[0])
    /// # }
    /// ```
    #[must_use]
    pub fn collective(&self) -> RefMut<'_, Group> {
        let group = self.group.borrow_mut();
        self.channel.poison_if_stopped(&group);
        group
    }

    /// Waits for all ranks.
    ///
    /// # Errors
    /// Another rank has failed or left, or does not arrive within [`RunConfig::timeout`](crate::RunConfig::timeout).
    ///
    /// ```
    /// # fn train(ctx: &ray_train::TrainContext) -> ray::Result<()> {
    /// ctx.barrier()?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn barrier(&self) -> ray::Result<()> {
        self.collective().barrier()
    }

    /// Returns the value of rank 0 on all ranks; the values of the other ranks are dropped. It is for small values: use
    /// [`collective`](Self::collective) for large arrays.
    ///
    /// # Errors
    /// Those of [`barrier`](Self::barrier); the value cannot be serialised, or cannot be deserialised as the type.
    ///
    /// ```
    /// # use ray_train::{RunConfig, ScalingConfig, TrainContext, Trainer};
    /// # let _ = ray::init_with(ray::Config::new().num_cpus(2));
    /// let train = |ctx: &TrainContext| {
    ///     let name = ctx.broadcast_from_rank_zero(format!("chosen by {}", ctx.world_rank()))?;
    ///     assert_eq!(name, "chosen by 0");
    ///     Ok(())
    /// };
    /// Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(RunConfig::temporary("doc-broadcast")?).fit()?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn broadcast_from_rank_zero<T: Serialize + DeserializeOwned>(&self, value: T) -> ray::Result<T> {
        let mut group = self.collective();
        let mut bytes = Vec::new();
        if self.info.rank == 0 {
            // CBOR, because JSON has no NaN.
            ciborium::into_writer(&value, &mut bytes)
                .map_err(|error| failed(format!("the value that rank 0 broadcasts cannot be serialised: {error}")))?;
        }
        let mut length = [bytes.len() as u64];
        group.broadcast(&mut length, 0)?;
        bytes.resize(length[0] as usize, 0);
        group.broadcast(&mut bytes, 0)?;
        if self.info.rank == 0 {
            return Ok(value);
        }
        ciborium::from_reader(bytes.as_slice())
            .map_err(|error| failed(format!("the value that rank 0 broadcast cannot be deserialised: {error}")))
    }

    /// The run's last checkpoint, from which the loop should continue. None at the beginning of a new run.
    ///
    /// ```
    /// # fn train(ctx: &ray_train::TrainContext) -> ray::Result<()> {
    /// let first_epoch = match ctx.checkpoint() {
    ///     Some(checkpoint) => checkpoint.metadata::<ray_train::Metrics>()?.number("epoch").unwrap_or(0.0) as usize + 1,
    ///     None => 0,
    /// };
    /// # let _ = first_epoch;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.latest.borrow().clone()
    }

    /// Creates an empty directory for the files of a checkpoint. It is below the run's directory, so [`report`](Self::report) moves the
    /// files and copies nothing.
    ///
    /// # Errors
    /// The directory cannot be created; the group has ended.
    ///
    /// ```
    /// # fn save(ctx: &ray_train::TrainContext, weights: &[u8]) -> ray::Result<()> {
    /// let checkpoint = ctx.new_checkpoint()?;
    /// std::fs::write(checkpoint.path().join("weights"), weights).map_err(ray::Error::other)?;
    /// ctx.report((), Some(checkpoint))
    /// # }
    /// ```
    pub fn new_checkpoint(&self) -> ray::Result<Checkpoint> {
        self.channel.check_open()?;
        Checkpoint::staged(&self.info.staging, self.info.rank)
    }

    /// Reports together with all other ranks. It waits until all ranks have reported and the report is recorded in the run's directory;
    /// a report with a checkpoint is then synced to the disk.
    ///
    /// `metrics` is a value that serialises as a struct or a map, `()` for no metrics, or [`Metrics`]. The metrics of rank 0 are
    /// recorded. Any number of ranks may pass a checkpoint; their files are merged into one checkpoint.
    ///
    /// # Errors
    /// On all ranks, if the report cannot be recorded: two ranks pass a file of the same name, the score is missing, or the disk is
    /// full. The run is unchanged then, and the loop may continue.
    ///
    /// The loop must return these errors: another rank has failed, has returned, is in a collective operation, or does not arrive
    /// within [`RunConfig::timeout`](crate::RunConfig::timeout); the user has interrupted the run.
    ///
    /// # Panics
    /// If the result of [`collective`](Self::collective) or [`rng`](Self::rng) is still held.
    ///
    /// ```
    /// #[derive(serde::Serialize)]
    /// struct Epoch {
    ///     epoch: usize,
    ///     loss: f32,
    /// }
    /// # fn train(ctx: &ray_train::TrainContext) -> ray::Result<()> {
    /// ctx.report(Epoch { epoch: 0, loss: 2.3 }, None)?;
    /// # Ok(())
    /// # }
    /// ```
    #[track_caller]
    pub fn report(&self, metrics: impl Serialize, checkpoint: Option<Checkpoint>) -> ray::Result<()> {
        self.report_as(metrics, checkpoint, false)
    }

    /// As [`report`](Self::report), but each number is the mean over all ranks, summed in the order of the ranks. Values that are not
    /// numbers are those of rank 0.
    ///
    /// # Errors
    /// Those of [`report`](Self::report); another rank does not report a number of that name, or calls `report` instead.
    ///
    /// ```
    /// # use ray_train::{Metrics, RunConfig, ScalingConfig, TrainContext, Trainer};
    /// # let _ = ray::init_with(ray::Config::new().num_cpus(2));
    /// let train = |ctx: &TrainContext| ctx.report_mean(Metrics::new().with("loss", ctx.world_rank()), None);
    /// let run = RunConfig::temporary("doc-report-mean")?;
    /// let result = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit()?;
    /// assert_eq!(result.metrics().number("loss"), Some(0.5));
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn report_mean(&self, metrics: impl Serialize, checkpoint: Option<Checkpoint>) -> ray::Result<()> {
        self.report_as(metrics, checkpoint, true)
    }

    #[track_caller]
    fn report_as(&self, metrics: impl Serialize, checkpoint: Option<Checkpoint>, mean: bool) -> ray::Result<()> {
        let generator = self.generator.borrow().get_seed();
        let report = RankReport { metrics: Metrics::of(&metrics)?, checkpoint, mean, generator };
        let latest = match &self.channel {
            ReportChannel::InPlace(recorder) => recorder.borrow_mut().record_in_place(report)?,
            ReportChannel::Group(board) => {
                board.report(self.info.rank, report)?;
                self.synchronise()?;
                board.wait_for_answer(self.info.rank)?
            }
        };
        self.latest.replace(latest);
        Ok(())
    }

    /// Makes a report an operation of the group too, of a kind that only reports use. So the group detects at once if another rank is
    /// in a different operation.
    #[track_caller]
    fn synchronise(&self) -> ray::Result<()> {
        let mut group = self.collective();
        // Without a timeout: the driver thread applies it, and its error names the missing ranks and the report.
        group.set_timeout(Duration::MAX);
        let result = group.allgather::<u8>(&[], &mut []);
        group.set_timeout(self.info.timeout);
        result
    }
}

impl fmt::Debug for TrainContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrainContext(rank {} of {}, run `{}`)", self.info.rank, self.info.size, self.info.run)
    }
}

/// The first generator of a rank. Seed and rank are mixed with the function of SplitMix64, so that neighbouring seeds and ranks have
/// unrelated generators.
fn new_generator(seed: u64, rank: usize) -> fastrand::Rng {
    let mut mixed = seed ^ (rank as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    fastrand::Rng::with_seed(mixed ^ (mixed >> 31))
}
