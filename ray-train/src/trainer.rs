//! From a function and three configurations to a result.

mod admission;
mod attempt;
mod caller;
pub(crate) mod door;
#[allow(unsafe_code, reason = "what Ctrl-C does can be put back by no safe means")]
mod interrupt;
pub(crate) mod keeper;
mod rendezvous;
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

use crate::config::Group;
use crate::context::Place;
use crate::faults::failed;
use crate::run_directory::RunDirectory;
use crate::{Device, RunConfig, ScalingConfig, TrainContext, TrainResult, TrainingFailed, WorkerFailure};
use admission::Request;
use attempt::{Attempt, LeftBehind, Outcome};
use caller::Caller;
use door::{Door, lock};
use interrupt::Watch;
use keeper::Keeper;
use worker::Body;

/// Trains: runs a loop in a group of workers, keeps what they report, and starts them again where that is asked for.
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
/// /// Each rank goes towards its own number; together they find the mean.
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
    /// What each rank's loop gets a clone of. It is written to `config.json` in the run's directory too, for people.
    ///
    /// ```
    /// # use ray_train::{TrainContext, Trainer};
    /// let trainer = Trainer::new(|_: &TrainContext, epochs: usize| Ok(epochs)).config(3);
    /// ```
    pub fn config(self, config: L::Config) -> Trainer<L, M, L::Config> {
        let Trainer { train_loop, scaling, run, kind, .. } = self;
        Trainer { train_loop, config, scaling, run, kind }
    }

    /// How many workers, and what each of them holds.
    ///
    /// ```
    /// # use ray_train::{ScalingConfig, TrainContext, Trainer};
    /// let trainer = Trainer::new(|ctx: &TrainContext| ctx.barrier()).scaling(ScalingConfig::workers(4));
    /// ```
    pub fn scaling(mut self, scaling: ScalingConfig) -> Self {
        self.scaling = scaling;
        self
    }

    /// The run: its name and place, what is kept of it, how many failures are forgiven.
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
    /// Trains to the end, on the engine that runs, or on one that this starts with its defaults, and with the machine's GPUs
    /// where the ranks use them. Blocks until then.
    ///
    /// While it is under way, Ctrl-C stops the ranks at their next report or collective; a second one ends the process. A process
    /// that ignores Ctrl-C goes on ignoring it.
    ///
    /// A task that calls this lends its CPU to the workers until the group has ended, as in a get, and returns when it has a CPU
    /// again. What an actor holds for life is lent to no group, and neither are GPUs and other resources: the group is admitted
    /// beside them. A cancel of the task, or a kill of the actor, ends the run.
    ///
    /// A thread of the engine that a rank ran on stays in the rayon pool of that rank, with as many threads as the rank had CPUs:
    /// a task that comes to it later and uses rayon uses that pool.
    ///
    /// # Errors
    /// * [`TrainingFailed`] when ranks failed (an `Err`, a panic, a kill, too few reports or too many, a timeout) and no
    ///   retry is left, or the next group could not be started;
    /// * [`Interrupted`](crate::Interrupted) after Ctrl-C;
    /// * [`NotAdmitted`](crate::NotAdmitted) when the node has too little, or others hold it too long; at once where nothing can
    ///   free it, because the caller holds it itself, or a group that waits for this call (the loop of that group, or a callback
    ///   of its run, calls this);
    /// * [`InProgress`](crate::InProgress) when a run of this name is under way;
    /// * [`Damaged`](crate::Damaged) when what the run is to go on from is not as it was written;
    /// * `BlockingInAsync` in an `async fn` of the engine, as of [`ray::get`]: await a task that calls it there,
    ///   `ray::task(move || trainer.fit()).remote().await`;
    /// * a GPU that is not there or cannot be opened; this is found out before any rank starts;
    /// * a configuration that makes no sense, a storage that cannot be written, `RAY_ADDRESS` (there is no cluster engine
    ///   yet), an engine that is shut down.
    ///
    /// ```
    /// # use ray_train::{RunConfig, TrainContext, Trainer};
    /// let result = Trainer::new(|ctx: &TrainContext| Ok(ctx.world_size())).run_config(RunConfig::temporary("doc-fit")?).fit()?;
    /// assert_eq!(*result.value(), 1);
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn fit(&self) -> ray::Result<TrainResult<L::Output>> {
        may_block()?;
        let run = self.run.named();
        run.check()?;
        let group = self.scaling.group()?;
        let (least, workers) = match group {
            Group::InPlace => (1, 1),
            Group::Workers { least, most } => (least, most),
        };
        if let Some(last) = self.scaling.gpu_of(least - 1) {
            (0..=last).try_for_each(|gpu| Device::gpu(gpu).map(drop))?;
        }
        self.embedded()?;
        let directory = RunDirectory::open(&run, workers)?;
        directory.write_config(&self.config)?;
        let caller = Caller::here();
        let watched = |caller| Keeper { config: run, directory, watch: Watch::begin(caller) };
        match group {
            Group::InPlace => self.fit_in_place(watched(caller)),
            Group::Workers { least, most } => {
                let fitter = Fitter {
                    train_loop: Arc::clone(&self.train_loop),
                    config: self.config.clone(),
                    scaling: self.scaling.clone(),
                    kind: self.kind,
                };
                caller.lending(move |caller| fitter.fit_group(watched(caller), least, most))
            }
        }
    }

    /// The engine, which is embedded: there is no other yet.
    fn embedded(&self) -> ray::Result<()> {
        if ray::is_initialized() {
            return Ok(());
        }
        let gpus = if self.scaling.gpu_of(0).is_some() { Device::gpus() } else { 0 };
        ray::init_with(ray::Config::new().num_gpus(gpus).ignore_reinit_error(true)).map(drop)
    }

    fn fit_in_place(&self, keeper: Keeper) -> ray::Result<TrainResult<L::Output>> {
        let keeper = Rc::new(RefCell::new(keeper));
        // The calling thread stays in the pool that it has: to leave another one is not possible, and it is the user's own.
        let threads = rayon::current_num_threads();
        let mut failures = 0;
        let mut last = Vec::new();
        loop {
            let latest = keeper.borrow_mut().directory.rewind();
            let latest = latest.map_err(|error| not_started(&keeper.borrow(), &last, failures, error))?;
            keeper.borrow().check_interrupt()?;
            let place = Place { gpu: self.scaling.gpu_of(0), ..place(&keeper.borrow(), latest, 1, failures, threads) };
            let collective = Collective::members(1)?.remove(0).with_timeout(keeper.borrow().config.longest_wait());
            let context = TrainContext::new(place, collective, Door::InPlace(Rc::clone(&keeper)))?;
            let value = Arc::new(Mutex::new(None));
            let body = body(&self.train_loop, &self.config, &value);
            let ended = catch_unwind(AssertUnwindSafe(|| body(&context)));
            drop(context);
            match ended.unwrap_or_else(|panic| Err(panicked(panic))) {
                Ok(()) => {
                    let keeper = Rc::into_inner(keeper).expect("the context is gone");
                    return finish(keeper.into_inner(), &value, 1);
                }
                Err(error) => {
                    let keeper = keeper.borrow();
                    keeper.check_interrupt()?;
                    failures += 1;
                    last = vec![WorkerFailure { rank: 0, error }];
                    give_up_or_go_on(&keeper, &last, failures)?;
                }
            }
        }
    }
}

