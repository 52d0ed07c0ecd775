//! A pool of workers that run remote functions.

mod job;
mod result;

use std::collections::VecDeque;
use std::fmt;
use std::iter;

use parking_lot::Mutex;
use ray_core::__private::Function;
use ray_core::{ActorHandle, Error, ErrorKind, ObjectRef, Result};

use crate::util::actor_pool::ActorPool;
use crate::util::actor_pool::map::Progress;
use job::{Call, Chunk, Done};
pub use job::{Mapped, Pooled, Slot, Slots};
pub use result::{AsyncResult, Collected, One};

/// A worker of a [`Pool`].
#[ray::remote(max_restarts = -1)]
#[derive(Debug)]
pub(crate) struct PoolActor;

#[ray::remote]
impl PoolActor {
    /// Runs the initializer. If it fails, the worker does not start.
    pub(crate) fn new(initializer: Option<Chunk>) -> Result<Self, Error> {
        for done in initializer.map(Chunk::run).unwrap_or_default() {
            done.typed::<()>()?;
        }
        Ok(PoolActor)
    }

    // It runs calls of any functions, so the calls before say nothing of how long the next one takes.
    #[method(inline = false)]
    pub(crate) fn run(&mut self, chunk: Chunk) -> Vec<Done> {
        chunk.run()
    }
}

/// A number of workers that run calls of remote functions, with the methods of Python's `multiprocessing.Pool`.
/// [Ray's page](https://docs.ray.io/en/latest/ray-more-libs/multiprocessing.html).
///
/// Each worker is an actor, on a cluster a process, and runs one call at a time; so at most as many calls of a pool run at once as it
/// has workers. A worker holds no CPU. The functions are remote functions that are neither `async` nor `local`, with at most six
/// parameters; their arguments are values. Calls go to the workers in chunks, since a chunk is one message; `chunksize` is the number of
/// calls in it.
///
/// ```
/// use ray::remote;
/// use ray::util::Pool;
///
/// #[remote]
/// fn square(x: u64) -> u64 {
///     x * x
/// }
///
/// #[remote]
/// fn power(base: u64, exponent: u32) -> u64 {
///     base.pow(exponent)
/// }
///
/// let pool = Pool::new(4)?;
/// assert_eq!(pool.map(square, 0..5)?, [0, 1, 4, 9, 16]);
/// assert_eq!(pool.starmap(power, [(2, 10), (3, 4)])?, [1024, 81]);
/// assert_eq!(pool.apply(power, (2, 3))?, 8);
/// # Ok::<(), ray::Error>(())
/// ```
///
/// # Errors of calls
///
/// A call that returns `Err` or panics fails alone. [`map`](Self::map) and the other methods that return all results return the error of
/// the first call that failed; an iterator has it as its item. A worker whose process crashes is restarted, and the calls of its chunk
/// fail.
///
/// # The end
///
/// [`close`](Self::close) lets the calls end, [`terminate`](Self::terminate) does not, and [`join`](Self::join) waits for the workers.
/// Later calls are errors of kind `InvalidArgument`. Dropping the pool is a `close`.
pub struct Pool {
    workers: Mutex<Workers>,
}

/// The workers of a pool.
#[derive(Debug, Default)]
struct Workers {
    running: Vec<ActorHandle<PoolActor>>,
    /// The next one that gets a chunk.
    next: usize,
    /// The ends of the workers that were told to end.
    ended: Vec<ObjectRef<()>>,
    is_closed: bool,
}

impl Workers {
    /// Sends a chunk to the next worker.
    fn send(&mut self, chunk: Chunk) -> ObjectRef<Vec<Done>> {
        let place = self.next % self.running.len();
        self.next = place + 1;
        self.running[place].run.remote(chunk)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = self.workers.lock();
        write!(f, "Pool({} workers{})", workers.running.len(), if workers.is_closed { ", closed" } else { "" })
    }
}

