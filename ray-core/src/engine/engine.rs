//! The engine: its parts, and the static that has the current one.
//!
//! Each engine has a number, its [epoch]. A shutdown changes the current epoch and wakes every waiting thread, which then compares
//! the epochs and sees that its engine has ended.

use crate::task::executor::{Executor, PROCESSES};
use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use crossbeam_deque::{Injector, Steal};
use parking_lot::{Mutex, RwLock};

use crate::engine::async_runtime::AsyncRuntime;

use crate::base::config::{Config, Mode, Resolved};
use crate::base::epoch;
use crate::base::error::{Error, ErrorKind, Result};
use crate::base::resources::Resources;
use crate::engine::awaited::AwaitedQueue;
use crate::engine::calls::Calls;
use crate::engine::free_queue::FreeQueue;
use crate::engine::futures::Futures;
use crate::engine::group::Groups;
use crate::engine::monitor_handle::MonitorHandle;
use crate::engine::returning::Return;
use crate::engine::threads::{Job, Shared, Threads};
use crate::object::entry::Hold;
use crate::sched::cpu_pool::CpuPool;
use crate::sched::gpus::Share;
use crate::sched::node::Node;

/// Data of a higher layer that an engine keeps.
pub(crate) trait Attached: Any + Send + Sync {
    /// Called when the engine has ended.
    fn end(&self);
}

/// The claim of a getter that wants its CPU back.
pub(crate) type Returning = Arc<Return>;

/// A placement group that waits for its resources.
pub(crate) trait Reserving: Send + Sync {
    /// Called when the node has granted the resources, with the GPUs of each bundle.
    fn reserved(self: Arc<Self>, engine: &Engine, gpus: Vec<Share>);
}

/// Work that claims resources of the node.
pub(crate) enum Start {
    /// A task, or the creation of an actor.
    Work(Hold),
    Group(Arc<dyn Reserving>),
}

/// An embedded engine.
pub(crate) struct Engine {
    pub(crate) epoch: u32,
    /// The process that started the engine. A forked process has a copy of this struct, but none of the threads.
    process: u32,
    pub(crate) settings: Resolved,
    pub(crate) cpu: CpuPool,
    pub(crate) claims: Mutex<Node<Returning, Start>>,
    pub(crate) groups: Groups,
    /// Tasks for one CPU that are in no thread's deque.
    pub(crate) injector: Injector<Job>,
    pub(crate) free: FreeQueue,
    /// The tasks of all queues that a thread waits for.
    pub(crate) awaited: AwaitedQueue,
    /// The number of extra CPUs granted so far; see `engine::extra_cpu`.
    pub(crate) extra_cpus: AtomicU64,
    /// Calls for help to waiting threads, made when no worker can be had.
    pub(crate) calls: Calls,
    pub(crate) threads: Threads,
    pub(crate) workers: Workers,
    pub(crate) monitor: MonitorHandle,
    /// The executor that runs bodies in [`Mode::Remote`].
    pub(crate) executor: Option<Arc<dyn Executor>>,
    /// The table of actors, which a higher layer keeps here.
    pub(crate) attached: OnceLock<Box<dyn Attached>>,
    pub(crate) futures: Futures,
    /// The engine itself, for the threads that it starts when it ends.
    pub(crate) me: Weak<Engine>,
    pub(crate) waits: crate::engine::wait_graph::Graph,
    /// The names of the actors that hold resources for life, by the actors' addresses; for reports.
    pub(crate) holders: Mutex<HashMap<usize, String>>,
    pub(crate) async_runtime: AsyncRuntime,
}

/// The counts of the worker threads, and the list of the idle ones.
#[derive(Debug, Default)]
pub(crate) struct Workers {
    /// The workers that are parked and can be woken.
    pub(crate) idle: Mutex<Vec<Arc<Shared>>>,
    pub(crate) idle_count: AtomicUsize,
    /// All living workers except those in `leaving`.
    pub(crate) count: AtomicUsize,
    /// Workers that were subtracted from `count` and whose threads have not ended.
    pub(crate) leaving: AtomicUsize,
    /// Workers that were woken or spawned and do not look for work yet.
    pub(crate) waking: AtomicUsize,
    /// Workers that wait in a get.
    pub(crate) blocked: AtomicUsize,
    /// By how many the lively workers exceed `Resolved::workers`, as of the last look; the first worker that sees it idles.
    pub(crate) surplus: AtomicUsize,
    /// How often a worker has taken a task out of a queue that was claimed already, mostly by a thread that waits for it.
    pub(crate) in_vain: AtomicUsize,
    /// The workers that came back for work between the last two looks of the monitor thread, and those that only lack a processor.
    pub(crate) lively: AtomicUsize,
}

