//! Waking idle workers and starting new ones.

use std::sync::atomic::Ordering;

use crate::engine::engine::Engine;

/// Wakes a worker for queued work that the caller is about to wait for, or starts one: one a free lease for work that needs
/// one; for the rest as many as there are CPUs. Beyond that one that idles is woken if those at work do not come back,
/// and whether one is added the monitor thread decides. `false`: a worker is needed, and none can be had.
pub(crate) fn kick(engine: &Engine) -> bool {
    let workers = &engine.workers;
    let waking = workers.waking.load(Ordering::Relaxed);
    let free_work = !engine.free.is_empty();
    if waking > 0 && !free_work {
        // It wakes the next, if there is more work.
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

/// As [`kick`](Self::kick), by a body that has lent its CPU and is about to wait. A worker is there for that CPU, also where no
/// work is queued yet: the body that is waited for is likely to submit some.
pub(crate) fn kick_for_lent_cpu(engine: &Engine) {
    if engine.workers_at_work() >= engine.settings.workers {
        kick(engine);
    } else if (engine.workers.waking.load(Ordering::Relaxed) == 0 || !engine.free.is_empty()) && !wake_idle(engine) {
        let _ = add_worker(engine);
    }
}

/// Wakes an idle worker; `false`: there is none.
pub(crate) fn wake_idle(engine: &Engine) -> bool {
    if engine.workers.idle_count.load(Ordering::SeqCst) == 0 {
        return false;
    }
    let worker = {
        // All under the lock: a worker that does not find itself in the list any more finds itself woken and counted.
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

/// Starts one more worker.
///
/// # Errors
/// The cap is reached, or the system refuses the thread.
pub(crate) fn add_worker(engine: &Engine) -> std::io::Result<()> {
    add_worker_up_to(engine, engine.settings.max_threads)
}

/// `true`: a worker idles or is being woken, or this call has started one more, also beyond `Config::max_threads`.
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
