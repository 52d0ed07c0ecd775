//! How many items of a stream were taken, and whether a producer waits for the next take. The consumer changes the count without a
//! lock.
//!
//! No wake-up is lost: the consumer changes the count and then looks whether a producer waits; the producer tells that it waits and
//! then looks at the count. All four steps are sequentially consistent, so one of the two sees the other. The model checker tries it
//! (`crate::loom::room`).

use crate::base::sync::{AtomicBool, AtomicU64, Ordering, seq_cst_in_models};

/// The count of taken items. The consumer writes it for each item, so it has cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Room {
    taken: AtomicU64,
    /// Changed under the lock of the stream.
    wanted: AtomicBool,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { taken: AtomicU64::new(0), wanted: AtomicBool::new(false) }
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Acquire)
    }

    /// For the only consumer: counts an item. Returns whether a producer waits.
    #[inline]
    pub(crate) fn take(&self) -> bool {
        let taken = self.taken.load(Ordering::Relaxed) + 1;
        self.taken.store(taken, Ordering::SeqCst);
        seq_cst_in_models();
        self.wanted.load(Ordering::SeqCst)
    }

    /// For a producer, under the lock: later takes tell that it waits. Returns the count of the earlier ones.
    pub(crate) fn want(&self) -> u64 {
        self.wanted.store(true, Ordering::SeqCst);
        seq_cst_in_models();
        self.taken.load(Ordering::SeqCst)
    }

    /// Under the lock: no producer waits.
    pub(crate) fn forget(&self) {
        self.wanted.store(false, Ordering::SeqCst);
    }
}
