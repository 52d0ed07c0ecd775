//! The extra CPU of a bundle: how work of a placement group goes on while bodies of its bundle block in the operating system.
//!
//! # Rules
//!
//! 1. Those of [the node](super) hold for each bundle: one extra CPU at a time, and only while every thread that holds CPUs of the bundle
//!    is still and waits for another thread.
//! 2. It goes to the first getter of the group that wants its CPU back; otherwise to the oldest task for which a thread waits among those
//!    that wait for the bundle and lack only CPUs, or to the oldest of those. An actor gets none, since it would keep it for life.
//! 3. A task gets it only if bodies that run hold everything that was taken of the bundle's CPUs. So the task of the last grant has begun,
//!    and no idle actor has CPUs of the bundle.
//! 4. The bundle is overdrawn: the next CPU that a body gives back to it balances it.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::holders::{Holders, Stillness};
use crate::engine::blocking::interrupt;
use crate::engine::engine::Engine;
use crate::engine::group::{Group, Inside, PlacementGroupState};
use crate::engine::returning::Seat;
use crate::engine::threads::Shared;
use crate::engine::{group_claim, wake};

/// The monitor thread's memory of bundles in which an extra CPU is wanted.
#[derive(Default)]
pub(super) struct Watch(HashMap<Seat, Holders>);

/// The kind of the claim that wants an extra CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Return,
    Start,
}

impl Watch {
    /// Looks once. `true`: an extra CPU is wanted in some bundle, so the next look must come soon.
    pub(super) fn look(&mut self, engine: &Engine, now: Instant) -> bool {
        let is_claimed = engine.groups.is_claimed();
        if !is_claimed && self.0.is_empty() {
            return false;
        }
        let mut watched = HashMap::new();
        let groups = if is_claimed { engine.groups.all() } else { Vec::new() };
        for group in groups {
            let wanted = {
                let inside = group.inside.lock();
                let is_open = inside.state == PlacementGroupState::Created;
                if is_open { wanted(&inside, group.handle.bundle_specs().len()) } else { Vec::new() }
            };
            for (place, wanted) in wanted {
                let seat = Seat { group: group.handle.id(), place };
                let mut holders = self.0.remove(&seat).unwrap_or_default();
                look_at(engine, &group, &mut holders, place, wanted, now);
                watched.insert(seat, holders);
            }
        }
        let is_wanted = !watched.is_empty();
        // The next grant does not wait for long if the holders of the last one are still stuck by then.
        for (seat, mut holders) in self.0.drain().filter(|(_, holders)| holders.has_granted()) {
            holders.find(engine, now, |shared| shared.seat() == Some(seat));
            if holders.is_still_stuck() {
                watched.insert(seat, holders);
            }
        }
        self.0 = watched;
        is_wanted
    }
}

fn look_at(engine: &Engine, group: &Group, holders: &mut Holders, place: usize, wanted: Wanted, now: Instant) {
    let seat = Seat { group: group.handle.id(), place };
    let found = holders.find(engine, now, |shared: &Shared| shared.seat() == Some(seat));
    let outside = holders.is_wanted_for_long(now);
    if found.is_empty() || wanted == Wanted::Start && !(outside || interrupt::some_wait()) {
        return;
    }
    let stillness = holders.stillness(&found, now);
    if !(stillness == Stillness::Blocks || stillness == Stillness::MayBlock && outside) {
        return;
    }
    let is_granted = match wanted {
        Wanted::Return => grant_return(engine, group, place),
        Wanted::Start => {
            let held = found.iter().map(|shared| shared.cpu.load(Ordering::Relaxed)).sum();
            wake::has_worker_or_adds_one(engine) && group_claim::serve_overdrawn(engine, group, place, held)
        }
    };
    if is_granted {
        engine.extra_cpus.fetch_add(1, Ordering::Relaxed);
        holders.grant(&found, now);
    }
}

/// The claims that want an extra CPU of a bundle: at most one for each bundle.
fn wanted(inside: &Inside, bundles: usize) -> Vec<(usize, Wanted)> {
    let of_place = |place| {
        if inside.claims.has_return_at(place) {
            return Some((place, Wanted::Return));
        }
        inside.claims.has_start(|shape| inside.bundles.lacks_only_cpu(shape, place)).then_some((place, Wanted::Start))
    };
    (0..bundles).filter_map(of_place).collect()
}

fn grant_return(engine: &Engine, group: &Group, place: usize) -> bool {
    let getter = {
        let mut inside = group.inside.lock();
        let inside = &mut *inside;
        let Some((units, getter)) = inside.claims.take_return_at(place) else { return false };
        if let Some(pool) = inside.bundles.pool(place) {
            pool.overdraw(units);
        }
        getter
    };
    engine.groups.remove_claims(1);
    getter.grant();
    true
}
