//! Bodies that turn out long: the monitor thread bars their definitions while they still run.
//!
//! A waiting thread runs bodies of definitions that are known to be short. When such a body turns out long, no other thread may
//! begin a second body of the definition in the same way, so the definition is barred before the first body has ended.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::base::os::Doing;
use crate::engine::engine::Engine;
use crate::engine::threads::Shared;

/// A body that has run for this long is examined.
const LONG: Duration = Duration::from_millis(1);

/// A thread that runs a body of a definition that is known to be short.
struct Suspect {
    bodies: u64,
    since: Instant,
    /// The thread's processor time when the body was first seen to be long.
    cpu_time: Option<u64>,
    /// The number of the last look that saw this thread.
    seen: u64,
}

/// The monitor thread's memory of suspects.
#[derive(Default)]
pub(crate) struct Watch {
    suspects: HashMap<u64, Suspect>,
    looks: u64,
}

impl Watch {
    /// Looks at all threads once.
    pub(crate) fn look(&mut self, engine: &Engine, now: Instant) {
        self.looks += 1;
        engine.threads.walk(0, |shared, _| {
            self.look_at(shared, now);
            false
        });
        let looks = self.looks;
        self.suspects.retain(|_, suspect| suspect.seen == looks);
    }

    fn look_at(&mut self, shared: &Shared, now: Instant) {
        let Some(spec) = shared.running().filter(|spec| spec.is_short()) else { return };
        if shared.is_away() {
            return;
        }
        let bodies = shared.bodies.load(std::sync::atomic::Ordering::Relaxed);
        let fresh = Suspect { bodies, since: now, cpu_time: None, seen: self.looks };
        let suspect = self.suspects.entry(shared.number()).or_insert(fresh);
        suspect.seen = self.looks;
        if suspect.bodies != bodies {
            *suspect = Suspect { bodies, since: now, cpu_time: None, seen: self.looks };
            return;
        }
        if now.duration_since(suspect.since) < LONG {
            return;
        }
        // A body that lost its processor is not long. A body that computes has used processor time between two looks, and a body
        // that sleeps is in a system call.
        let cpu_time = shared.handle.cpu_time();
        let computed = match (suspect.cpu_time, cpu_time) {
            (Some(before), Some(now)) => now.saturating_sub(before) >= LONG.as_nanos() as u64 / 4,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if suspect.cpu_time.is_none() {
            suspect.cpu_time = cpu_time;
        }
        if computed || !matches!(shared.handle.doing(), Some(Doing::Computes)) {
            spec.overran();
        }
    }
}
