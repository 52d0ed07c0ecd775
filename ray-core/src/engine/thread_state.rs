//! What a thread knows of the engine: its deque, the frames it runs, the CPU it holds.
//!
//! Every thread that calls into the engine has a [`ThreadState`], the user's own too: a submitted task goes on the
//! submitter's deque, from which workers steal.

use std::cell::Cell;
use std::ptr::{NonNull, null};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_deque::Worker;

use crate::base::error::Error;
use crate::call::spec::Spec;
use crate::engine::engine::Engine;
use crate::engine::free_queue::Batch;
use crate::engine::threads::{HeldCpu, Job, Shared};
use crate::object::entry::Header;
use crate::task::runner::Runner;

/// A running body, on the stack of the thread that runs it.
pub(crate) struct Frame {
    pub(crate) below: *const Frame,
    /// The task or call; none for a call told without a reference.
    pub(crate) entry: Option<NonNull<Header>>,
    pub(crate) actor: Option<NonNull<dyn Host>>,
    pub(crate) spec: &'static Spec,
    /// Who it is as a caller of actors; given on demand.
    pub(crate) caller: Cell<u64>,
    /// A future is being polled: blocking here would stall others.
    pub(crate) is_async: bool,
    /// The constructor that runs here has panicked.
    pub(crate) crashed: Cell<bool>,
}

impl Frame {
    /// The number of the task or call.
    pub(crate) fn task_id(&self) -> Option<u64> {
        // SAFETY: the entry of a frame is alive while its body runs.
        self.entry.map(|entry| unsafe { entry.as_ref() }.id())
    }
}

/// The actor whose body a frame runs. The actor outlives the frame.
pub(crate) trait Host {
    /// Its number as a caller of other actors.
    fn caller(&self) -> u64;
    /// The call that it runs has ended, and no other thread may reach the call any more.
    fn end_call(&self);
    /// Why it is dead, if it is.
    fn death(&self) -> Option<Error>;
}

/// The state; see the module.
pub(crate) struct ThreadState {
    pub(crate) engine: Arc<Engine>,
    pub(crate) epoch: u32,
    pub(crate) deque: Worker<Job>,
    /// Of a worker: CPU-free work that it has taken and not begun.
    pub(crate) batch: Option<Batch>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) frame: Cell<*const Frame>,
    /// What `Shared::cpu` says.
    pub(crate) cpu: HeldCpu,
    /// A worker of the engine, which must go back to its loop; not a user's thread that helps itself.
    pub(crate) is_worker: bool,
    /// Counts bodies, for the sampling of their durations.
    pub(crate) samples: Cell<u32>,
    /// The time of the innermost body is taken.
    pub(crate) timed: Cell<bool>,
    /// What that body has spent in waits so far, which is not its own time.
    pub(crate) outside: Cell<Duration>,
    /// The body that begins now is an `async fn`'s, and is to be polled here once.
    pub(crate) first_poll: Cell<bool>,
    /// This thread has entered the engine's async runtime; see `blocking::world`.
    pub(crate) entered: Cell<bool>,
    /// When the awaits of this thread began to run work without a pause, and when the last work ended, more or less; see
    /// `blocking::awaiting`.
    pub(crate) burst: Cell<Option<(Instant, Instant)>>,
    /// Of a worker that ends since it is one too many: it is no longer among the workers that are counted.
    pub(crate) counted_out: Cell<bool>,
    /// The user's thread as a caller of actors.
    caller: u64,
    pub(crate) tip: crate::engine::tips::Watch,
}

static NEXT_CALLER: AtomicU64 = AtomicU64::new(1);

/// Callers that are numbered from now on have numbers greater than `bound`, except on threads that have reserved numbers before.
pub(crate) fn begin_callers_above(bound: u64) {
    NEXT_CALLER.fetch_max(bound + 1, Ordering::Relaxed);
}

