//! The trainer: from a loop and its configurations to a result.

mod admission;
mod attempt;
mod caller;
mod groups;
#[allow(unsafe_code, reason = "no safe function restores the former action of a signal")]
mod interrupt;
mod lock;
pub(crate) mod rank_report;
mod rendezvous;
mod report_board;
pub(crate) mod report_channel;
pub(crate) mod run_recorder;
mod train_loop;
mod worker;

use std::any::Any;
use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use ray::collective::Group as Collective;

pub use train_loop::{ConfigMissing, TrainLoop};
pub use worker::Worker;

use crate::config::GroupSize;
use crate::context::RankInfo;
use crate::error::failed;
use crate::run_directory::RunDirectory;
use crate::{Device, RunConfig, ScalingConfig, TrainContext, TrainResult, TrainingFailed, WorkerFailure};
use admission::Request;
use attempt::{AbandonedRanks, Attempt, Outcome};
use caller::Caller;
use interrupt::InterruptGuard;
use lock::lock;
use report_channel::ReportChannel;
use run_recorder::RunRecorder;
use worker::LoopBody;

/// Runs a training loop in a group of workers, records their reports, and restarts the group after failures.
///
/// ```
/// use ray_train::{Metrics, RunConfig, ScalingConfig, TrainContext, Trainer};
/// use serde::Serialize;
///
/// #[derive(Clone, Serialize)]
/// struct Config {
///     steps: usize,
///     rate: f64,
/// }
///
/// /// Each rank moves the weight towards its own number; together they find the mean.
/// fn train(ctx: &TrainContext, config: Config) -> ray::Result<f64> {
///     let target = ctx.world_rank() as f64;
///     let mut weight = 0.0;
///     for _ in 0..config.steps {
///         let mut gradient = [weight - target];
///         ctx.collective().allreduce(&mut gradient, ray::collective::Mean)?;
///         weight -= config.rate * gradient[0];
///         ctx.report(Metrics::new().with("weight", weight), None)?;
///     }
///     Ok(weight)
/// }
///
/// # let _ = ray::init_with(ray::Config::new().num_cpus(3));
/// let result = Trainer::new(train)
///     .config(Config { steps: 40, rate: 0.5 })
///     .scaling(ScalingConfig::workers(3).use_gpu(false))
///     .run_config(RunConfig::temporary("doc-trainer")?)
///     .fit()?;
/// assert!((result.value() - 1.0).abs() < 1e-9);
/// assert_eq!(result.history().len(), 40);
/// # Ok::<(), ray::Error>(())
/// ```
#[must_use = "a trainer does nothing until `.fit()`"]
pub struct Trainer<L, M, C> {
    train_loop: Arc<L>,
    config: C,
    scaling: ScalingConfig,
    run: RunConfig,
    kind: PhantomData<fn(M)>,
}

impl<L: TrainLoop<M>, M> Trainer<L, M, L::Unset> {
    /// A trainer of this loop, with one worker.
    ///
    /// ```
    /// let trainer = ray_train::Trainer::new(|ctx: &ray_train::TrainContext| ctx.barrier());
    /// ```
    pub fn new(train_loop: L) -> Self {
        Trainer {
            train_loop: Arc::new(train_loop),
            config: L::UNSET,
            scaling: ScalingConfig::default(),
            run: RunConfig::default(),
            kind: PhantomData,
        }
    }
}

impl<L: TrainLoop<M>, M, C> Trainer<L, M, C> {
    /// Sets the configuration. The loop of each rank gets a clone of it. It is also written to `config.json` in the run's directory,
    /// for people to read.
    ///
    /// ```
    /// # use ray_train::{TrainContext, Trainer};
    /// let trainer = Trainer::new(|_: &TrainContext, epochs: usize| Ok(epochs)).config(3);
    /// ```
    pub fn config(self, config: L::Config) -> Trainer<L, M, L::Config> {
        let Trainer { train_loop, scaling, run, kind, .. } = self;
        Trainer { train_loop, config, scaling, run, kind }
    }

    /// Sets the number of workers and the resources of each.
    ///
    /// ```
    /// # use ray_train::{ScalingConfig, TrainContext, Trainer};
    /// let trainer = Trainer::new(|ctx: &TrainContext| ctx.barrier()).scaling(ScalingConfig::workers(4));
    /// ```
    pub fn scaling(mut self, scaling: ScalingConfig) -> Self {
        self.scaling = scaling;
        self
    }

