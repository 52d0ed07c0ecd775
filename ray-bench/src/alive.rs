//! A field of every actor here, which counts those that were made and those that are gone.
//!
//! A counter that all threads write would cost an actor more than many of its libraries do, and those most that run
//! actors on several processors. So each thread has a pair of its own, on a cache line of its own, and who wants to know
//! adds them up.

use std::{
    sync::atomic::{AtomicU64, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Pairs; more threads than that share some.
const TALLIES: usize = 64;

/// What the threads of one pair have counted.
#[derive(Debug)]
#[repr(align(128))]
struct Tally {
    made: AtomicU64,
    gone: AtomicU64,
}

static ALL: [Tally; TALLIES] = [const { Tally { made: AtomicU64::new(0), gone: AtomicU64::new(0) } }; TALLIES];
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static OURS: &'static Tally = &ALL[NEXT.fetch_add(1, Ordering::Relaxed) % TALLIES];
}

/// How long an actor may take to go that nobody can call any more.
const PATIENCE: Duration = Duration::from_secs(10);

/// Counts one actor as made when it is made, and as gone when it is dropped.
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
        OURS.with(|tally| tally.gone.fetch_add(1, Ordering::Release));
    }
}

/// How many are gone, then how many were made: never less.
fn gone_and_made() -> (u64, u64) {
    let sum = |of: fn(&Tally) -> &AtomicU64| ALL.iter().map(|tally| of(tally).load(Ordering::Acquire)).sum();
    (sum(|tally| &tally.gone), sum(|tally| &tally.made))
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
            let (gone, made) = gone_and_made();
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
        let (gone, made) = gone_and_made();
        let (gone, made) = (gone - self.gone, made - self.made);
        assert!(gone <= n as u64, "{gone} of {n} actors are gone");
        gone == n as u64 && {
            assert_eq!(made, n as u64);
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
