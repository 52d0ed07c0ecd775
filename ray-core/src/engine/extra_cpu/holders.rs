//! The threads that hold the CPUs of a pool (those of the node, or of a bundle) and run bodies: since when each of them has been still,
//! and whether all of them block in the operating system.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::base::os::Doing;
use crate::engine::engine::Engine;
use crate::engine::threads::Shared;

/// A holder without processor time for this long is still.
pub(super) const STILL: Duration = Duration::from_millis(10);
/// How long an extra CPU must have been wanted if it is not certain that the holders block, or that a body needs it.
pub(super) const OUTSIDE: Duration = Duration::from_millis(500);

struct Holder {
    cpu_time: Option<u64>,
    bodies: u64,
    still_since: Instant,
    /// The number of the last look that saw this holder.
    seen: u64,
}

/// What is known of the holders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stillness {
    /// Some holder goes on without help.
    Moves,
    /// All are still, and the operating system does not say that each of them waits for a thread.
    MayBlock,
    /// All are still, and wait for other threads.
    Blocks,
}

/// The monitor thread's memory of the holders of one pool, and of the extra CPUs that were granted to it.
#[derive(Default)]
pub(super) struct Holders {
    known: HashMap<u64, Holder>,
    looks: u64,
    /// Since when an extra CPU is wanted.
    wanted_since: Option<Instant>,
    /// The time of the last grant, and the holders at that time. While they stay still, the next grant does not wait for
    /// [`OUTSIDE`] again.
    granted: Option<(Instant, Vec<u64>)>,
}

impl Holders {
    /// The threads that hold CPUs of the pool and run a body; updates since when each of them has been still.
    pub(super) fn find(&mut self, engine: &Engine, now: Instant, is_of_pool: impl Fn(&Shared) -> bool) -> Vec<Arc<Shared>> {
        self.looks += 1;
        let mut found = Vec::new();
        engine.threads.walk(0, |shared, _| {
            if shared.running().is_some() && shared.cpu.load(Ordering::Relaxed) > 0 && is_of_pool(shared) {
                found.push(Arc::clone(shared));
            }
            false
        });
        for shared in &found {
            let (cpu_time, bodies) = (shared.handle.cpu_time(), shared.bodies.load(Ordering::Relaxed));
            let fresh = Holder { cpu_time, bodies, still_since: now, seen: self.looks };
            let known = self.known.entry(shared.number()).or_insert(fresh);
            known.seen = self.looks;
            if known.cpu_time != cpu_time || known.bodies != bodies {
                *known = Holder { cpu_time, bodies, still_since: now, seen: self.looks };
            }
        }
        self.known.retain(|_, holder| holder.seen == self.looks);
        found
    }

    /// Whether all of the holders that [`find`](Self::find) has found are still, and block.
    pub(super) fn stillness(&mut self, found: &[Arc<Shared>], now: Instant) -> Stillness {
        let mut stillness = Stillness::Blocks;
        for shared in found {
            let Some(holder) = self.known.get_mut(&shared.number()) else { return Stillness::Moves };
            if now.duration_since(holder.still_since) < STILL {
                return Stillness::Moves;
            }
            match shared.handle.doing() {
                Some(Doing::WaitsForAThread) => {}
                Some(Doing::Computes | Doing::Pauses) => {
                    holder.still_since = now;
                    return Stillness::Moves;
                }
                Some(Doing::WaitsForEvents) | None => stillness = Stillness::MayBlock,
            }
        }
        stillness
    }

    /// Whether an extra CPU has been wanted for [`OUTSIDE`], or the holders of the last grant are still stuck.
    pub(super) fn is_wanted_for_long(&mut self, now: Instant) -> bool {
        let since = *self.wanted_since.get_or_insert(now);
        self.is_still_stuck() || now.duration_since(since) >= OUTSIDE
    }

    /// Whether none of the holders of the last grant has moved since.
    pub(super) fn is_still_stuck(&self) -> bool {
        self.granted.as_ref().is_some_and(|(at, stuck)| {
            let still = |number| self.known.get(number).is_some_and(|holder: &Holder| holder.still_since <= *at);
            stuck.iter().all(still)
        })
    }

    /// Whether an extra CPU was granted since the holders last moved, as far as is known.
    pub(super) fn has_granted(&self) -> bool {
        self.granted.is_some()
    }

    /// Records a grant.
    pub(super) fn grant(&mut self, found: &[Arc<Shared>], now: Instant) {
        self.granted = Some((now, found.iter().map(|shared| shared.number()).collect()));
    }
}
