//! The pulse: one thread that looks after the queues while there is anything in them.
//!
//! Submitting wakes nobody (a wake costs more than most tasks). While the pulse *goes*, it looks at the queues every
//! [`TICK`] and wakes or adds workers, so that work which nobody gets starts within about that time. When nothing has
//! been queued for [`QUIET`] it *rests*, parked without a time-out; the first submission after that wakes it.
//!
//! Why no work is left behind: resting is announced first (`RESTS`, then a fence), then the queues are looked at once
//! more; a submitter queues first (then a fence), then looks whether the pulse rests. One of the two sees the other.

use std::sync::atomic::{AtomicU8, Ordering, fence};
use std::sync::{Arc, Mutex, Weak};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::runtime::{Engine, lock};

/// Between two looks while workers idle.
const TICK: Duration = Duration::from_micros(100);
/// Between two looks while nobody idles: only CPU-free work that waits can ask for more threads.
const BUSY_TICK: Duration = Duration::from_millis(1);
/// Between two looks when nothing has moved for a second.
const SLOW_TICK: Duration = Duration::from_millis(20);
/// The pulse rests when the queues were empty for this long.
const QUIET: Duration = Duration::from_millis(20);
/// CPU-free work that waits while no body has ended for this long gets another thread.
const HELD_UP: Duration = Duration::from_millis(1);

const ABSENT: u8 = 0;
const RESTS: u8 = 1;
const GOES: u8 = 2;

/// The pulse's state, and its thread.
#[derive(Debug)]
pub(crate) struct Pulse {
    state: AtomicU8,
    thread: Mutex<Option<Thread>>,
}

impl Pulse {
    pub(crate) fn new() -> Self {
        Self { state: AtomicU8::new(ABSENT), thread: Mutex::new(None) }
    }

    /// It must be roused for new work to be seen.
    #[inline]
    pub(crate) fn rests(&self) -> bool {
        self.state.load(Ordering::Relaxed) != GOES
    }

    /// Wakes the thread, whatever it does.
    pub(crate) fn wake(&self) {
        if let Some(thread) = &*lock(&self.thread) {
            thread.unpark();
        }
    }
}

impl Engine {
    /// Makes the pulse go; starts its thread the first time.
    #[cold]
    pub(crate) fn rouse(&self) {
        match self.pulse.state.swap(GOES, Ordering::SeqCst) {
            RESTS => self.pulse.wake(),
            ABSENT => {
                let Some(engine) = crate::runtime::running().filter(|engine| std::ptr::eq(&raw const **engine, self)) else { return };
                let engine = Arc::downgrade(&engine);
                let spawned = std::thread::Builder::new().name("ray-pulse".into()).stack_size(256 * 1024).spawn(move || beat(&engine));
                if spawned.is_err() {
                    // Without a pulse there is still the getter's own kick; the next submission tries again.
                    self.pulse.state.store(ABSENT, Ordering::SeqCst);
                    self.kick();
                }
            }
            _ => {}
        }
    }
}

/// What the pulse remembers from look to look.
struct Memory {
    bodies: u64,
    moved: Instant,
    last_queued: Instant,
    grow: usize,
    grown: Instant,
    reported: bool,
}

fn beat(engine: &Weak<Engine>) {
    let mut memory = {
        let now = Instant::now();
        Memory { bodies: 0, moved: now, last_queued: now, grow: 1, grown: now, reported: false }
    };
    if let Some(engine) = engine.upgrade() {
        // By itself, since whoever started it may be slow to: a pulse that rests before it is known could not be woken.
        *lock(&engine.pulse.thread) = Some(std::thread::current());
    }
    loop {
        let Some(engine) = engine.upgrade() else { return };
        if !engine.is_live() {
            return;
        }
        let pause = look(&engine, &mut memory);
        match pause {
            Some(pause) => {
                drop(engine);
                std::thread::park_timeout(pause);
            }
            None => {
                engine.pulse.state.store(RESTS, Ordering::SeqCst);
                fence(Ordering::SeqCst);
                if engine.has_cpu_work() || !engine.free.is_empty() || engine.cpu.is_claimed() {
                    engine.pulse.state.store(GOES, Ordering::SeqCst);
                    continue;
                }
                while engine.is_live() && engine.pulse.state.load(Ordering::SeqCst) == RESTS {
                    std::thread::park();
                }
                let now = Instant::now();
                memory.last_queued = now;
                memory.moved = now;
            }
        }
    }
}

/// One look at the queues; the pause until the next, none to rest.
fn look(engine: &Engine, memory: &mut Memory) -> Option<Duration> {
    let now = Instant::now();
    let bodies = engine.bodies();
    if bodies != memory.bodies {
        memory.bodies = bodies;
        memory.moved = now;
        memory.grow = 1;
        memory.reported = false;
    }
    let cpu_work = engine.has_cpu_work();
    let free_work = !engine.free.is_empty();
    let claimed = engine.cpu.is_claimed();
    let idle = engine.workers.idle_count.load(Ordering::Relaxed);
    if claimed {
        engine.serve_claims();
    }
    if cpu_work && engine.cpu.has_one() {
        engine.kick();
    } else if free_work && idle > 0 {
        engine.wake_idle();
    }
    if free_work && idle == 0 {
        add_for_free_work(engine, memory, now);
    }
    if cpu_work || free_work || claimed {
        memory.last_queued = now;
        let still = now.duration_since(memory.moved);
        if let Some(patience) = engine.settings.stall_report
            && still >= patience
            && !memory.reported
        {
            memory.reported = true;
            crate::deadlock::report_stall(engine, still);
        }
        if still > Duration::from_secs(1) && (memory.reported || engine.settings.stall_report.is_none() || !free_work) {
            return Some(SLOW_TICK);
        }
        return Some(if idle > 0 { TICK } else { BUSY_TICK });
    }
    if now.duration_since(memory.last_queued) > QUIET {
        return None;
    }
    Some(if idle > 0 || engine.workers.count.load(Ordering::Relaxed) == 0 { TICK } else { BUSY_TICK })
}

/// CPU-free work waits and nobody idles: one thread if none has ended a body for a millisecond, twice as many each
/// time that holds on.
fn add_for_free_work(engine: &Engine, memory: &mut Memory, now: Instant) {
    let workers = engine.workers.count.load(Ordering::Relaxed);
    if workers < engine.settings.num_cpus {
        let _ = engine.add_worker();
        return;
    }
    if now.duration_since(memory.moved) < HELD_UP || now.duration_since(memory.grown) < HELD_UP {
        return;
    }
    memory.grown = now;
    for _ in 0..memory.grow.min(engine.free.len()) {
        if engine.add_worker().is_err() {
            break;
        }
    }
    memory.grow = (memory.grow * 2).min(64);
}

impl Engine {
    /// Bodies that have ended, on all threads.
    fn bodies(&self) -> u64 {
        let mut sum = 0u64;
        self.threads.walk(0, |shared, _| {
            sum = sum.wrapping_add(shared.bodies.load(Ordering::Relaxed));
            false
        });
        sum
    }
}