impl Workers {
    /// Subtracts a worker from the count if there are more than `needed`; if several workers do this at once, `needed` workers
    /// stay. `true`: the caller was subtracted and must end.
    pub(crate) fn count_out_a_spare(&self, needed: usize) -> bool {
        let spare = |count: usize| (count > needed).then(|| count - 1);
        self.leaving.fetch_add(1, Ordering::SeqCst);
        let leaves = self.count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spare).is_ok();
        if !leaves {
            self.leaving.fetch_sub(1, Ordering::SeqCst);
        }
        leaves
    }
}

pub(crate) static ENGINE: RwLock<Option<Arc<Engine>>> = RwLock::new(None);

/// The current engine, if there is one.
pub(crate) fn running() -> Option<Arc<Engine>> {
    ENGINE.read().clone()
}

/// The current engine; starts one if there is none.
pub(crate) fn engine() -> Result<Arc<Engine>> {
    if let Some(engine) = running() {
        return Ok(engine);
    }
    start(Config::new(), None, true)
}

/// Starts an engine. With `join` it returns an engine that runs already.
pub(crate) fn start(config: Config, executor: Option<Arc<dyn Executor>>, join: bool) -> Result<Arc<Engine>> {
    let lenient = config.ignores_reinit_error();
    let mut slot = ENGINE.write();
    if let Some(engine) = &*slot {
        engine.of_this_process()?;
        if join || lenient {
            return Ok(Arc::clone(engine));
        }
        return Err(Error::new(
            ErrorKind::AlreadyInitialized,
            "the engine runs already: `ray::init` was called twice, or a first `.remote(..)` or `put` started it before; call `init` first and once, or allow it with `Config::ignore_reinit_error(true)`",
        ));
    }
    match &executor {
        Some(executor) => number_ids(executor.process())?,
        None => config.check_no_address()?,
    }
    let settings = config.resolve()?;
    crate::base::unwind::install_hook();
    let engine = Engine::new(epoch::fresh(), settings, executor);
    *slot = Some(Arc::clone(&engine));
    epoch::begin(engine.epoch);
    Ok(engine)
}

/// Lets the ids of this process begin with its number.
///
/// # Errors
/// `InvalidArgument`: the number is too large.
fn number_ids(process: u32) -> Result<()> {
    if process >= PROCESSES {
        let what = format!("the executor gives this process the number {process}, but numbers must be less than {PROCESSES}");
        return Err(Error::new(ErrorKind::InvalidArgument, what));
    }
    let first = u64::from(process) << 40;
    crate::base::id::begin_above(first);
    crate::base::id::begin_callers_above(first);
    Ok(())
}

/// Removes the current engine, so that a new one may start.
pub(crate) fn retire() -> Option<Arc<Engine>> {
    let mut slot = ENGINE.write();
    let engine = slot.take();
    if engine.is_some() {
        epoch::end();
    }
    engine
}