/// What the thread that sees to a group needs of the trainer.
struct Fitter<L, M, C> {
    train_loop: Arc<L>,
    config: C,
    scaling: ScalingConfig,
    kind: PhantomData<fn(M)>,
}

impl<L: TrainLoop<M>, M> Fitter<L, M, L::Config> {
    fn fit_group(&self, mut keeper: Keeper, least: usize, most: usize) -> ray::Result<TrainResult<L::Output>> {
        let share = self.scaling.share();
        let mut left_behind: Vec<LeftBehind> = Vec::new();
        let mut failures = 0;
        let mut last = Vec::new();
        loop {
            let latest = keeper.directory.rewind().map_err(|error| not_started(&keeper, &last, failures, error))?;
            let request = Request {
                run: keeper.config.name(),
                path: keeper.directory.path(),
                share: share.clone(),
                least,
                most,
                left_behind: left_behind.iter().map(LeftBehind::count).sum(),
                longest: self.scaling.admission(),
                caller: keeper.watch.caller(),
            };
            let admitted = admission::admit(&request, &keeper.watch);
            let admitted = admitted.map_err(|error| not_started(&keeper, &last, failures, error))?;
            let Some(workers) = admitted else { return Err(keeper.interrupted()) };
            let size = workers.workers.len();
            let first = place(&keeper, latest, size, failures, share.threads());
            let value = Arc::new(Mutex::new(None));
            let attempt = Attempt::start(
                &mut keeper,
                workers,
                |rank| Place { rank, gpu: self.scaling.gpu_of(rank), ..first.clone() },
                || body(&self.train_loop, &self.config, &value),
            )?;
            let (outcome, behind) = attempt.see_through()?;
            let worker_failures = match outcome {
                Outcome::Done => return finish(keeper, &value, size),
                Outcome::Interrupted => return Err(keeper.interrupted()),
                Outcome::Failed(worker_failures) => worker_failures,
            };
            left_behind.push(behind);
            failures += 1;
            last = worker_failures;
            give_up_or_go_on(&keeper, &last, failures)?;
        }
    }
}

