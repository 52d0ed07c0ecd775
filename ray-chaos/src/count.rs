//! How many values were made and dropped, in counters that threads do not share.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

const SHARDS: usize = 64;

#[repr(align(128))]
struct Shard {
    born: AtomicI64,
    gone: AtomicI64,
}

/// Values of one kind.
pub struct Counter([Shard; SHARDS]);

/// Arguments and results.
pub static THINGS: Counter = Counter::new();
/// States of actors.
pub static STATES: Counter = Counter::new();

fn shard() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static MINE: Cell<usize> = const { Cell::new(usize::MAX) });
    // A thread that is ending still drops values.
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
        Counter([const { Shard { born: AtomicI64::new(0), gone: AtomicI64::new(0) } }; SHARDS])
    }

    /// One more was made.
    pub fn born(&self) {
        self.0[shard()].born.fetch_add(1, Ordering::Release);
    }

    /// One was dropped.
    pub fn gone(&self) {
        self.0[shard()].gone.fetch_add(1, Ordering::Release);
    }

    /// How many were made and not dropped. Exact once nobody makes or drops any more.
    pub fn alive(&self) -> i64 {
        let gone: i64 = self.0.iter().map(|shard| shard.gone.load(Ordering::Acquire)).sum();
        self.0.iter().map(|shard| shard.born.load(Ordering::Acquire)).sum::<i64>() - gone
    }
}
