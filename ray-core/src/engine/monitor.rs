//! The monitor thread: one thread that looks at the queues while there is anything in them.
//!
//! # States
//!
//! * It *goes*: it looks at the queues every [`TICK`] and wakes or adds workers, so that queued work for which there is a free CPU
//!   starts within about that time.
//! * It *rests*: it is parked without a time-out. It begins to rest when nothing has been queued for [`QUIET`]; the next submission
//!   wakes it.
//!
//! A submission does not wake a worker, because a wake costs more than most tasks. [`monitor_state`](crate::sched::monitor_state)
//! says why no work is overlooked.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use std::time::{Duration, Instant};

use crate::base::os::Doing;
use crate::call::spec::Spec;
use crate::engine::calls::Offer;
use crate::engine::engine::Engine;
use crate::engine::threads::Shared;
use crate::sched::monitor_state::WakeDuty;

/// The pause between two looks while workers idle. It grows from look to look, up to [`LONG_TICK`], while waiting threads begin all
/// work themselves: the queues are empty, or a worker finds that its task has begun.
const TICK: Duration = Duration::from_micros(100);
/// The longest pause between two looks while workers idle; see [`TICK`].
const LONG_TICK: Duration = Duration::from_micros(500);
/// The pause between two looks while no worker idles or no CPU is free. Then only waiting CPU-free work can need more threads, and
/// each look takes a processor from the threads that work.
const BUSY_TICK: Duration = Duration::from_millis(1);
/// The pause between two looks when nothing has moved for a second.
const SLOW_TICK: Duration = Duration::from_millis(20);
/// The monitor thread rests when the queues were empty for this long.
const QUIET: Duration = Duration::from_millis(20);
/// If CPU-free work waits and no body has ended for this long, another thread is started.
const HELD_UP: Duration = Duration::from_millis(1);
/// If no thread can be had for queued work, the waiting threads are called when this time has passed, and again at this interval.
const CALL: Duration = Duration::from_millis(10);
/// If nothing has moved for this long, the waiting threads are to run work that they do not wait for.
const CALL_FOR_ANY: Duration = Duration::from_millis(500);
/// A worker that is not away and not in a long body comes back in microseconds. If it has not, it has lost its processor, for as
/// long as the system lets another thread run, at most about this time. Another worker would only compete for the processors.
const PREEMPTED: Duration = Duration::from_millis(5);

/// Makes the monitor thread go. The first submission starts a worker, the second one the monitor thread.
#[cold]
pub(crate) fn wake(engine: &Engine) {
    if engine.of_this_process().is_err() {
        // A forked process has none of the engine's threads. A wait for the work returns the error.
        return;
    }
    match engine.monitor.state.wake() {
        WakeDuty::Wake => engine.monitor.wake(),
        WakeDuty::First => {
            if crate::engine::wake::add_worker(engine).is_err() {
                wake(engine);
            }
        }
        WakeDuty::Start => {
            let Some(running) = crate::engine::engine::running().filter(|running| std::ptr::eq(&raw const **running, engine))
            else {
                return;
            };
            if engine.workers.count.load(Ordering::Relaxed) == 0 {
                // The system refused the worker for the first submission.
                let _ = crate::engine::wake::add_worker(engine);
            }
            engine.monitor.there.store(true, Ordering::SeqCst);
            let weak = Arc::downgrade(&running);
            let spawned = std::thread::Builder::new().name("ray-monitor".into()).stack_size(256 * 1024).spawn(move || run(&weak));
            if let Err(error) = spawned {
                engine.monitor.there.store(false, Ordering::SeqCst);
                let text = format!(
                    "the system refuses the thread that wakes workers, so work for which no thread calls `get` starts late: {error}"
                );
                crate::base::log::warn(crate::base::log::Notice::Failure, &text);
                // Without a monitor thread a getter still wakes a worker itself; the next submission tries again to start the
                // thread.
                engine.monitor.state.give_up();
                crate::engine::wake::kick(engine);
            }
        }
        WakeDuty::Nothing => {}
        WakeDuty::Drain => crate::engine::shutdown::drain(engine),
    }
}

/// The monitor thread's memory between two looks.
struct Memory {
    began: Instant,
    bodies: u64,
    moved: Instant,
    /// The number of workers that wait in a get. More mean that a body has begun to wait, fewer that a wait has ended.
    blocked: usize,
    /// When a body last ended, or a get began or ended.
    stirred: Instant,
    last_queued: Instant,
    grow: usize,
    grown: Instant,
    /// The number of living workers, and since when it has not changed.
    workers: (usize, Instant),
    called: Instant,
    reported: bool,
    /// The pause until the next look while workers idle.
    tick: Duration,
    /// The last value of `Workers::in_vain`.
    in_vain: usize,
    extra: crate::engine::extra_cpu::Watches,
    overruns: crate::engine::overrun::Watch,
}

