//! The actor that runs the loop of a rank.

use std::sync::{Arc, Mutex};

use ray::collective::{Group, Poisoner};
use ray::remote;

use super::caller::GroupScope;
use super::lock::lock;
use super::report_board::{Event, ReportBoard};
use super::report_channel::ReportChannel;
use crate::context::RankInfo;
use crate::error::{Released, failed};
use crate::{TrainContext, pool};

/// A worker of a group: an actor that runs the loop of one rank, and holds the rank's resources while the group lives.
///
/// A trainer creates the workers. [`Worker::find`] gives access to a worker, for instance to kill it. The group treats a killed
/// worker as a failed rank:
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use ray_train::{Metrics, RunConfig, ScalingConfig, TrainContext, Trainer, Worker};
///
/// static KILLED: AtomicBool = AtomicBool::new(false);
/// # let _ = ray::init_with(ray::Config::new().num_cpus(2));
/// let run = RunConfig::temporary("doc-worker")?.max_failures(1);
/// let path = run.path()?;
/// let run = run.on_report(move |_| {
///     if !KILLED.swap(true, Ordering::Relaxed) {
///         ray::kill(&Worker::find(&path, 1).unwrap()).unwrap();
///     }
/// });
/// let train = |ctx: &TrainContext| {
///     ctx.report((), None)?;
///     ctx.barrier()?;
///     Ok(ctx.attempt())
/// };
/// let result = Trainer::new(train).scaling(ScalingConfig::workers(2)).run_config(run).fit()?;
/// assert_eq!(*result.value(), 1);
/// # Ok::<(), ray::Error>(())
/// ```
#[remote]
#[derive(Debug)]
pub struct Worker {}

/// Everything that a worker needs to run the loop of its rank.
pub(crate) struct Job {
    pub(crate) rank: RankInfo,
    /// The number of the worker group.
    pub(crate) group_number: u64,
    pub(crate) collective: Group,
    pub(crate) board: Arc<ReportBoard>,
    pub(crate) body: LoopBody,
}

/// The loop of a rank with its configuration. It stores the value that the loop returns.
pub(crate) type LoopBody = Box<dyn FnOnce(&TrainContext) -> ray::Result<()> + Send>;

/// A job as an argument of an actor call: arguments must be `Sync`, and a job is only `Send`.
pub(crate) type JobSlot = Arc<Mutex<Option<Job>>>;

#[remote(local)]
impl Worker {
    pub(crate) fn new() -> Self {
        Worker {}
    }

    /// Runs the loop. The result of the loop goes to the board; the call itself fails only if the loop panics.
    pub(crate) fn run(&mut self, slot: JobSlot) -> ray::Result<()> {
        let Some(job) = lock(&slot).take() else { return Err(failed("a worker runs the loop of its rank once")) };
        run(job);
        Ok(())
    }
}

fn run(job: Job) {
    let Job { rank: info, group_number, collective, board, body } = job;
    let _scope = GroupScope::enter(group_number);
    let (rank, threads) = (info.rank, info.threads);
    let poisoner = collective.poisoner();
    let _exit = ExitGuard { board: &board, rank };
    board.start(rank);
    let context = match TrainContext::new(info, collective, ReportChannel::Group(Arc::clone(&board))) {
        Ok(context) => context,
        Err(error) => return board.post(Event::Returned { rank, result: Err(error) }),
    };
    let panic_guard = PanicGuard { rank, poisoner: &poisoner };
    let result = pool::run_in_pool(threads, || body(&context));
    if let Err(error) = &result {
        // Before the context is dropped, which leaves the group: so the other ranks get this reason.
        poisoner.poison(Released::error(format!("rank {rank} failed: {error}")));
    }
    drop(panic_guard);
    board.post(Event::Returned { rank, result });
}

/// Reports the exit of a rank. It is dropped after the context, also during a panic.
struct ExitGuard<'a> {
    board: &'a ReportBoard,
    rank: usize,
}

impl Drop for ExitGuard<'_> {
    fn drop(&mut self) {
        self.board.post(Event::Exited { rank: self.rank });
    }
}

/// Releases the other ranks if the loop panics. It is dropped before the context, which leaves the group, so that the other ranks get
/// the panic as the reason.
struct PanicGuard<'a> {
    rank: usize,
    poisoner: &'a Poisoner,
}

impl Drop for PanicGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.poisoner.poison(Released::error(format!("rank {} panicked", self.rank)));
        }
    }
}
