//! The actor that a rank's loop runs in.

use std::path::Path;
use std::sync::{Arc, Mutex};

use ray::collective::{Group, Poisoner};
use ray::{ActorHandle, remote};

use super::admission;
use super::caller::Inside;
use super::door::{Board, Door, Event, lock};
use crate::context::Place;
use crate::faults::{Released, failed};
use crate::{TrainContext, pool};

/// A worker of a group: one rank's loop, in an actor that holds the rank's resources for as long as the group lives.
///
/// Trainers make them. From outside one can be found, for instance to be killed, which the group sees as a failure:
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
///         ray::kill(&Worker::find(&path, 1).unwrap());
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

/// What a rank is to do, on its way to the actor.
pub(crate) struct Job {
    pub(crate) place: Place,
    /// The number of its group.
    pub(crate) number: u64,
    pub(crate) group: Group,
    pub(crate) board: Arc<Board>,
    pub(crate) body: Body,
}

/// A rank's loop with its configuration; what it returns it has put away itself.
pub(crate) type Body = Box<dyn FnOnce(&TrainContext) -> ray::Result<()> + Send>;

/// Arguments are shared between threads before they are taken; a job is only sent.
pub(crate) type Parcel = Arc<Mutex<Option<Job>>>;

#[remote(local)]
impl Worker {
    pub(crate) fn new() -> Self {
        Worker {}
    }

    /// Runs the loop. What it returns goes to the board; only a panic comes out of the call.
    pub(crate) fn run(&mut self, parcel: Parcel) -> ray::Result<()> {
        let Some(job) = lock(&parcel).take() else { return Err(failed("a rank's loop runs once")) };
        run(job);
        Ok(())
    }
}

impl Worker {
    /// The worker of a rank of a run that is under way in this process, by the run's directory.
    ///
    /// # Errors
    /// No such run is under way here, or it has no such rank.
    ///
    /// ```
    /// assert!(ray_train::Worker::find("nowhere", 0).is_err());
    /// ```
    pub fn find(run: impl AsRef<Path>, rank: usize) -> ray::Result<ActorHandle<Worker>> {
        admission::find(run.as_ref(), rank)
    }
}

fn run(job: Job) {
    let Job { place, number, group, board, body } = job;
    let _inside = Inside::of(number);
    let (rank, threads) = (place.rank, place.threads);
    let poisoner = group.poisoner();
    let _leaving = Leaving { board: &board, rank };
    board.begin(rank);
    let context = match TrainContext::new(place, group, Door::Group(Arc::clone(&board))) {
        Ok(context) => context,
        Err(error) => return board.post(Event::Returned { rank, result: Err(error) }),
    };
    let breaking = Breaking { rank, poisoner: &poisoner };
    let result = pool::on_this_thread(threads, || body(&context));
    if let Err(error) = &result {
        // Before the group is left: the others learn why.
        poisoner.poison(Released::error(format!("rank {rank} failed: {error}")));
    }
    drop(breaking);
    board.post(Event::Returned { rank, result });
}

/// Dropped last, in a panic too.
struct Leaving<'a> {
    board: &'a Board,
    rank: usize,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.board.post(Event::Left { rank: self.rank });
    }
}

/// A panic in the loop releases the others before it drops what the loop has, the group among it.
struct Breaking<'a> {
    rank: usize,
    poisoner: &'a Poisoner,
}

impl Drop for Breaking<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.poisoner.poison(Released::error(format!("rank {} panicked", self.rank)));
        }
    }
}