/// The settings of a [`Pool`]; [`Pool::options`] makes them.
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until `create`"]
pub struct PoolOptions {
    processes: Option<usize>,
    initializer: Option<Chunk>,
}

impl PoolOptions {
    /// Sets the number of workers. The default is the number of CPUs of the engine or the cluster.
    pub fn processes(mut self, processes: usize) -> Self {
        self.processes = Some(processes);
        self
    }

    /// Sets a function that each worker runs once before its first call, and again when it restarts. If it fails, no call of this
    /// worker runs, and all of them fail with its error.
    pub fn initializer<F>(mut self, f: F, args: <F::Args as Slots>::Values) -> Self
    where
        F: Function<Args: Slots, Output = ()>,
    {
        self.initializer = Some(Chunk::new(f, vec![F::Args::erase(args)]));
        self
    }

    /// Creates the pool.
    ///
    /// # Errors
    /// `InvalidArgument`: no workers.
    pub fn create(self) -> Result<Pool> {
        if self.processes == Some(0) {
            let what = "a pool needs at least one worker: set `processes` to 1 or more";
            return Err(Error::of_kind(ErrorKind::InvalidArgument, what));
        }
        let processes = match self.processes {
            Some(processes) => processes,
            None => cpus()?,
        };
        let initializer = self.initializer;
        let running = (0..processes).map(|_| PoolActor::remote(initializer.clone())).collect();
        Ok(Pool { workers: Mutex::new(Workers { running, ..Workers::default() }) })
    }
}

/// The number of CPUs, but at least 1.
fn cpus() -> Result<usize> {
    crate::init_with(crate::Config::new().ignore_reinit_error(true))?;
    let cpus = ray_core::cluster_resources()?.get("CPU").copied().unwrap_or(1.0);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of CPUs is small, and not negative")]
    Ok((cpus as usize).max(1))
}

impl Pool {
    /// A pool with so many workers.
    ///
    /// # Errors
    /// `InvalidArgument` for 0.
    pub fn new(processes: usize) -> Result<Self> {
        Self::options().processes(processes).create()
    }