    /// Configures the run: its name and storage, which checkpoints it keeps, how many failures it tolerates.
    ///
    /// ```
    /// # use ray_train::{RunConfig, TrainContext, Trainer};
    /// let trainer = Trainer::new(|ctx: &TrainContext| ctx.barrier()).run_config(RunConfig::new("my-run").max_failures(3));
    /// ```
    pub fn run_config(mut self, run: RunConfig) -> Self {
        self.run = run;
        self
    }
}

impl<L: TrainLoop<M>, M> Trainer<L, M, <L as TrainLoop<M>>::Config> {
    /// Trains until the loop has returned on all ranks, and blocks until then. It starts the engine with its defaults if no engine
    /// runs, and tells it of the machine's GPUs if the ranks use GPUs.
    ///
    /// During training Ctrl-C stops the ranks at their next report or collective operation. A second Ctrl-C ends the process. A
    /// process that ignores Ctrl-C continues to ignore it.
    ///
    /// A task that calls `fit` lends its CPU to the workers until the group has ended, as in a get, and returns when it has a CPU
    /// again. The resources of an actor, and the GPUs and other resources of a task, are not lent: the group needs other ones. A
    /// cancel of the task, or a kill of the actor, stops the run.
    ///
    /// A thread of the engine that ran a rank stays in the rayon pool of that rank, which has as many threads as the rank had CPUs.
    /// A later task that uses rayon on this thread uses this pool.
    ///
    /// # Errors
    /// * [`TrainingFailed`]: ranks failed (an `Err`, a panic, a kill, too few or too many reports, a timeout), and no retry is left
    ///   or the restart failed;
    /// * [`Interrupted`](crate::Interrupted): Ctrl-C stopped the run;
    /// * [`NotAdmitted`](crate::NotAdmitted): the node has too few resources, or their holders did not return them in time. The error
    ///   comes at once if the resources cannot become free, because the caller holds them, or a group that waits for this call (its
    ///   loop or a callback of its run makes the call);
    /// * [`InProgress`](crate::InProgress): a run of this name is in progress;
    /// * [`Damaged`](crate::Damaged): the checkpoint that the run would continue from, or a list of the run, is damaged;
    /// * `BlockingInAsync` in an `async fn` of the engine, as for [`ray::get`]: await a task that calls `fit` instead,
    ///   `ray::task(move || trainer.fit()).remote().await`;
    /// * a GPU does not exist or cannot be opened, which is checked before a rank starts;
    /// * a configuration is invalid, the storage cannot be written, `RAY_ADDRESS` is set (there is no cluster engine yet), or the
    ///   engine was shut down.
    ///
    /// ```
    /// # use ray_train::{RunConfig, TrainContext, Trainer};
    /// let result = Trainer::new(|ctx: &TrainContext| Ok(ctx.world_size())).run_config(RunConfig::temporary("doc-fit")?).fit()?;
    /// assert_eq!(*result.value(), 1);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn fit(&self) -> ray::Result<TrainResult<L::Output>> {
        check_blocking_allowed()?;
        let run = self.run.named();
        run.validate()?;
        let group = self.scaling.group_size()?;
        let (min_workers, max_workers) = match group {
            GroupSize::InPlace => (1, 1),
            GroupSize::Workers { min, max } => (min, max),
        };
        if let Some(last) = self.scaling.gpu_of(min_workers - 1) {
            (0..=last).try_for_each(|gpu| Device::gpu(gpu).map(drop))?;
        }
        self.start_engine()?;
        let directory = RunDirectory::open(&run, max_workers)?;
        directory.write_config(&self.config)?;
        let recorder = |caller| RunRecorder { config: run, directory, interrupt: InterruptGuard::install(caller) };
        let caller = Caller::current();
        match group {
            GroupSize::InPlace => self.fit_in_place(recorder(caller)),
            GroupSize::Workers { .. } => {
                let driver = GroupDriver {
                    train_loop: Arc::clone(&self.train_loop),
                    config: self.config.clone(),
                    scaling: self.scaling.clone(),
                    kind: self.kind,
                };
                caller.run_lending_cpu(move |caller| driver.fit(recorder(caller), min_workers, max_workers))
            }
        }
    }

    /// Starts the embedded engine, unless an engine runs.
    ///
    /// # Errors
    /// The program runs on a Ray cluster, or is to run on one.
    fn start_engine(&self) -> ray::Result<()> {
        let is_on_cluster = if ray::is_initialized() {
            ray::context().cluster().is_some()
        } else {
            std::env::var_os("RAY_ADDRESS").is_some_and(|address| !address.is_empty())
        };
        if is_on_cluster {
            let what = "training runs in one process, and does not run on a Ray cluster yet: unset RAY_ADDRESS, or do not give ray::init an address";
            return Err(ray::Error::other(what));
        }
        if ray::is_initialized() {
            return Ok(());
        }
        let gpus = if self.scaling.gpu_of(0).is_some() { Device::gpus() } else { 0 };
        ray::init_with(ray::Config::new().num_gpus(gpus).ignore_reinit_error(true)).map(drop)
    }

    fn fit_in_place(&self, recorder: RunRecorder) -> ray::Result<TrainResult<L::Output>> {
        let recorder = Rc::new(RefCell::new(recorder));
        // The calling thread keeps its pool: a thread cannot leave a rayon pool, and this thread belongs to the user.
        let threads = rayon::current_num_threads();
        let mut failures = 0;
        let mut last = Vec::new();
        loop {
            let latest = recorder.borrow_mut().directory.rewind();
            let latest = latest.map_err(|error| start_error(&recorder.borrow(), &last, failures, error))?;
            recorder.borrow().check_stop()?;
            let info = rank_info(&recorder.borrow(), latest, 1, failures, threads);
            let info = RankInfo { gpu: self.scaling.gpu_of(0), ..info };
            let collective = Collective::members(1)?.remove(0).with_timeout(recorder.borrow().config.rank_timeout());
            let context = TrainContext::new(info, collective, ReportChannel::InPlace(Rc::clone(&recorder)))?;
            let value = Arc::new(Mutex::new(None));
            let body = loop_body(&self.train_loop, &self.config, &value);
            let returned = catch_unwind(AssertUnwindSafe(|| body(&context)));
            drop(context);
            match returned.unwrap_or_else(|panic| Err(panic_error(panic))) {
                Ok(()) => {
                    let recorder = Rc::into_inner(recorder).expect("the context, which shared it, is dropped");
                    return finish(recorder.into_inner(), &value, 1);
                }
                Err(error) => {
                    let recorder = recorder.borrow();
                    recorder.check_stop()?;
                    failures += 1;
                    last = vec![WorkerFailure { rank: 0, error }];
                    check_retry(&recorder, &last, failures)?;
                }
            }
        }
    }
}

