//! The threads that have a state of an engine.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_deque::Stealer;
use parking_lot::RwLock;

use crate::engine::thread::{Job, Shared};

/// Each with the end of its queue that thieves take from.
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

    /// Calls `see` for each thread until it says to stop; `false`: the threads cannot be looked at within a time.
    pub(crate) fn walk_within(&self, patience: Duration, mut see: impl FnMut(&Arc<Shared>, &Stealer<Job>) -> bool) -> bool {
        let Some(all) = self.all.try_read_for(patience) else { return false };
        for (shared, stealer) in all.iter() {
            if see(shared, stealer) {
                break;
            }
        }
        true
    }

    /// Calls `see` for each thread until it says to stop, beginning at `from`.
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