/// A fresh identity for a caller of actors.
pub(crate) fn fresh_caller() -> u64 {
    thread_local!(static BLOCK: Cell<(u64, u64)> = const { Cell::new((0, 0)) });
    const BLOCK_SIZE: u64 = 1024;
    BLOCK
        .try_with(|block| {
            let (mut next, mut end) = block.get();
            if next == end {
                next = NEXT_CALLER.fetch_add(BLOCK_SIZE, Ordering::Relaxed);
                end = next + BLOCK_SIZE;
            }
            block.set((next + 1, end));
            next
        })
        .unwrap_or_else(|_| NEXT_CALLER.fetch_add(1, Ordering::Relaxed))
}

impl ThreadState {
    /// As the tables of tasks pass it on.
    #[inline]
    pub(crate) fn runner(&self) -> Runner<'_> {
        Runner::erase(self)
    }

    /// What a [`Runner`] stands for.
    #[inline]
    pub(crate) fn of(runner: Runner<'_>) -> &ThreadState {
        // SAFETY: `runner` alone makes them.
        unsafe { runner.get() }
    }

    pub(super) fn new(engine: Arc<Engine>, is_worker: bool) -> Self {
        let deque = Worker::new_lifo();
        let shared = Arc::new(Shared::of_this_thread());
        engine.threads.enter(Arc::clone(&shared), deque.stealer());
        Self {
            epoch: engine.epoch,
            batch: is_worker.then(|| engine.free.enter()),
            engine,
            deque,
            cpu: HeldCpu::of(Arc::clone(&shared)),
            shared,
            frame: Cell::new(null()),
            is_worker,
            samples: Cell::new(0),
            timed: Cell::new(false),
            outside: Cell::new(Duration::ZERO),
            first_poll: Cell::new(false),
            entered: Cell::new(false),
            burst: Cell::new(None),
            counted_out: Cell::new(false),
            caller: fresh_caller(),
            tip: crate::engine::tips::Watch::new(),
        }
    }

    /// This thread is about to wait in a get: it is away, and a worker is counted as blocked, until what this returns is dropped.
    pub(crate) fn block(&self) -> Blocked<'_> {
        self.shared.away.store(true, Ordering::Relaxed);
        if self.is_worker {
            self.engine.workers.blocked.fetch_add(1, Ordering::SeqCst);
        }
        Blocked(self)
    }

    /// The innermost running body.
    #[inline]
    pub(crate) fn frame(&self) -> Option<&Frame> {
        // SAFETY: a frame is on this thread's stack while `frame` points at it.
        unsafe { self.frame.get().as_ref() }
    }

    /// Who calls: the running task or actor, else the thread.
    #[inline]
    pub(crate) fn caller(&self) -> u64 {
        match self.frame() {
            None => self.caller,
            Some(frame) => match frame.caller.get() {
                0 => {
                    // SAFETY: an actor outlives the frames that run its calls.
                    let caller = frame.actor.map_or_else(fresh_caller, |actor| unsafe { actor.as_ref() }.caller());
                    frame.caller.set(caller);
                    caller
                }
                known => known,
            },
        }
    }
}

/// The time until this is dropped is not the running body's own.
pub(crate) struct Outside<'a> {
    state: &'a ThreadState,
    began: Instant,
    /// What had been spent in waits before.
    before: Duration,
}

impl<'a> Outside<'a> {
    /// Where the running body's time is taken.
    #[inline]
    pub(crate) fn begin(state: &'a ThreadState) -> Option<Self> {
        if state.timed.get() { Some(Self::begin_now(state)) } else { None }
    }

    #[cold]
    fn begin_now(state: &'a ThreadState) -> Self {
        Self { state, began: Instant::now(), before: state.outside.get() }
    }
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        self.state.outside.set(self.before + self.began.elapsed());
    }
}

/// See [`ThreadState::block`].
pub(crate) struct Blocked<'a>(&'a ThreadState);

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        if self.0.is_worker {
            self.0.engine.workers.blocked.fetch_sub(1, Ordering::SeqCst);
        }
        self.0.shared.away.store(false, Ordering::Relaxed);
    }
}