fn run(engine: &Weak<Engine>) {
    crate::engine::threads::belongs_to_engine();
    let mut memory = {
        let now = Instant::now();
        Memory {
            began: now,
            bodies: 0,
            moved: now,
            blocked: 0,
            stirred: now,
            last_queued: now,
            grow: 1,
            grown: now,
            workers: (0, now),
            called: now,
            reported: false,
            tick: TICK,
            in_vain: 0,
            extra: crate::engine::extra_cpu::Watches::default(),
            overruns: crate::engine::overrun::Watch::default(),
        }
    };
    if let Some(engine) = engine.upgrade() {
        // The thread stores its own handle. If the starting thread did and was slow, the monitor thread could rest before it can be
        // woken.
        *engine.monitor.thread.lock() = Some(std::thread::current());
        crate::base::unread::keep_unread();
    }
    loop {
        let Some(engine) = engine.upgrade() else {
            crate::base::clock::sleep();
            return;
        };
        if !engine.is_live() {
            crate::base::clock::sleep();
            engine.monitor.there.store(false, Ordering::SeqCst);
            return;
        }
        let pause = look(&engine, &mut memory);
        let _ = crate::base::unread::log_unread_in_time();
        match pause {
            Some(pause) => {
                // Nothing can start now, but a submission may change that, so submissions wake the thread during a slow pause.
                let slow = pause >= SLOW_TICK;
                if slow {
                    crate::base::clock::sleep();
                    engine.monitor.state.announce();
                }
                let weak = Arc::downgrade(&engine);
                drop(engine);
                std::thread::park_timeout(pause);
                if slow && let Some(engine) = weak.upgrade() {
                    engine.monitor.state.go_on();
                }
            }
            None => {
                crate::base::clock::sleep();
                engine.workers.surplus.store(0, Ordering::Relaxed);
                engine.workers.lively.store(0, Ordering::Relaxed);
                engine.monitor.state.announce();
                if engine.has_cpu_work() || !engine.free.is_empty() || engine.cpu.is_claimed() || engine.groups.is_claimed() {
                    engine.monitor.state.go_on();
                    continue;
                }
                while engine.is_live() && engine.monitor.state.is_resting() {
                    match crate::base::unread::log_unread_in_time() {
                        Some(wait) => std::thread::park_timeout(wait),
                        None => std::thread::park(),
                    }
                }
                let now = Instant::now();
                memory.last_queued = now;
                memory.tick = TICK;
                memory.moved = now;
                memory.stirred = now;
            }
        }
    }
}

/// Looks at the queues once. Returns the pause until the next look; none means that the thread rests.
fn look(engine: &Engine, memory: &mut Memory) -> Option<Duration> {
    let now = Instant::now();
    crate::base::clock::keep(crate::base::clock::exact());
    let (bodies, lively) = bodies(engine, now.duration_since(memory.began));
    engine.workers.lively.store(lively, Ordering::Relaxed);
    if bodies != memory.bodies {
        memory.bodies = bodies;
        memory.moved = now;
        memory.stirred = now;
        memory.grow = 1;
        memory.reported = false;
    }
    let blocked = engine.workers.blocked.load(Ordering::Relaxed);
    if blocked != memory.blocked {
        memory.blocked = blocked;
        memory.stirred = now;
        memory.reported = false;
    }
    let workers = engine.workers.count.load(Ordering::Relaxed);
    if workers != memory.workers.0 {
        memory.workers = (workers, now);
    }
    let cpu_work = engine.has_cpu_work();
    let free_work = !engine.free.is_empty();
    let claimed = engine.cpu.is_claimed();
    let idle = engine.workers.idle_count.load(Ordering::Relaxed);
    if claimed {
        crate::engine::claim::serve_claims(engine);
    }
    let in_groups = engine.groups.is_claimed();
    if in_groups {
        crate::engine::group_claim::serve_all(engine);
    }
    let stuck = memory.extra.look(engine, now);
    memory.overruns.look(engine, now);
    let startable = cpu_work && engine.cpu.has_one();
    let mut refused = false;
    if startable {
        refused = !crate::engine::wake::kick(engine);
    } else if free_work && idle > 0 && lively < engine.settings.workers {
        crate::engine::wake::wake_idle(engine);
    }
    if idle == 0 {
        refused |= free_work && !add_for_free_work(engine, memory, now, lively);
        if refused {
            call_for_help(engine, memory, now);
        }
    }
    // Workers that were woken or added while bodies were long compete with the others for CPUs when bodies are short.
    engine.workers.surplus.store(lively.saturating_sub(engine.settings.workers), Ordering::Relaxed);
    let in_vain = engine.workers.in_vain.load(Ordering::Relaxed);
    let begun_elsewhere = in_vain != memory.in_vain || !(cpu_work || free_work);
    memory.in_vain = in_vain;
    memory.tick = if begun_elsewhere { (memory.tick + memory.tick / 4).min(LONG_TICK) } else { TICK };
    if cpu_work || free_work || claimed || in_groups {
        memory.last_queued = now;
        let still = now.duration_since(memory.stirred);
        if let Some(patience) = engine.settings.stall_report
            && still >= patience
            && !memory.reported
        {
            memory.reported = true;
            crate::engine::deadlock::report_stall(engine, still);
        }
        if still > Duration::from_secs(1)
            && !startable
            && !stuck
            && (memory.reported || engine.settings.stall_report.is_none() || !free_work)
        {
            return Some(SLOW_TICK);
        }
        return Some(if idle > 0 && (free_work || engine.cpu.has_one()) { memory.tick } else { BUSY_TICK });
    }
    if now.duration_since(memory.last_queued) > QUIET {
        return None;
    }
    Some(if idle > 0 || engine.workers.count.load(Ordering::Relaxed) == 0 { memory.tick } else { BUSY_TICK })
}