impl Engine {
    pub(crate) fn new(epoch: u32, mut settings: Resolved, executor: Option<Arc<dyn Executor>>) -> Arc<Self> {
        if executor.is_some() {
            settings.mode = Mode::Remote;
            settings.checks_submissions = true;
        }
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            epoch,
            process: std::process::id(),
            cpu: CpuPool::new(settings.total.cpu()),
            claims: Mutex::new(Node::new(&settings.total)),
            groups: Groups::default(),
            injector: Injector::new(),
            free: FreeQueue::new(),
            awaited: AwaitedQueue::default(),
            extra_cpus: AtomicU64::new(0),
            calls: Calls::default(),
            threads: Threads::new(),
            workers: Workers::default(),
            monitor: MonitorHandle::new(),
            executor,
            attached: OnceLock::new(),
            futures: Futures::default(),
            waits: crate::engine::wait_graph::Graph::default(),
            holders: Mutex::new(HashMap::new()),
            async_runtime: AsyncRuntime::new(),
            settings,
        })
    }

    /// Whether the engine has not been shut down.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        epoch::is_current(self.epoch)
    }

    /// The node's resources.
    pub(crate) fn total(&self) -> &Resources {
        &self.settings.total
    }

    /// Returns an error in a process that was forked from the one that started the engine. This is a system call, so it is only
    /// used where the caller waits or starts a thread anyway.
    ///
    /// # Errors
    /// `RuntimeGone` in a forked process.
    pub(crate) fn of_this_process(&self) -> Result<()> {
        if self.process == std::process::id() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::RuntimeGone,
            format!(
                "this process was made by `fork` from process {}, whose engine it cannot use: a fork has none of the engine's threads; fork before the first use of ray, or start another program (`std::process::Command`)",
                self.process
            ),
        ))
    }

    /// The tokio runtime on which async bodies run; the first use starts it.
    ///
    /// # Errors
    /// `Threads`: the system refuses the runtime's threads. `RuntimeGone`: the engine was shut down.
    pub(crate) fn tokio(&self) -> Result<&tokio::runtime::Handle> {
        if !self.is_live() {
            return Err(epoch::gone("the future had not started"));
        }
        self.async_runtime.handle(self.settings.workers, self.settings.worker_stack)
    }

    /// The tokio runtime, if it has been started.
    #[inline]
    pub(crate) fn started_tokio(&self) -> Option<&tokio::runtime::Handle> {
        self.async_runtime.started()
    }

    /// Takes an old task: the oldest of the injector, otherwise the oldest of some deque.
    pub(crate) fn oldest_queued(&self) -> Option<Hold> {
        let queued = |job: Job| Some(job.into_hold()).filter(|task| task.phase() == crate::object::state::Phase::Queued);
        loop {
            match self.injector.steal() {
                Steal::Success(job) => {
                    if let Some(task) = queued(job) {
                        return Some(task);
                    }
                }
                Steal::Retry => {}
                Steal::Empty => break,
            }
        }
        let mut oldest = None;
        self.threads.walk(0, |_, stealer| {
            loop {
                match stealer.steal() {
                    Steal::Success(job) => {
                        oldest = queued(job);
                        if oldest.is_some() {
                            break true;
                        }
                    }
                    Steal::Retry => {}
                    Steal::Empty => break false,
                }
            }
        });
        oldest
    }

    /// Whether there is work for one CPU in some queue.
    pub(crate) fn has_cpu_work(&self) -> bool {
        self.has_cpu_work_beyond(0)
    }

    /// Like [`has_cpu_work`](Self::has_cpu_work), if `taken` of the queued tasks have been taken through the awaited queue.
    pub(super) fn has_cpu_work_beyond(&self, taken: usize) -> bool {
        let mut queued = self.injector.len();
        if queued > taken || self.awaited.waiting().1 {
            return true;
        }
        self.threads.walk(0, |_, stealer| {
            queued += stealer.len();
            queued > taken
        });
        queued > taken
    }

    /// The workers that neither idle nor wait in a get, so that they will come back for work.
    pub(crate) fn workers_at_work(&self) -> usize {
        let workers = &self.workers;
        workers
            .count
            .load(Ordering::SeqCst)
            .saturating_sub(workers.idle_count.load(Ordering::SeqCst) + workers.blocked.load(Ordering::SeqCst))
    }

    /// Whether no worker lives: the system refuses threads, or none was needed so far.
    pub(crate) fn has_no_worker(&self) -> bool {
        self.workers.count.load(Ordering::SeqCst) == 0
    }

    /// The names of the bodies that run now, on the engine's threads and on threads of the user.
    pub(crate) fn running_bodies(&self) -> Vec<String> {
        let mut names = Vec::new();
        self.threads.walk(0, |shared, _| {
            if let Some(spec) = shared.running() {
                names.push(format!("{} ({}:{})", spec.path(), spec.file(), spec.line()));
            }
            false
        });
        names
    }
}
