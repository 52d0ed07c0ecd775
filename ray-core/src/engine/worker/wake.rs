//! Waking idle workers and starting new ones.

use std::sync::atomic::Ordering;

use crate::engine::engine::Engine;

impl Engine {
    /// Wakes a worker for queued work that the caller is about to wait for, or starts one: one a free lease for work that needs
    /// one; for the rest as many as there are CPUs. Beyond that one that idles is woken if those at work do not come back,
    /// and whether one is added the monitor thread decides. `false`: a worker is needed, and none can be had.
    pub(crate) fn kick(&self) -> bool {
        let workers = &self.workers;
        let waking = workers.waking.load(Ordering::Relaxed);
        let free_work = !self.free.is_empty();
        if waking > 0 && !free_work {
            // It wakes the next, if there is more work.
            return true;
        }
        let cpus = self.settings.workers;
        if (free_work && self.workers_at_work() < cpus) || (self.cpu.has_one() && self.has_cpu_work()) {
            return self.wake_idle() || self.add_worker().is_ok();
        }
        if free_work && workers.lively.load(Ordering::Relaxed) < cpus {
            let _ = self.wake_idle();
        }
        true
    }

    /// As [`kick`](Self::kick), by a body that has lent its CPU and is about to wait. A worker is there for that CPU, also where no
    /// work is queued yet: the body that is waited for is likely to submit some.
    pub(crate) fn kick_for_lent_cpu(&self) {
        if self.workers_at_work() >= self.settings.workers {
            self.kick();
        } else if (self.workers.waking.load(Ordering::Relaxed) == 0 || !self.free.is_empty()) && !self.wake_idle() {
            let _ = self.add_worker();
        }
    }

    /// Wakes an idle worker; `false`: there is none.
    pub(crate) fn wake_idle(&self) -> bool {
        if self.workers.idle_count.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let worker = {
            // All under the lock: a worker that does not find itself in the list any more finds itself woken and counted.
            let mut idle = self.workers.idle.lock();
            let Some(worker) = idle.pop() else { return false };
            self.workers.idle_count.fetch_sub(1, Ordering::SeqCst);
            self.workers.waking.fetch_add(1, Ordering::SeqCst);
            worker.woken.store(true, Ordering::Release);
            worker
        };
        self.workers.surplus.store(0, Ordering::Relaxed);
        worker.thread.unpark();
        true
    }

    /// Starts one more worker.
    ///
    /// # Errors
    /// The cap is reached, or the system refuses the thread.
    pub(crate) fn add_worker(&self) -> std::io::Result<()> {
        self.add_worker_up_to(self.settings.max_threads)
    }

    /// `true`: a worker idles or is being woken, or this call has started one more, also beyond `Config::max_threads`.
    pub(crate) fn has_worker_or_adds_one(&self) -> bool {
        let workers = &self.workers;
        workers.idle_count.load(Ordering::SeqCst) > 0
            || workers.waking.load(Ordering::SeqCst) > 0
            || self.add_worker_up_to(usize::MAX).is_ok()
    }

    fn add_worker_up_to(&self, most: usize) -> std::io::Result<()> {
        if !self.is_live() {
            return Err(std::io::Error::other("the engine was shut down"));
        }
        self.of_this_process().map_err(std::io::Error::other)?;
        let Some(engine) = crate::engine::engine::running().filter(|engine| std::ptr::eq(&raw const **engine, self)) else {
            return Err(std::io::Error::other("the engine was shut down"));
        };
        let count = self.workers.count.fetch_add(1, Ordering::SeqCst);
        if count >= most {
            self.workers.count.fetch_sub(1, Ordering::SeqCst);
            return Err(std::io::Error::other(format!(
                "there are {count} worker threads, the most that `Config::max_threads` allows"
            )));
        }
        self.workers.waking.fetch_add(1, Ordering::SeqCst);
        let thread = std::thread::Builder::new().name(format!("ray-worker-{count}")).stack_size(self.settings.worker_stack);
        let spawned = thread.spawn(move || crate::engine::worker::run(engine));
        spawned.map(drop).inspect_err(|_| {
            self.workers.waking.fetch_sub(1, Ordering::SeqCst);
            self.workers.count.fetch_sub(1, Ordering::SeqCst);
        })
    }

    /// Workers that neither idle nor wait in a get, and so will come back for work.
    pub(crate) fn workers_at_work(&self) -> usize {
        let workers = &self.workers;
        workers
            .count
            .load(Ordering::SeqCst)
            .saturating_sub(workers.idle_count.load(Ordering::SeqCst) + workers.blocked.load(Ordering::SeqCst))
    }

    /// No worker lives: the system refuses threads, or none was needed so far.
    pub(crate) fn has_no_worker(&self) -> bool {
        self.workers.count.load(Ordering::SeqCst) == 0
    }
}