/// Adds threads if CPU-free work waits and no worker idles: one if no worker comes back for work and no body has ended for
/// [`HELD_UP`], and twice as many each further time. `false`: a thread is needed, and none can be had.
fn add_for_free_work(engine: &Engine, memory: &mut Memory, now: Instant, lively: usize) -> bool {
    let workers = engine.workers.count.load(Ordering::Relaxed);
    if workers < engine.settings.workers {
        return crate::engine::wake::add_worker(engine).is_ok();
    }
    if lively > 0 || now.duration_since(memory.moved) < HELD_UP || now.duration_since(memory.grown) < HELD_UP {
        return true;
    }
    memory.grown = now;
    for added in 0..memory.grow.min(engine.free.len()) {
        if crate::engine::wake::add_worker(engine).is_err() {
            return added > 0;
        }
    }
    memory.grow = (memory.grow * 2).min(64);
    true
}

/// Calls the waiting threads, because work could begin and no worker can be had for it. They run work that they wait for, or, when
/// nothing has moved for [`CALL_FOR_ANY`], any work. If none of them has done so by the next call, a worker beyond the limit is
/// started.
fn call_for_help(engine: &Engine, memory: &mut Memory, now: Instant) {
    // A call begins and ends waits, so `stirred` does not count here.
    let still = now.duration_since(memory.moved.max(memory.workers.1));
    if still < CALL || now.duration_since(memory.called) < CALL {
        return;
    }
    memory.called = now;
    let foreign = still >= CALL_FOR_ANY;
    if foreign
        && engine.calls.any_work_is_offered()
        && blocked_for_good(engine)
        && crate::engine::wake::has_worker_or_adds_one(engine)
    {
        return;
    }
    crate::engine::help::call_for_help(engine, foreign.then_some(Offer::AnyWork));
    if foreign {
        crate::engine::queue::notify(engine);
    }
}

/// Whether the body of every worker waits for another thread, as far as the system reports it. A body that sleeps or computes ends
/// without help.
fn blocked_for_good(engine: &Engine) -> bool {
    let mut blocked = true;
    engine.threads.walk(0, |shared, _| {
        let goes_on = || matches!(shared.handle.doing(), Some(Doing::Computes | Doing::Pauses));
        blocked &= shared.running().is_none() || shared.is_away() || !goes_on();
        !blocked
    });
    blocked
}

/// The number of bodies that have ended on all threads, and the number of lively workers: those that came back for work since the
/// last look, and those that have only lost their processors (see [`PREEMPTED`]). `now` is the monitor thread's clock.
fn bodies(engine: &Engine, now: Duration) -> (u64, usize) {
    let (mut sum, mut lively) = (0u64, 0);
    let now = now.as_micros() as u64 + 1;
    engine.threads.walk(0, |shared, _| {
        sum = sum.wrapping_add(shared.bodies.load(Ordering::Relaxed));
        // The turns of the worker's loop count, not the bodies: a long body may end many others inside its gets.
        let turns = shared.turns.load(Ordering::Relaxed);
        if shared.seen.load(Ordering::Relaxed) != turns {
            shared.seen.store(turns, Ordering::Relaxed);
            shared.seen_at.store(now, Ordering::Relaxed);
            lively += 1;
        } else if is_preempted(shared, now) {
            lively += 1;
        }
        false
    });
    (sum, lively)
}

fn is_preempted(shared: &Shared, now: u64) -> bool {
    let seen_at = shared.seen_at.load(Ordering::Relaxed);
    seen_at > 0
        && now - seen_at < PREEMPTED.as_micros() as u64
        && !shared.away.load(Ordering::Relaxed)
        && shared.running().is_none_or(Spec::is_short)
}
