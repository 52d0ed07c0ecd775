//! Wakes idle workers and starts new ones. [`worker`](crate::engine::worker) has the rules.

use std::sync::atomic::Ordering;

use crate::engine::engine::Engine;

/// Wakes or starts a worker for queued work that the caller is about to wait for. Work for one CPU gets a worker if a CPU is free;
/// CPU-free work gets as many workers as there are CPUs. If the workers at work do not come back, an idle one is woken in addition;
/// the monitor thread decides whether to add a further one. `false`: a worker is needed, and none can be had.
pub(crate) fn kick(engine: &Engine) -> bool {
    let workers = &engine.workers;
    let waking = workers.waking.load(Ordering::Relaxed);
    let free_work = !engine.free.is_empty();
    if waking > 0 && !free_work {
        // The worker that is waking wakes the next one, if there is more work.
        return true;
    }
    let cpus = engine.settings.workers;
    if (free_work && engine.workers_at_work() < cpus) || (engine.cpu.has_one() && engine.has_cpu_work()) {
        return wake_idle(engine) || add_worker(engine).is_ok();
    }
    if free_work && workers.lively.load(Ordering::Relaxed) < cpus {
        let _ = wake_idle(engine);
    }
    true
}

/// Like [`kick`], for a body that has lent its CPU and is about to wait. A worker is woken for that CPU even if no work is queued
/// yet, because the awaited body is likely to submit some.
pub(crate) fn kick_for_lent_cpu(engine: &Engine) {
    if engine.workers_at_work() >= engine.settings.workers {
        kick(engine);
    } else if (engine.workers.waking.load(Ordering::Relaxed) == 0 || !engine.free.is_empty()) && !wake_idle(engine) {
        let _ = add_worker(engine);
    }
}

/// Wakes an idle worker. `false`: there is none.
pub(crate) fn wake_idle(engine: &Engine) -> bool {
    if engine.workers.idle_count.load(Ordering::SeqCst) == 0 {
        return false;
    }
    let worker = {
        // The list and the counts change under one lock: a worker that is no longer in the list finds `woken` set and itself
        // counted.
        let mut idle = engine.workers.idle.lock();
        let Some(worker) = idle.pop() else { return false };
        engine.workers.idle_count.fetch_sub(1, Ordering::SeqCst);
        engine.workers.waking.fetch_add(1, Ordering::SeqCst);
        worker.woken.store(true, Ordering::Release);
        worker
    };
    engine.workers.surplus.store(0, Ordering::Relaxed);
    worker.thread.unpark();
    true
}

/// Starts another worker.
///
/// # Errors
/// `Config::max_threads` is reached, the engine has ended, or the system refuses the thread.
pub(crate) fn add_worker(engine: &Engine) -> std::io::Result<()> {
    add_worker_up_to(engine, engine.settings.max_threads)
}

/// `true`: a worker idles or is being woken, or this call has started one, possibly beyond `Config::max_threads`.
pub(crate) fn has_worker_or_adds_one(engine: &Engine) -> bool {
    let workers = &engine.workers;
    workers.idle_count.load(Ordering::SeqCst) > 0
        || workers.waking.load(Ordering::SeqCst) > 0
        || add_worker_up_to(engine, usize::MAX).is_ok()
}

fn add_worker_up_to(engine: &Engine, most: usize) -> std::io::Result<()> {
    if !engine.is_live() {
        return Err(std::io::Error::other("the engine was shut down"));
    }
    engine.of_this_process().map_err(std::io::Error::other)?;
    let Some(running) = crate::engine::engine::running().filter(|running| std::ptr::eq(&raw const **running, engine)) else {
        return Err(std::io::Error::other("the engine was shut down"));
    };
    let count = engine.workers.count.fetch_add(1, Ordering::SeqCst);
    if count >= most {
        engine.workers.count.fetch_sub(1, Ordering::SeqCst);
        return Err(std::io::Error::other(format!(
            "there are {count} worker threads, the most that `Config::max_threads` allows"
        )));
    }
    engine.workers.waking.fetch_add(1, Ordering::SeqCst);
    let thread = std::thread::Builder::new().name(format!("ray-worker-{count}")).stack_size(engine.settings.worker_stack);
    let spawned = thread.spawn(move || crate::engine::worker::run(running));
    spawned.map(drop).inspect_err(|_| {
        engine.workers.waking.fetch_sub(1, Ordering::SeqCst);
        engine.workers.count.fetch_sub(1, Ordering::SeqCst);
    })
}
