//! Limits the number of pending calls: a window of 100 calls moves over a million items. Without a limit all calls and their
//! arguments would be in memory before the actor has handled the first ones. It is Ray's pattern "Using ray.wait to limit the number
//! of pending tasks", <https://docs.ray.io/en/latest/ray-core/patterns/limit-pending-tasks.html>. Not in the article.
//!
//! ```python
//! refs = []
//! for item in range(1_000_000):
//!     if len(refs) == 100:
//!         ready, refs = ray.wait(refs, num_returns=1)
//!         total += ray.get(ready[0])
//!     refs.append(actor.heavy_compute.remote(item))
//! total += sum(ray.get(refs))
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ray::{Pending, remote};

use crate::report::Report;

const ITEMS: u64 = 1_000_000;
const MOST_PENDING: usize = 100;

#[remote]
struct Actor {
    /// The number of items that the program has submitted.
    submitted: Arc<AtomicU64>,
    done: u64,
    most_pending: u64,
}

// The counter is shared with the program, so the actor cannot run in another process.
#[remote(local)]
impl Actor {
    pub fn new(submitted: Arc<AtomicU64>) -> Self {
        Actor { submitted, done: 0, most_pending: 0 }
    }

    pub fn heavy_compute(&mut self, item: u64) -> u64 {
        self.most_pending = self.most_pending.max(self.submitted.load(Ordering::Relaxed) - self.done);
        self.done += 1;
        item % 7
    }

    /// The largest number of calls that were submitted and not done.
    pub fn most_pending(&self) -> u64 {
        self.most_pending
    }
}

pub(crate) fn main(report: &mut Report) -> ray::Result<()> {
    let submitted = Arc::new(AtomicU64::new(0));
    let actor = Actor::remote(Arc::clone(&submitted));

    let start = Instant::now();
    let mut total = 0;
    let mut pending = Pending::from(Vec::new());
    for item in 0..ITEMS {
        if pending.len() == MOST_PENDING {
            let (ready, rest) = ray::wait(pending, 1)?;
            total += ray::get(ready)?[0];
            pending = rest;
        }
        submitted.fetch_add(1, Ordering::Relaxed);
        pending.push(actor.heavy_compute.remote(item));
    }
    total += ray::get(pending)?.iter().sum::<u64>();
    report.took("1,000,000 calls", start.elapsed());

    assert_eq!(total, (0..ITEMS).map(|item| item % 7).sum::<u64>());
    let most = ray::get(actor.most_pending.remote())?;
    println!("{ITEMS} calls, at most {most} of them pending");
    assert!((1..=MOST_PENDING as u64).contains(&most), "the window is full and never larger");
    ray::shutdown()
}
