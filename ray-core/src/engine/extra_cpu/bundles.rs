//! The extra CPU of a bundle: how a body of a placement group goes on whose CPU another body of the bundle keeps, while that one blocks in
//! the operating system.
//!
//! # Rules
//!
//! 1. One extra CPU is granted at a time, to the first getter of a group that wants its CPU back and has waited for [`OUTSIDE`].
//! 2. Every thread that holds CPUs of the bundle runs a body, has had no processor time for [`STILL`], and waits for another thread or for
//!    events, as far as the operating system reports it.
//! 3. The bundle is overdrawn: the next CPU that a body gives back to it balances it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::base::os::Doing;
use crate::engine::engine::Engine;
use crate::engine::group::Group;
use crate::engine::returning::Seat;
use crate::engine::threads::Shared;

/// A holder without processor time for this long is still.
pub(super) const STILL: Duration = Duration::from_millis(10);
/// The time that a getter must have waited if it is not certain that the holders block.
pub(super) const OUTSIDE: Duration = Duration::from_millis(500);

/// The processor time and the ended bodies of a thread, and since when they have not changed.
type Seen = (Option<u64>, u64, Instant);

/// The monitor thread's memory of bundles whose getters want their CPUs back.
#[derive(Default)]
pub(super) struct Watch {
    /// Since when the first getter of a group waits; the number of the bundle.
    wanted: HashMap<Seat, Instant>,
    holders: HashMap<u64, Seen>,
}

impl Watch {
    pub(super) fn look(&mut self, engine: &Engine, now: Instant) {
        if !engine.groups.is_claimed() {
            self.wanted.clear();
            self.holders.clear();
            return;
        }
        let mut wanted = HashMap::new();
        for group in engine.groups.all() {
            let Some(place) = group.inside.lock().claims.first_return() else { continue };
            let seat = Seat { group: group.handle.id(), place };
            let since = self.wanted.get(&seat).copied().unwrap_or(now);
            let still = self.holders_are_still(engine, seat, now);
            if still && now.duration_since(since) >= OUTSIDE {
                grant(engine, &group);
            } else {
                wanted.insert(seat, since);
            }
        }
        self.wanted = wanted;
    }

    /// Whether some thread holds CPUs of the bundle, and all that do are still and wait.
    fn holders_are_still(&mut self, engine: &Engine, seat: Seat, now: Instant) -> bool {
        let mut found: Vec<Arc<Shared>> = Vec::new();
        engine.threads.walk(0, |shared, _| {
            if shared.running().is_some() && shared.cpu.load(Ordering::Relaxed) > 0 && shared.seat() == Some(seat) {
                found.push(Arc::clone(shared));
            }
            false
        });
        let mut still = !found.is_empty();
        for shared in found {
            let (time, bodies) = (shared.handle.cpu_time(), shared.bodies.load(Ordering::Relaxed));
            let seen = self.holders.entry(shared.number()).or_insert((time, bodies, now));
            let computes = matches!(shared.handle.doing(), Some(Doing::Computes | Doing::Pauses));
            if computes || (seen.0, seen.1) != (time, bodies) {
                *seen = (time, bodies, now);
            }
            still &= now.duration_since(seen.2) >= STILL;
        }
        still
    }
}

fn grant(engine: &Engine, group: &Group) {
    let getter = {
        let mut inside = group.inside.lock();
        let inside = &mut *inside;
        let Some(place) = inside.claims.first_return() else { return };
        let Some((units, getter)) = inside.claims.take_return() else { return };
        if let Some(pool) = inside.bundles.pool(place) {
            pool.overdraw(units);
        }
        getter
    };
    engine.groups.remove_claims(1);
    engine.extra_cpus.fetch_add(1, Ordering::Relaxed);
    getter.grant();
}
