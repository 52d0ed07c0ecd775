//! The engine's state of one thread: its deque, the bodies that it runs, and the CPU that it holds.
//!
//! Every thread that calls into the engine has a [`ThreadState`], also a thread of the user. A submitted task for one CPU goes into
//! the deque of the submitting thread, from which worker threads steal.

use std::cell::Cell;
use std::ptr::{NonNull, null};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_deque::Worker;

use crate::base::error::Error;
use crate::base::id;
use crate::base::placement::Placement;
use crate::call::spec::Spec;
use crate::engine::engine::Engine;
use crate::engine::free_queue::Batch;
use crate::engine::returning::Seat;
use crate::engine::threads::{HeldCpu, Job, Shared};
use crate::object::entry::Header;
use crate::task::runner::Runner;

/// A running body, on the stack of the thread that runs it.
pub(crate) struct Frame {
    pub(crate) below: *const Frame,
    /// The task or call; none for a call without a reference (`tell`) and for a callback.
    pub(crate) entry: Option<NonNull<Header>>,
    pub(crate) actor: Option<NonNull<dyn Host>>,
    pub(crate) spec: &'static Spec,
    /// The number of the body as a caller of actors; 0 until the first call of an actor asks for it.
    pub(crate) caller: Cell<u64>,
    /// Whether the body is a future. A blocking call in it would stall the other futures of the thread.
    pub(crate) is_async: bool,
    /// Whether the constructor that runs in this frame has panicked.
    pub(crate) crashed: Cell<bool>,
}

impl Frame {
    /// The header of the task or call.
    pub(crate) fn header(&self) -> Option<&Header> {
        // SAFETY: the entry of a frame is alive while its body runs.
        self.entry.map(|entry| unsafe { entry.as_ref() })
    }

    /// The actor whose body it is.
    pub(crate) fn host(&self) -> Option<&dyn Host> {
        // SAFETY: an actor outlives the frames of its bodies.
        self.actor.map(|actor| unsafe { actor.as_ref() })
    }

    /// The frame of the body in which this one runs.
    pub(crate) fn below(&self) -> Option<&Frame> {
        // SAFETY: the frames below are in functions that have not returned, on this thread's stack.
        unsafe { self.below.as_ref() }
    }

    /// The number of the task or call.
    pub(crate) fn task_id(&self) -> Option<u64> {
        self.header().map(Header::id)
    }
}

/// The actor whose body a frame runs. The actor outlives the frame.
pub(crate) trait Host {
    /// The number of the actor as a caller of other actors.
    fn caller(&self) -> u64;
    /// Called when the running call has ended and no other thread can reach the call any more.
    fn end_call(&self);
    /// The error of a dead actor; none while the actor lives.
    fn death(&self) -> Option<Error>;
    /// The placement of the actor, if its creation says anything of it.
    fn placement(&self) -> Option<Arc<Placement>>;
}

/// The state of a thread; see the module.
pub(crate) struct ThreadState {
    pub(crate) engine: Arc<Engine>,
    pub(crate) epoch: u32,
    pub(crate) deque: Worker<Job>,
    /// The CPU-free jobs that a worker has taken and not begun. None on other threads.
    pub(crate) batch: Option<Batch>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) frame: Cell<*const Frame>,
    /// The CPU that the thread holds; other threads read it in `Shared::cpu`.
    pub(crate) cpu: HeldCpu,
    /// The bundle that this CPU belongs to; none: it is the node's. Set while a body of a placement group runs.
    pub(crate) seat: Cell<Option<Seat>>,
    /// Whether this is a worker thread, which returns to the loop of `worker`. Threads of the user are none, even while they run
    /// tasks.
    pub(crate) is_worker: bool,
    /// The number of bodies so far, from which [`Spec`] chooses those that are measured.
    pub(crate) samples: Cell<u32>,
    /// Whether the innermost body is measured.
    pub(crate) timed: Cell<bool>,
    /// The time that this body has spent in waits so far; it does not count as the body's own time.
    pub(crate) outside: Cell<Duration>,
    /// Whether the next body is an `async fn` whose future this thread polls once before the runtime gets it.
    pub(crate) first_poll: Cell<bool>,
    /// Whether this thread has entered the engine's async runtime; see `blocking::world`.
    pub(crate) entered: Cell<bool>,
    /// When the current burst of awaits began, and the estimated end of the last work that an await ran; see `blocking::awaiting`.
    pub(crate) burst: Cell<Option<(Instant, Instant)>>,
    /// Of a worker that ends because there are too many: it was already subtracted from `Workers::count`.
    pub(crate) counted_out: Cell<bool>,
    /// The number of a thread without a running body as a caller of actors.
    caller: u64,
    pub(crate) tip: crate::engine::tips::Watch,
}

