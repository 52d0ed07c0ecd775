//! Work that needs no CPU: one queue for all threads, and a batch of jobs for each worker.
//!
//! If each worker took single jobs, all workers and all submitting threads would write the same cache lines for each job. So a
//! worker takes several jobs at once.
//!
//! # Why no job is overlooked
//!
//! * The body that a worker runs may wait for a job in the worker's own batch. So the worker returns its batch to the queue before
//!   it blocks or idles.
//! * A body may also run for long without blocking. So every worker takes a job from another worker's batch at every
//!   [`OTHERS_EVERY`]th turn, even if the queue has jobs.
//! * A worker counts itself in `batches` before it takes a batch out of the queue. A thread that then sees the queue empty sees the
//!   count, and looks at the batches.
//! * While the jobs move from the queue to the batch no other thread sees them. So the worker notifies the monitor thread
//!   afterwards, in case the monitor thread had its last look before it rests at that moment.

use parking_lot::RwLock;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_deque::{Injector, Steal, Stealer, Worker};

use crate::engine::free_job::FreeJob;

/// The most jobs that a worker takes at once.
const BATCH: usize = 16;
/// In one of so many turns a worker looks at the batches of other workers first.
const OTHERS_EVERY: u32 = 16;

/// The queue, and the batches of all workers.
pub(crate) struct FreeQueue {
    queue: Injector<FreeJob>,
    /// The number of workers that may have a batch.
    batches: AtomicUsize,
    /// The batch of every worker, with its number.
    workers: RwLock<Vec<(u64, Stealer<FreeJob>)>>,
    next: AtomicU64,
}

/// The jobs that one worker has taken and not begun.
pub(crate) struct Batch {
    number: u64,
    jobs: Worker<FreeJob>,
    /// Whether the batch is counted in [`FreeQueue::batches`].
    counted: Cell<bool>,
    turn: Cell<u32>,
}

impl Batch {
    /// Prefetches the memory that the jobs touch first. A deque gives no reference to a job inside, so each job is popped and
    /// pushed again. It is invisible in between; the monitor thread is notified after that.
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

    /// Whether there is no job that has not begun, in the queue and in the batches.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty() && !self.some_in_batches()
    }

    fn some_in_batches(&self) -> bool {
        self.batches.load(Ordering::SeqCst) > 0 && self.workers().iter().any(|(_, jobs)| !jobs.is_empty())
    }

    /// The approximate number of jobs that have not begun.
    pub(crate) fn len(&self) -> usize {
        self.queue.len() + self.workers().iter().map(|(_, jobs)| jobs.len()).sum::<usize>()
    }

    /// Like [`len`](Self::len); none if the list of batches cannot be locked within `patience`.
    pub(crate) fn len_within(&self, patience: std::time::Duration) -> Option<usize> {
        let workers = self.workers.try_read_for(patience)?;
        Some(self.queue.len() + workers.iter().map(|(_, jobs)| jobs.len()).sum::<usize>())
    }

    fn workers(&self) -> parking_lot::RwLockReadGuard<'_, Vec<(u64, Stealer<FreeJob>)>> {
        self.workers.read()
    }

    /// Makes the batch of a worker that begins; [`leave`](Self::leave) removes it.
    pub(crate) fn enter(&self) -> Batch {
        let (number, jobs) = (self.next.fetch_add(1, Ordering::Relaxed), Worker::new_fifo());
        self.workers.write().push((number, jobs.stealer()));
        Batch { number, jobs, counted: Cell::new(false), turn: Cell::new(0) }
    }

    /// Returns the batch of a worker that is about to block or to idle to the queue. `true`: there were jobs in it, and the caller
    /// must notify the monitor thread.
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

    /// Removes the batch of a worker that ends.
    pub(crate) fn leave(&self, batch: &Batch) {
        let _ = self.give_back(batch);
        self.workers.write().retain(|(number, _)| *number != batch.number);
    }

    fn uncount(&self, batch: &Batch) {
        if batch.counted.replace(false) {
            self.batches.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The next job for the worker with this batch. `true` with it: further jobs were moved to the batch, and the caller must
    /// notify the monitor thread.
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

    /// A job from any batch except the one with the number `own`.
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

    /// A job for a thread without a batch.
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