    /// The settings of a pool.
    ///
    /// ```
    /// use std::sync::OnceLock;
    ///
    /// use ray::remote;
    /// use ray::util::Pool;
    ///
    /// static TABLE: OnceLock<Vec<u64>> = OnceLock::new();
    ///
    /// #[remote]
    /// fn load(size: u64) {
    ///     TABLE.get_or_init(|| (0..size).map(|x| x * x).collect()); // the workers of one process share it
    /// }
    ///
    /// #[remote]
    /// fn look_up(x: usize) -> u64 {
    ///     TABLE.get().expect("the initializer has run")[x]
    /// }
    ///
    /// let pool = Pool::options().processes(2).initializer(load, (100,)).create()?;
    /// assert_eq!(pool.map(look_up, [3, 5])?, [9, 25]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn options() -> PoolOptions {
        PoolOptions::default()
    }

    /// `f(value)` for all values: waits for all calls, and returns their results in the order of the values.
    ///
    /// # Errors
    /// The error of the first call that failed; `InvalidArgument` if the pool is closed, or `f` is `async` or `local`.
    #[track_caller]
    pub fn map<F: Mapped>(&self, f: F, values: impl IntoIterator<Item = F::Value>) -> Result<Vec<F::Output>> {
        self.map_async(f, values)?.get()
    }

    /// As [`map`](Self::map), but does not wait.
    ///
    /// # Errors
    /// `InvalidArgument` if the pool is closed, or `f` is `async` or `local`.
    ///
    /// ```
    /// # use ray::remote;
    /// # use ray::util::Pool;
    /// # #[remote]
    /// # fn square(x: u64) -> u64 { x * x }
    /// let pool = Pool::new(2)?;
    /// let squares = pool.map_async(square, 0..4)?;
    /// assert_eq!(squares.get()?, [0, 1, 4, 9]);
    /// assert!(squares.ready() && squares.successful()?);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn map_async<F: Mapped>(&self, f: F, values: impl IntoIterator<Item = F::Value>) -> Result<AsyncResult<Vec<F::Output>>> {
        self.starmap_async(f, values.into_iter().map(F::args))
    }

    /// As [`map`](Self::map), for functions of several parameters: each value is the tuple of the arguments.
    ///
    /// # Errors
    /// Those of [`map`](Self::map).
    #[track_caller]
    pub fn starmap<F: Pooled>(
        &self,
        f: F,
        values: impl IntoIterator<Item = <F::Args as Slots>::Values>,
    ) -> Result<Vec<F::Output>> {
        self.starmap_async(f, values)?.get()
    }

    /// As [`starmap`](Self::starmap), but does not wait.
    ///
    /// # Errors
    /// Those of [`map_async`](Self::map_async).
    pub fn starmap_async<F: Pooled>(
        &self,
        f: F,
        values: impl IntoIterator<Item = <F::Args as Slots>::Values>,
    ) -> Result<AsyncResult<Vec<F::Output>>> {
        job::check::<F>()?;
        let calls: Vec<Call> = values.into_iter().map(F::Args::erase).collect();
        let mut workers = self.open()?;
        // Python's choice: four chunks for each worker.
        let size = calls.len().div_ceil(4 * workers.running.len()).max(1);
        let mut calls = calls.into_iter();
        let chunks = iter::from_fn(|| Some(calls.by_ref().take(size).collect::<Vec<_>>()).filter(|chunk| !chunk.is_empty()));
        Ok(AsyncResult::new(chunks.map(|calls| workers.send(Chunk::new(f, calls))).collect()))
    }

    /// Calls `f` with a tuple of arguments, and waits for the result.
    ///
    /// # Errors
    /// Those of [`map`](Self::map).
    #[track_caller]
    pub fn apply<F: Pooled>(&self, f: F, args: <F::Args as Slots>::Values) -> Result<F::Output> {
        self.apply_async(f, args)?.get()
    }

    /// As [`apply`](Self::apply), but does not wait.
    ///
    /// # Errors
    /// Those of [`map_async`](Self::map_async).
    ///
    /// ```
    /// # use ray::remote;
    /// # use ray::util::Pool;
    /// # #[remote]
    /// # fn add(a: u64, b: u64) -> u64 { a + b }
    /// let pool = Pool::new(2)?;
    /// let answer = pool.apply_async(add, (40, 2))?;
    /// assert_eq!(answer.get()?, 42);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn apply_async<F: Pooled>(&self, f: F, args: <F::Args as Slots>::Values) -> Result<AsyncResult<One<F::Output>>> {
        job::check::<F>()?;
        let mut workers = self.open()?;
        Ok(AsyncResult::new(vec![workers.send(Chunk::new(f, vec![F::Args::erase(args)]))]))
    }

    /// As [`map`](Self::map), but lazy: an iterator of the results in the order of the values, which takes a chunk of values when a
    /// worker is idle. The values may be infinite. `chunksize` is usually 1; use more for short calls.
    ///
    /// # Errors
    /// Those of [`map_async`](Self::map_async), and `InvalidArgument` for a chunk size of 0. Each item is the result or the error of its
    /// call. If the worker of a chunk crashes, the whole chunk has one item, the error.
    ///
    /// ```
    /// # use ray::remote;
    /// # use ray::util::Pool;
    /// # #[remote]
    /// # fn square(x: u64) -> u64 { x * x }
    /// let pool = Pool::new(2)?;
    /// let first: ray::Result<Vec<u64>> = pool.imap(square, 0.., 1)?.take(4).collect();
    /// assert_eq!(first?, [0, 1, 4, 9]);
    /// # Ok::<(), ray::Error>(())
    /// ```
    pub fn imap<F: Mapped>(
        &self,
        f: F,
        values: impl IntoIterator<Item = F::Value>,
        chunksize: usize,
    ) -> Result<impl Iterator<Item = Result<F::Output>>> {
        self.lazily(f, values.into_iter(), chunksize, true)
    }

    /// As [`imap`](Self::imap), but each chunk of results is returned as soon as it is there.
    ///
    /// # Errors
    /// Those of [`imap`](Self::imap).
    pub fn imap_unordered<F: Mapped>(
        &self,
        f: F,
        values: impl IntoIterator<Item = F::Value>,
        chunksize: usize,
    ) -> Result<impl Iterator<Item = Result<F::Output>>> {
        self.lazily(f, values.into_iter(), chunksize, false)
    }

    /// Ends the pool when its calls have ended: no call can be submitted any more.
    pub fn close(&self) {
        let mut workers = self.workers.lock();
        if std::mem::replace(&mut workers.is_closed, true) {
            return;
        }
        let ends: Vec<_> = workers.running.iter().map(ActorHandle::terminate).collect();
        workers.ended.extend(ends);
    }

    /// Ends the pool at once: kills the workers. The calls that have not ended fail with an error of kind `ActorDied`.
    ///
    /// # Errors
    /// `RuntimeGone` if the engine was shut down.
    pub fn terminate(&self) -> Result<()> {
        let mut workers = self.workers.lock();
        workers.is_closed = true;
        workers.running.drain(..).try_for_each(|worker| ray_core::kill(&worker))
    }

    /// Waits until the workers of a closed pool have ended. After [`terminate`](Self::terminate) it returns at once: a call that runs in
    /// this process goes on to its end.
    ///
    /// # Errors
    /// `InvalidArgument`: the pool was neither closed nor terminated; the errors of a wait, see [`ray::get`](crate::get).
    ///
    /// ```
    /// # use ray::util::Pool;
    /// let pool = Pool::new(2)?;
    /// assert!(pool.join().is_err());
    /// pool.close();
    /// pool.join()?;
    /// # Ok::<(), ray::Error>(())
    /// ```
    #[track_caller]
    pub fn join(&self) -> Result<()> {
        let workers = self.workers.lock();
        if !workers.is_closed {
            return Err(Error::of_kind(ErrorKind::InvalidArgument, "the pool is still running: `close` or `terminate` it first"));
        }
        let ended = workers.ended.clone();
        drop(workers);
        for end in ended {
            match ray_core::get(end) {
                // It was killed, or has crashed.
                Err(error) if !error.is_actor_died() => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn open(&self) -> Result<parking_lot::MutexGuard<'_, Workers>> {
        let workers = self.workers.lock();
        if workers.is_closed {
            return Err(Error::of_kind(ErrorKind::InvalidArgument, "the pool is closed: make a new one for further calls"));
        }
        Ok(workers)
    }

    fn lazily<F: Mapped>(
        &self,
        f: F,
        mut values: impl Iterator<Item = F::Value>,
        chunksize: usize,
        ordered: bool,
    ) -> Result<impl Iterator<Item = Result<F::Output>>> {
        job::check::<F>()?;
        if chunksize == 0 {
            return Err(Error::of_kind(
                ErrorKind::InvalidArgument,
                "a chunk has at least one call: use a `chunksize` of 1 or more",
            ));
        }
        let workers = self.open()?;
        let mut idle = ActorPool::new(workers.running.iter().cloned());
        drop(workers);
        let chunks = iter::from_fn(move || {
            let calls: Vec<Call> = values.by_ref().take(chunksize).map(|value| F::Args::erase(F::args(value))).collect();
            (!calls.is_empty()).then(|| Chunk::new(f, calls))
        });
        let mut progress = Progress::new(chunks, |worker: &ActorHandle<PoolActor>, chunk| worker.run.remote(chunk), ordered);
        let mut results = VecDeque::new();
        Ok(iter::from_fn(move || {
            while results.is_empty() {
                match progress.next(&mut idle)? {
                    Ok(done) => results.extend(done.into_iter().map(Done::typed)),
                    Err(error) => results.push_back(Err(error)),
                }
            }
            results.pop_front()
        }))
    }
}