impl ThreadState {
    /// This state as the tables of tasks pass it on.
    #[inline]
    pub(crate) fn runner(&self) -> Runner<'_> {
        Runner::erase(self)
    }

    /// The state that `runner` stands for.
    #[inline]
    pub(crate) fn of(runner: Runner<'_>) -> &ThreadState {
        // SAFETY: `ThreadState::runner` makes all runners, each from a reference to a `ThreadState`.
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
            seat: Cell::new(None),
            is_worker,
            samples: Cell::new(0),
            timed: Cell::new(false),
            outside: Cell::new(Duration::ZERO),
            first_poll: Cell::new(false),
            entered: Cell::new(false),
            burst: Cell::new(None),
            counted_out: Cell::new(false),
            caller: id::fresh_caller(),
            tip: crate::engine::tips::Watch::new(),
        }
    }

    /// Marks this thread as away, and a worker also as blocked, until the guard is dropped. For a thread that is about to wait in a
    /// get.
    pub(crate) fn block(&self) -> Blocked<'_> {
        self.shared.away.store(true, Ordering::Relaxed);
        if self.is_worker {
            self.engine.workers.blocked.fetch_add(1, Ordering::SeqCst);
        }
        Blocked(self)
    }

    /// Makes this thread hold these CPU units, of a bundle or of the node, for the body that it runs next; returns what it has held.
    pub(crate) fn hold(&self, units: u64, seat: Option<Seat>) -> Held {
        let seat = seat.filter(|_| units > 0);
        let held = Held { units: self.cpu.replace(units), seat: self.seat.get() };
        self.change_seat(seat);
        held
    }

    /// Makes this thread hold what it has held before that body.
    pub(crate) fn hold_again(&self, held: Held) {
        self.cpu.set(held.units);
        self.change_seat(held.seat);
    }

    fn change_seat(&self, seat: Option<Seat>) {
        if self.seat.replace(seat) != seat {
            self.shared.set_seat(seat);
        }
    }

    /// The innermost running body.
    #[inline]
    pub(crate) fn frame(&self) -> Option<&Frame> {
        // SAFETY: `frame` is null or points at a frame on this thread's stack: the function that has the frame resets `frame`
        // before it returns.
        unsafe { self.frame.get().as_ref() }
    }

    /// The number of the caller of an actor: that of the running task or actor, otherwise that of the thread.
    #[inline]
    pub(crate) fn caller(&self) -> u64 {
        match self.frame() {
            None => self.caller,
            Some(frame) => match frame.caller.get() {
                0 => {
                    let caller = frame.host().map_or_else(id::fresh_caller, Host::caller);
                    frame.caller.set(caller);
                    caller
                }
                known => known,
            },
        }
    }
}

/// What a thread has held before a body with CPUs of its own; see [`ThreadState::hold`].
#[derive(Debug)]
#[must_use]
pub(crate) struct Held {
    units: u64,
    seat: Option<Seat>,
}

/// Until this guard is dropped, the time does not count as the running body's own.
pub(crate) struct Outside<'a> {
    state: &'a ThreadState,
    began: Instant,
    /// The waits of the body before this one.
    before: Duration,
}

impl<'a> Outside<'a> {
    /// Begins, if the running body is measured.
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

/// The guard of a thread that waits in a get; see [`ThreadState::block`].
pub(crate) struct Blocked<'a>(&'a ThreadState);

impl Drop for Blocked<'_> {
    fn drop(&mut self) {
        if self.0.is_worker {
            self.0.engine.workers.blocked.fetch_sub(1, Ordering::SeqCst);
        }
        self.0.shared.away.store(false, Ordering::Relaxed);
    }
}
