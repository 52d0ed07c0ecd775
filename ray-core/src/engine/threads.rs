//! The list of the threads that have a state of an engine, with the part of each state that other threads see.

use std::cell::Cell;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};
use std::thread::Thread;
use std::time::Duration;

use crossbeam_deque::Stealer;
use parking_lot::RwLock;

use crate::base::id::PlacementGroupId;
use crate::call::spec::Spec;
use crate::engine::returning::Seat;
use crate::object::entry::{Header, Hold};

thread_local! {
    static ENGINES_OWN: Cell<bool> = const { Cell::new(false) };
}

/// Marks this thread as one of the engine's own, until it ends.
pub(crate) fn belongs_to_engine() {
    ENGINES_OWN.set(true);
}

/// Whether this thread is one of the engine's own, so that a shutdown on it would wait for itself.
pub(crate) fn is_engines_own() -> bool {
    ENGINES_OWN.get()
}

/// A hold on an unstarted task in a queue.
pub(crate) struct Job(NonNull<Header>);

// SAFETY: a hold may be given back on any thread, and the arguments of tasks are Send.
unsafe impl Send for Job {}

impl Job {
    #[inline]
    pub(crate) fn new(hold: Hold) -> Self {
        Self(hold.into_entry())
    }

    #[inline]
    pub(crate) fn into_hold(self) -> Hold {
        // SAFETY: `new` made the job of a hold, which becomes a hold again once, since the job is consumed.
        unsafe { Hold::adopt(self.0) }
    }
}

/// The part of a thread's state that other threads may see.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) thread: Thread,
    /// The number of bodies that have ended on this thread; only the thread itself writes it.
    pub(crate) bodies: AtomicU64,
    /// How often a worker has come back for work; only the thread itself writes it.
    pub(crate) turns: AtomicU64,
    /// The value of `turns` at the monitor thread's last look.
    pub(crate) seen: AtomicU64,
    /// When the monitor thread last saw `turns` change, in microseconds of its own clock; 0: never.
    pub(crate) seen_at: AtomicU64,
    /// Whether the worker idles, or the thread waits in a get.
    pub(crate) away: AtomicBool,
    /// The definition of the running body, for reports; null between bodies.
    pub(crate) running: AtomicPtr<Spec>,
    /// The CPU units that the thread holds now, for the running body (or, in a worker between bodies, for the next one); only the
    /// thread itself writes it.
    pub(crate) cpu: AtomicU64,
    /// The group and the bundle to which these CPUs belong, for the monitor thread; group 0: they are the node's. Only the thread itself
    /// writes them.
    group: AtomicU64,
    bundle: AtomicUsize,
    /// The handle with which other threads ask the operating system about this thread.
    pub(crate) handle: crate::base::os::ThreadHandle,
    /// Set by the thread that takes this worker off the idle list.
    pub(crate) woken: AtomicBool,
}

impl Shared {
    /// The entry of the calling thread.
    pub(super) fn of_this_thread() -> Self {
        Self {
            thread: std::thread::current(),
            bodies: AtomicU64::new(0),
            turns: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            seen_at: AtomicU64::new(0),
            away: AtomicBool::new(false),
            running: AtomicPtr::new(std::ptr::null_mut()),
            cpu: AtomicU64::new(0),
            group: AtomicU64::new(0),
            bundle: AtomicUsize::new(0),
            handle: crate::base::os::ThreadHandle::current(),
            woken: AtomicBool::new(false),
        }
    }

    /// The definition of the running body.
    pub(crate) fn running(&self) -> Option<&'static Spec> {
        // SAFETY: the pointer is null or that of a `&'static Spec`: frames have no others.
        unsafe { self.running.load(Ordering::Relaxed).as_ref() }
    }

    /// The bundle to which the CPUs of the thread belong; none: they are the node's.
    pub(crate) fn seat(&self) -> Option<Seat> {
        let group = self.group.load(Ordering::Relaxed);
        (group != 0).then(|| Seat { group: PlacementGroupId::from_raw(group), place: self.bundle.load(Ordering::Relaxed) })
    }

    /// Called on the thread when its CPUs belong to another pool than before.
    pub(crate) fn set_seat(&self, seat: Option<Seat>) {
        self.bundle.store(seat.map_or(0, |seat| seat.place), Ordering::Relaxed);
        self.group.store(seat.map_or(0, |seat| seat.group.raw()), Ordering::Relaxed);
    }

    /// Whether the worker idles, or the thread waits in a get.
    pub(crate) fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// The number of the thread, for reports and as a key.
    pub(crate) fn number(&self) -> u64 {
        std::ptr::from_ref(self).addr() as u64
    }

    /// Counts a worker's return to its loop; called on its own thread.
    #[inline]
    pub(crate) fn count_turn(&self) {
        self.turns.store(self.turns.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// Counts an ended body; called on the thread that ran it.
    #[inline]
    pub(crate) fn count_body(&self) {
        self.bodies.store(self.bodies.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

/// The CPU units that this thread holds; other threads read them in [`Shared::cpu`].
#[derive(Debug)]
pub(crate) struct HeldCpu(Arc<Shared>);

impl HeldCpu {
    pub(super) fn of(thread: Arc<Shared>) -> Self {
        Self(thread)
    }

    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.cpu.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, units: u64) {
        self.0.cpu.store(units, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn replace(&self, units: u64) -> u64 {
        let held = self.get();
        self.set(units);
        held
    }
}

/// The threads, each with the stealer of its deque.
pub(crate) struct Threads {
    all: RwLock<Vec<(Arc<Shared>, Stealer<Job>)>>,
}

impl Threads {
    pub(crate) fn new() -> Self {
        Self { all: RwLock::new(Vec::new()) }
    }

    pub(super) fn enter(&self, shared: Arc<Shared>, stealer: Stealer<Job>) {
        self.all.write().push((shared, stealer));
    }

    pub(super) fn leave(&self, shared: &Arc<Shared>) {
        let mut all = self.all.write();
        all.retain(|(other, _)| !Arc::ptr_eq(other, shared));
    }

    /// Calls `see` for each thread until it returns `true`. `false`: the list cannot be locked within `patience`.
    pub(crate) fn walk_within(&self, patience: Duration, mut see: impl FnMut(&Arc<Shared>, &Stealer<Job>) -> bool) -> bool {
        let Some(all) = self.all.try_read_for(patience) else { return false };
        for (shared, stealer) in all.iter() {
            if see(shared, stealer) {
                break;
            }
        }
        true
    }

    /// Calls `see` for each thread until it returns `true`, beginning at `from`.
    pub(crate) fn walk(&self, from: usize, mut see: impl FnMut(&Arc<Shared>, &Stealer<Job>) -> bool) {
        let all = self.all.read();
        let count = all.len();
        for step in 0..count {
            let (shared, stealer) = &all[(from + step) % count];
            if see(shared, stealer) {
                return;
            }
        }
    }
}
