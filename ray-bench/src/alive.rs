//! A field of every actor here, which counts those that were made and those that are gone.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

static MADE: AtomicU64 = AtomicU64::new(0);
static GONE: AtomicU64 = AtomicU64::new(0);

/// How long an actor may take to go that nobody can call any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts one actor as made when it is made, and as gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Alive(());

impl Alive {
    pub(crate) fn new() -> Self {
        MADE.fetch_add(1, Ordering::Relaxed);
        Alive(())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        GONE.fetch_add(1, Ordering::Release);
    }
}

/// A point in time, from which made and gone actors are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Census {
    made: u64,
    gone: u64,
}

impl Census {
    /// Begins to count, once the actors of earlier rounds are gone, which nobody calls any more.
    pub(crate) fn begin() -> Self {
        let start = Instant::now();
        loop {
            let gone = GONE.load(Ordering::Acquire);
            let made = MADE.load(Ordering::Relaxed);
            if made == gone {
                return Census { made, gone };
            }
            let left = made - gone;
            assert!(start.elapsed() < PATIENCE, "{left} actors outlive their handles");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether `n` actors were made since and all of them are gone.
    pub(crate) fn over(self, n: usize) -> bool {
        let gone = GONE.load(Ordering::Acquire) - self.gone;
        assert!(gone <= n as u64, "{gone} of {n} actors are gone");
        gone == n as u64 && {
            assert_eq!(MADE.load(Ordering::Relaxed) - self.made, n as u64);
            true
        }
    }

    /// Blocks this thread until `n` actors were made since and all of them are gone.
    pub(crate) fn wait(self, n: usize) {
        while !self.over(n) {
            thread::yield_now();
        }
    }

    /// [`wait`](Self::wait) for a task of a tokio runtime.
    pub(crate) async fn wait_async(self, n: usize) {
        while !self.over(n) {
            tokio::task::yield_now().await;
        }
    }
}
