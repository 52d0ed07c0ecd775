//! A field of every actor of the bench, which counts the actors that were created and the actors that were dropped.
//!
//! A single counter for all threads would cost an actor more than many libraries do. It would cost most in a library that
//! runs actors on several processors. So each thread has a pair of counters on a cache line of its own, and a reader adds
//! them up.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The number of pairs. If there are more threads, some of them share a pair.
const TALLIES: usize = 64;

/// A pair of counters.
#[derive(Debug)]
#[repr(align(128))]
struct Tally {
    made: AtomicU64,
    dropped: AtomicU64,
}

static ALL: [Tally; TALLIES] = [const { Tally { made: AtomicU64::new(0), dropped: AtomicU64::new(0) } }; TALLIES];
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OURS: &'static Tally = &ALL[NEXT.fetch_add(1, Ordering::Relaxed) % TALLIES];
}

/// The longest time that a library may take to drop an actor without handles.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts one actor as made when it is made, and as dropped when it is dropped.
#[derive(Debug)]
pub(crate) struct Alive(());

impl Alive {
    pub(crate) fn new() -> Self {
        OURS.with(|tally| tally.made.fetch_add(1, Ordering::Release));
        Alive(())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        OURS.with(|tally| tally.dropped.fetch_add(1, Ordering::Release));
    }
}

/// The number of dropped actors and the number of made ones. It reads the dropped ones first, so the second number is never
/// smaller.
fn dropped_and_made() -> (u64, u64) {
    let sum = |of: fn(&Tally) -> &AtomicU64| ALL.iter().map(|tally| of(tally).load(Ordering::Acquire)).sum();
    (sum(|tally| &tally.dropped), sum(|tally| &tally.made))
}

/// A count of made and dropped actors that begins at some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Census {
    made: u64,
    dropped: u64,
}

impl Census {
    /// Begins to count. It first waits until the actors of earlier rounds are dropped.
    pub(crate) fn begin() -> Self {
        let start = Instant::now();
        loop {
            let (dropped, made) = dropped_and_made();
            if made == dropped {
                return Census { made, dropped };
            }
            let left = made - dropped;
            assert!(start.elapsed() < PATIENCE, "{left} actors are not dropped {PATIENCE:?} after their handles");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Whether `n` actors were made since the beginning and all of them are dropped.
    pub(crate) fn over(self, n: usize) -> bool {
        let (dropped, made) = dropped_and_made();
        let (dropped, made) = (dropped - self.dropped, made - self.made);
        assert!(dropped <= n as u64, "{dropped} of {n} actors are dropped");
        dropped == n as u64 && {
            assert_eq!(made, n as u64);
            true
        }
    }

    /// Blocks this thread until `n` actors were made since the beginning and all of them are dropped.
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