/// The loop with a clone of its configuration; rank 0 puts what it returns into `value`.
fn body<L: TrainLoop<M>, M>(train_loop: &Arc<L>, config: &L::Config, value: &Arc<Mutex<Option<L::Output>>>) -> Body {
    let (train_loop, config, value) = (Arc::clone(train_loop), config.clone(), Arc::clone(value));
    Box::new(move |context| {
        let returned = train_loop.run(context, config)?;
        if context.world_rank() == 0 {
            *lock(&value) = Some(returned);
        }
        Ok(())
    })
}

/// Where the engine refuses a wait it refuses this one: a group of one asks, and has nobody to wait for.
#[track_caller]
fn may_block() -> ray::Result<()> {
    Collective::members(1)?.remove(0).barrier()
}

fn place(keeper: &Keeper, latest: Option<crate::Checkpoint>, size: usize, attempt: u32, threads: usize) -> Place {
    Place {
        rank: 0,
        size,
        run: keeper.config.name().to_owned(),
        path: keeper.directory.path().to_owned(),
        staging: keeper.directory.staging(),
        attempt,
        seed: keeper.config.first_seed(),
        threads,
        gpu: None,
        latest,
        generators: keeper.directory.generators().to_vec(),
        timeout: keeper.config.longest_wait(),
    }
}

fn finish<R>(keeper: Keeper, value: &Mutex<Option<R>>, size: usize) -> ray::Result<TrainResult<R>> {
    keeper.directory.close();
    let value = lock(value).take().ok_or_else(|| failed("rank 0 returned nothing"))?;
    Ok(TrainResult::of_run(value, &keeper, size))
}

fn give_up_or_go_on(keeper: &Keeper, last: &[WorkerFailure], failures: u32) -> ray::Result<()> {
    if keeper.config.forgives(failures) { Ok(()) } else { Err(training_failed(keeper, last, failures, None)) }
}

/// The error of a group that could not be started. If it was to go on where another one failed, what that one failed with comes
/// first.
fn not_started(keeper: &Keeper, last: &[WorkerFailure], failures: u32, error: ray::Error) -> ray::Error {
    if last.is_empty() || error.is_runtime_gone() { error } else { training_failed(keeper, last, failures, Some(error)) }
}

fn training_failed(keeper: &Keeper, last: &[WorkerFailure], failures: u32, restart: Option<ray::Error>) -> ray::Error {
    let (run, checkpoint) = (keeper.config.name().to_owned(), keeper.directory.latest());
    ray::Error::other(TrainingFailed { run, worker_failures: last.to_vec(), failures, restart, checkpoint })
}

fn panicked(payload: Box<dyn Any + Send>) -> ray::Error {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let error = failed(format!("its loop panicked: {}", text.unwrap_or("(a value that is no text)")));
    // It may panic again when it is dropped.
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
