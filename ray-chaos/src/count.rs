//! Counts the values that were created and dropped. Each counter consists of shards, so that threads rarely share a cache
//! line.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

const SHARDS: usize = 64;

#[repr(align(128))]
struct Shard {
    created: AtomicI64,
    dropped: AtomicI64,
}

/// Counts the values of one kind.
pub struct Counter([Shard; SHARDS]);

/// Arguments and results.
pub static THINGS: Counter = Counter::new();
/// States of actors.
pub static STATES: Counter = Counter::new();

fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static MINE: Cell<usize> = const { Cell::new(usize::MAX) });
    // A thread also drops values while its thread-local variables are being destroyed.
    MINE.try_with(|mine| {
        if mine.get() == usize::MAX {
            mine.set(NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS);
        }
        mine.get()
    })
    .unwrap_or(0)
}

impl Counter {
    const fn new() -> Self {
        Counter([const { Shard { created: AtomicI64::new(0), dropped: AtomicI64::new(0) } }; SHARDS])
    }

    /// Counts the creation of a value.
    pub fn created(&self) {
        self.0[shard()].created.fetch_add(1, Ordering::Release);
    }

    /// Counts the drop of a value.
    pub fn dropped(&self) {
        self.0[shard()].dropped.fetch_add(1, Ordering::Release);
    }

    /// The number of values that were created and not dropped. It is exact when no thread creates or drops values.
    pub fn alive(&self) -> i64 {
        let dropped: i64 = self.0.iter().map(|shard| shard.dropped.load(Ordering::Acquire)).sum();
        self.0.iter().map(|shard| shard.created.load(Ordering::Acquire)).sum::<i64>() - dropped
    }
}