/// The parts of a trainer that the driver thread needs: the thread that starts groups, records their reports, and handles their
/// failures. It is the thread that called `fit`, or a separate one if a task or an actor's method called it.
struct GroupDriver<L, M, C> {
    train_loop: Arc<L>,
    config: C,
    scaling: ScalingConfig,
    kind: PhantomData<fn(M)>,
}

impl<L: TrainLoop<M>, M> GroupDriver<L, M, L::Config> {
    /// Starts groups until one has finished, or no retry is left.
    fn fit(&self, mut recorder: RunRecorder, min_workers: usize, max_workers: usize) -> ray::Result<TrainResult<L::Output>> {
        let resources = self.scaling.worker_resources();
        let mut abandoned: Vec<AbandonedRanks> = Vec::new();
        let mut failures = 0;
        let mut last = Vec::new();
        loop {
            let latest = recorder.directory.rewind().map_err(|error| start_error(&recorder, &last, failures, error))?;
            let request = Request {
                run: recorder.config.name(),
                path: recorder.directory.path(),
                resources: resources.clone(),
                min_workers,
                max_workers,
                abandoned: abandoned.iter().map(AbandonedRanks::count).sum(),
                timeout: self.scaling.admission_timeout(),
                caller: recorder.interrupt.caller(),
            };
            let admitted = admission::admit(&request, &recorder.interrupt);
            let admitted = admitted.map_err(|error| start_error(&recorder, &last, failures, error))?;
            let Some(workers) = admitted else { return Err(recorder.stopped()) };
            let size = workers.workers.len();
            let info = rank_info(&recorder, latest, size, failures, resources.threads());
            let value = Arc::new(Mutex::new(None));
            let attempt = Attempt::start(
                &mut recorder,
                workers,
                |rank| RankInfo { rank, gpu: self.scaling.gpu_of(rank), ..info.clone() },
                || loop_body(&self.train_loop, &self.config, &value),
            )?;
            let (outcome, abandoned_now) = attempt.run_to_end()?;
            last = match outcome {
                Outcome::Done => return finish(recorder, &value, size),
                Outcome::Stopped => return Err(recorder.stopped()),
                Outcome::Failed(worker_failures) => worker_failures,
            };
            abandoned.push(abandoned_now);
            failures += 1;
            check_retry(&recorder, &last, failures)?;
        }
    }
}

