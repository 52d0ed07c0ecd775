//! Work that asks for no CPU: one queue for all, and a batch of it with each worker.
//!
//! A queue that every worker asks for each job is written by all of them at each job, and by whoever submits. So a worker
//! takes several at once.
//!
//! # Why no work is overlooked
//!
//! What a worker has taken and not begun may be older than all that is in the queue, and what its body waits for. So it
//! gives it back before it blocks or idles, and for the case that the body is long every other worker takes from the
//! batches at every [`OTHERS_EVERY`]th turn, however much there is in the queue.
//!
//! A worker counts itself among those that have a batch before it takes one out of the queue. Who then sees the queue
//! empty sees the count, and looks at the batches. Between the two the jobs are in nobody's sight for a moment; the
//! worker rouses the monitor thread after it, in case that was the moment of the monitor thread's last look.

use parking_lot::RwLock;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_deque::{Injector, Steal, Stealer, Worker};

use crate::engine::free_job::FreeJob;

/// The most that a worker takes at once.
const BATCH: usize = 16;
/// At every so many turns of a worker the others' batches come first.
const OTHERS_EVERY: u32 = 16;

/// The queue.
pub(crate) struct FreeQueue {
    queue: Injector<FreeJob>,
    /// Workers that may have a batch.
    batches: AtomicUsize,
    /// Every worker's batch, with the batch's number.
    workers: RwLock<Vec<(u64, Stealer<FreeJob>)>>,
    next: AtomicU64,
}

/// What one worker has taken and not begun.
pub(crate) struct Batch {
    number: u64,
    jobs: Worker<FreeJob>,
    /// Among [`FreeQueue::batches`].
    counted: Cell<bool>,
    turn: Cell<u32>,
}

impl Batch {
    /// Asks for what its jobs touch first. A deque shows no job without giving it out, so each goes round once, out of sight
    /// for a moment, before the monitor thread is roused.
    fn prefetch(&self) {
        for _ in 0..self.jobs.len() {
            let Some(job) = self.jobs.pop() else { return };
            job.prefetch();
            self.jobs.push(job);
        }
    }
}

impl FreeQueue {
    pub(crate) fn new() -> Self {
        Self { queue: Injector::new(), batches: AtomicUsize::new(0), workers: RwLock::new(Vec::new()), next: AtomicU64::new(0) }
    }

    #[inline]
    pub(crate) fn push(&self, job: FreeJob) {
        self.queue.push(job);
    }

    /// Nobody has anything that is not begun.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.some_in_batches()
    }

    fn some_in_batches(&self) -> bool {
        self.batches.load(Ordering::SeqCst) > 0 && self.workers().iter().any(|(_, jobs)| !jobs.is_empty())
    }

    /// How many are not begun, more or less.
    pub(crate) fn len(&self) -> usize {
        self.queue.len() + self.workers().iter().map(|(_, jobs)| jobs.len()).sum::<usize>()
    }

    /// As [`len`](Self::len), or none where the batches cannot be looked at within a time.
    pub(crate) fn len_within(&self, patience: std::time::Duration) -> Option<usize> {
        let workers = self.workers.try_read_for(patience)?;
        Some(self.queue.len() + workers.iter().map(|(_, jobs)| jobs.len()).sum::<usize>())
    }

    fn workers(&self) -> parking_lot::RwLockReadGuard<'_, Vec<(u64, Stealer<FreeJob>)>> {
        self.workers.read()
    }

    /// A batch for a worker that begins; it goes back with [`leave`](Self::leave).
    pub(crate) fn enter(&self) -> Batch {
        let (number, jobs) = (self.next.fetch_add(1, Ordering::Relaxed), Worker::new_fifo());
        self.workers.write().push((number, jobs.stealer()));
        Batch { number, jobs, counted: Cell::new(false), turn: Cell::new(0) }
    }

    /// The worker is about to block: what it has not begun goes to everybody. `true`: there was something, and the monitor thread
    /// is to be told.
    #[inline]
    pub(crate) fn give_back(&self, batch: &Batch) -> bool {
        let mut any = false;
        if batch.counted.get() {
            while let Some(job) = batch.jobs.pop() {
                self.queue.push(job);
                any = true;
            }
            self.uncount(batch);
        }
        any
    }

    /// The worker ends.
    pub(crate) fn leave(&self, batch: &Batch) {
        let _ = self.give_back(batch);
        self.workers.write().retain(|(number, _)| *number != batch.number);
    }

    fn uncount(&self, batch: &Batch) {
        if batch.counted.replace(false) {
            self.batches.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The next job for the worker whose batch it is; `true` with it: more came along, and the monitor thread is to be told.
    #[inline]
    pub(crate) fn take(&self, batch: &Batch) -> Option<(FreeJob, bool)> {
        let turn = batch.turn.get().wrapping_add(1);
        batch.turn.set(turn);
        if turn.is_multiple_of(OTHERS_EVERY)
            && let Some(job) = self.steal_from_batches(batch.number)
        {
            return Some((job, false));
        }
        if batch.counted.get() {
            if let Some(job) = batch.jobs.pop() {
                return Some((job, false));
            }
            self.uncount(batch);
        }
        loop {
            let taken = match self.queue.len() {
                0 => return self.steal_from_batches(batch.number).map(|job| (job, false)),
                1 => self.queue.steal(),
                _ => {
                    if !batch.counted.replace(true) {
                        self.batches.fetch_add(1, Ordering::SeqCst);
                    }
                    self.queue.steal_batch_with_limit_and_pop(&batch.jobs, BATCH)
                }
            };
            match taken {
                Steal::Success(job) => {
                    batch.prefetch();
                    return Some((job, batch.counted.get() && !batch.jobs.is_empty()));
                }
                Steal::Empty | Steal::Retry => {}
            }
        }
    }

    /// A job of any batch but that of a number.
    fn steal_from_batches(&self, own: u64) -> Option<FreeJob> {
        if self.batches.load(Ordering::SeqCst) == 0 {
            return None;
        }
        self.workers().iter().filter(|(number, _)| *number != own).find_map(|(_, jobs)| {
            loop {
                match jobs.steal() {
                    Steal::Success(job) => return Some(job),
                    Steal::Empty => return None,
                    Steal::Retry => {}
                }
            }
        })
    }

    /// A job, for whoever has no batch.
    pub(crate) fn take_any(&self) -> Option<FreeJob> {
        loop {
            match self.queue.steal() {
                Steal::Success(job) => return Some(job),
                Steal::Empty => return self.steal_from_batches(u64::MAX),
                Steal::Retry => {}
            }
        }
    }
}
