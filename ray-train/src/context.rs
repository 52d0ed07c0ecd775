//! What a loop knows of its place in the group, and does together with the others.

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ray::collective::Group;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::faults::failed;
use crate::trainer::door::{Door, RankReport};
use crate::{Checkpoint, Device, Metrics};

/// The place of a loop among the ranks of its group: what [`Trainer`](crate::Trainer) gives to each of them.
///
/// A rank's context belongs to its thread. What the ranks do together, they all do, equally often and in one order; where
/// they do not, it is an error that says which rank is where.
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
    place: Place,
    device: Device,
    group: RefCell<Group>,
    generator: RefCell<fastrand::Rng>,
    latest: RefCell<Option<Checkpoint>>,
    door: Door,
}

/// Where a rank stands, and in which run.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) rank: usize,
    pub(crate) size: usize,
    pub(crate) run: String,
    pub(crate) path: PathBuf,
    pub(crate) staging: PathBuf,
    pub(crate) attempt: u32,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    /// The number of its GPU, if it has one.
    pub(crate) gpu: Option<usize>,
    pub(crate) timeout: Duration,
    pub(crate) latest: Option<Checkpoint>,
    /// The states of the ranks' generators when that checkpoint was reported.
    pub(crate) generators: Vec<u64>,
}

impl TrainContext {
    pub(crate) fn new(place: Place, group: Group, door: Door) -> ray::Result<TrainContext> {
        Ok(TrainContext {
            device: place.gpu.map_or(Ok(Device::Cpu), Device::gpu)?,
            group: RefCell::new(group),
            generator: RefCell::new(match place.generators.get(place.rank) {
                Some(state) => fastrand::Rng::with_seed(*state),
                None => generator(place.seed, place.rank),
            }),
            latest: RefCell::new(place.latest.clone()),
            door,
            place,
        })
    }