/// The loop with a clone of its configuration. Rank 0 stores the value that the loop returns in `value`.
fn loop_body<L: TrainLoop<M>, M>(train_loop: &Arc<L>, config: &L::Config, value: &Arc<Mutex<Option<L::Output>>>) -> LoopBody {
    let (train_loop, config, value) = (Arc::clone(train_loop), config.clone(), Arc::clone(value));
    Box::new(move |context| {
        let returned = train_loop.run(context, config)?;
        if context.world_rank() == 0 {
            *lock(&value) = Some(returned);
        }
        Ok(())
    })
}

/// Checks that the engine allows a wait on this thread. A barrier of a group with one member asks the engine, and does not wait.
///
/// # Errors
/// `BlockingInAsync`.
#[track_caller]
fn check_blocking_allowed() -> ray::Result<()> {
    Collective::members(1)?.remove(0).barrier()
}

/// The information for rank 0 of a group.
fn rank_info(recorder: &RunRecorder, latest: Option<crate::Checkpoint>, size: usize, attempt: u32, threads: usize) -> RankInfo {
    RankInfo {
        rank: 0,
        size,
        run: recorder.config.name().to_owned(),
        path: recorder.directory.path().to_owned(),
        staging: recorder.directory.staging(),
        attempt,
        seed: recorder.config.run_seed(),
        threads,
        gpu: None,
        latest,
        generators: recorder.directory.generators().to_vec(),
        timeout: recorder.config.rank_timeout(),
    }
}

fn finish<R>(recorder: RunRecorder, value: &Mutex<Option<R>>, size: usize) -> ray::Result<TrainResult<R>> {
    recorder.directory.remove_empty_staging();
    let value = lock(value).take();
    let value = value.ok_or_else(|| failed("the loop of rank 0 has stored no value, although it has returned"))?;
    Ok(TrainResult::of_run(value, &recorder, size))
}

/// # Errors
/// [`TrainingFailed`] if no retry is left after this number of failures.
fn check_retry(recorder: &RunRecorder, last: &[WorkerFailure], failures: u32) -> ray::Result<()> {
    if recorder.config.allows_failures(failures) { Ok(()) } else { Err(training_failed(recorder, last, failures, None)) }
}

/// The error of a group that could not start. If an earlier group failed, the failures of that group come first in the message.
fn start_error(recorder: &RunRecorder, last: &[WorkerFailure], failures: u32, error: ray::Error) -> ray::Error {
    if last.is_empty() || error.is_runtime_gone() { error } else { training_failed(recorder, last, failures, Some(error)) }
}

fn training_failed(recorder: &RunRecorder, last: &[WorkerFailure], failures: u32, restart: Option<ray::Error>) -> ray::Error {
    let (run, checkpoint) = (recorder.config.name().to_owned(), recorder.directory.latest());
    ray::Error::other(TrainingFailed { run, worker_failures: last.to_vec(), failures, restart, checkpoint })
}

/// The error of a loop that panicked in place.
fn panic_error(payload: Box<dyn Any + Send>) -> ray::Error {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let error = failed(format!("its loop panicked: {}", text.unwrap_or("(the panic value is not text)")));
    // The drop of the panic value may panic too. The value of that panic is leaked, because its drop may panic again.
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(again);
    }
    error
}

impl<L, M, C> fmt::Debug for Trainer<L, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer").field("scaling", &self.scaling).field("run", &self.run).finish_non_exhaustive()
    }
}