    /// This rank's number, from 0.
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
        self.place.rank
    }

    /// How many ranks there are.
    ///
    /// ```
    /// # fn share(ctx: &ray_train::TrainContext, batch: usize) -> usize {
    /// batch / ctx.world_size()
    /// # }
    /// ```
    #[must_use]
    pub fn world_size(&self) -> usize {
        self.place.size
    }

    /// This rank's number among those of its node. There is one node, this process, so it is the rank.
    ///
    /// ```
    /// # fn first_here(ctx: &ray_train::TrainContext) -> bool {
    /// ctx.local_rank() == 0
    /// # }
    /// ```
    #[must_use]
    pub fn local_rank(&self) -> usize {
        self.place.rank
    }

    /// How many ranks are on this node: all.
    ///
    /// ```
    /// # fn alone_here(ctx: &ray_train::TrainContext) -> bool {
    /// ctx.local_world_size() == 1
    /// # }
    /// ```
    #[must_use]
    pub fn local_world_size(&self) -> usize {
        self.place.size
    }

    /// The number of this rank's node: 0.
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

    /// How many nodes there are: one.
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
        &self.place.run
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
        &self.place.path
    }

    /// Groups of this [`fit`](crate::Trainer::fit) that failed before this one.
    ///
    /// ```
    /// # fn fail_once(ctx: &ray_train::TrainContext) {
    /// assert!(ctx.attempt() > 0, "the first group fails");
    /// # }
    /// ```
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.place.attempt
    }

    /// The threads that this rank may use: its CPUs, rounded up; in place, as many as the calling thread's rayon pool has.
    ///
    /// ```
    /// # fn show(ctx: &ray_train::TrainContext) {
    /// println!("{} threads", ctx.threads());
    /// # }
    /// ```
    #[must_use]
    pub fn threads(&self) -> usize {
        self.place.threads
    }

    /// Where this rank computes: the CPUs, or a GPU, of which [`ScalingConfig::use_gpu`](crate::ScalingConfig::use_gpu) says
    /// which one.
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

    /// The run's seed, the same on all ranks: for what they must agree on, such as the order of the data.
    ///
    /// ```
    /// # fn epoch(ctx: &ray_train::TrainContext, epoch: u64) -> u64 {
    /// ctx.seed() + epoch
    /// # }
    /// ```
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.place.seed
    }

    /// This rank's own generator, which the run's seed and the rank decide. Every checkpoint that is reported has the state of each
    /// rank's generator at that moment, and a run that goes on from the checkpoint begins with it. So draw from it what the steps
    /// need, and what a loop needs before its first step from [`seed`](Self::seed): it is drawn again when the run goes on. With
    /// more workers than before, the ranks that are new begin anew.
    ///
    /// # Panics
    /// If what an earlier call gave is still held.
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

    /// The group, for operations on buffers of your own. Its operations fail as soon as another rank fails.
    ///
    /// # Panics
    /// If what an earlier call gave is still held.
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
        self.door.end_if_interrupted(&group);
        group
    }

    /// Waits for all ranks.
    ///
    /// # Errors
    /// Another rank has failed or left, or does not come in time ([`RunConfig::timeout`](crate::RunConfig::timeout)).
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

    /// Rank 0's value, on all ranks; the others' values are dropped. For small things: what is large goes through
    /// [`collective`](Self::collective).
    ///
    /// # Errors
    /// As [`barrier`](Self::barrier); a value that cannot be serialised, or is not read back as the type.
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
        if self.place.rank == 0 {
            // CBOR, which knows NaN.
            ciborium::into_writer(&value, &mut bytes)
                .map_err(|error| failed(format!("what rank 0 broadcasts cannot be serialised: {error}")))?;
        }
        let mut length = [bytes.len() as u64];
        group.broadcast(&mut length, 0)?;
        bytes.resize(length[0] as usize, 0);
        group.broadcast(&mut bytes, 0)?;
        if self.place.rank == 0 {
            return Ok(value);
        }
        ciborium::from_reader(bytes.as_slice()).map_err(|error| failed(format!("what rank 0 broadcast is not readable: {error}")))
    }

    /// What to go on from: the run's last checkpoint. None at the beginning of a new run.
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

    /// An empty directory for the files of a checkpoint, in the run's own directory, so that [`report`](Self::report) moves
    /// it and copies nothing.
    ///
    /// # Errors
    /// What the file system says; the group has ended.
    ///
    /// ```
    /// # fn save(ctx: &ray_train::TrainContext, weights: &[u8]) -> ray::Result<()> {
    /// let checkpoint = ctx.new_checkpoint()?;
    /// std::fs::write(checkpoint.path().join("weights"), weights).map_err(ray::Error::other)?;
    /// ctx.report((), Some(checkpoint))
    /// # }
    /// ```
    pub fn new_checkpoint(&self) -> ray::Result<Checkpoint> {
        self.door.check_open()?;
        Checkpoint::staged(&self.place.staging, self.place.rank)
    }

    /// Reports together with all other ranks: waits for them, and until what they report is on the disk.
    ///
    /// `metrics` is what serialises as a struct or a map, `()` for none, or [`Metrics`]; those of rank 0 count. Each rank may
    /// give a checkpoint, or one of them, or none: their files become one checkpoint.
    ///
    /// # Errors
    /// On all ranks: a file that two ranks give, a score that is missing, a disk that is full; the run is then as it was
    /// before, and may go on. Another rank has failed, ended, is in a collective operation, or does not come in time
    /// ([`RunConfig::timeout`](crate::RunConfig::timeout)); the user has interrupted the run. These must be passed on.
    ///
    /// # Panics
    /// If what [`collective`](Self::collective) or [`rng`](Self::rng) gave is still held.
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

    /// As [`report`](Self::report), with the numbers averaged over all ranks, summed in the order of the ranks; what is no
    /// number is rank 0's.
    ///
    /// # Errors
    /// As [`report`](Self::report); a number that another rank does not report; a rank that calls `report` instead.
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
        let latest = match &self.door {
            Door::InPlace(keeper) => keeper.borrow_mut().keep_own(report)?,
            Door::Group(board) => {
                board.report(self.place.rank, report)?;
                self.meet()?;
                board.await_answer(self.place.rank)?
            }
        };
        self.latest.replace(latest);
        Ok(())
    }

    /// A report is an operation of the group too, one that nobody else asks for: a rank that is in another one meanwhile is
    /// found out at once.
    #[track_caller]
    fn meet(&self) -> ray::Result<()> {
        let mut group = self.collective();
        // How long the others may take is for the run to say, which knows who is missing at which report.
        group.set_timeout(Duration::MAX);
        let met = group.allgather::<u8>(&[], &mut []);
        group.set_timeout(self.place.timeout);
        met
    }
}

impl fmt::Debug for TrainContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrainContext(rank {} of {}, run `{}`)", self.place.rank, self.place.size, self.place.run)
    }
}

/// Each rank's own, and far from each other's: neighbouring seeds and ranks are mixed (the constants are SplitMix64's).
fn generator(seed: u64, rank: usize) -> fastrand::Rng {
    let mut mixed = seed ^ (rank as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    fastrand::Rng::with_seed(mixed ^ (mixed >> 31))
}
