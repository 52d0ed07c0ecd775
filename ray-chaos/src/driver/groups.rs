//! Operations on placement groups: groups with work of all sorts, removals, groups that compete, and bodies that block in them.
//!
//! Work in a group depends on no work outside of it, and a driver that has a group waits for nothing else. So the groups of all drivers
//! get their turns.

use ray::{
    Bundle, Error, ErrorKind, ObjectRef, PlacementGroup, PlacementGroupState, SchedulingStrategy, placement_group,
    remove_placement_group,
};

use super::races::yields;
use super::{Driver, is_excused};
use crate::gate::Key;
use crate::program::{
    Crowd, Desk, Ledger, Thing, add, asks_an_actor, at_gate, blocking_on, calls_in, dawdle, later, make, nest, on_threads,
    under_lock_of_groups,
};
use crate::state::{ending, eventually, few_threads, give_up, plan};

/// A group, which the drop removes.
struct Gang {
    group: PlacementGroup,
    /// The CPUs of each bundle.
    cpus: Vec<usize>,
}

impl Drop for Gang {
    fn drop(&mut self) {
        if let Err(error) = remove_placement_group(&self.group)
            && !(ending() || is_excused(&error))
        {
            give_up(&format!("a removal of a group: {error:?}"));
        }
    }
}

/// Work in a group: its description, its result and the expected value.
type Work = (&'static str, ObjectRef<Thing>, i64);

/// Whether the outcome of an operation says nothing about the engine.
fn anything_goes() -> bool {
    ending() || few_threads()
}

/// Whether the error is that of a task or an actor of a removed group.
fn is_of_removal(error: &Error) -> bool {
    error.is_placement_group_removed() || error.is_actor_died()
}

impl Driver {
    /// Makes a group of bundles with at most `most` CPUs in all; none if the engine ends.
    fn gang(&mut self, most: usize) -> Option<Gang> {
        let mut cpus = Vec::new();
        let mut left = 1 + self.chance.below(most);
        while left > 0 {
            let next = 1 + self.chance.below(left);
            cpus.push(next);
            left -= next;
        }
        let slot = self.chance.one_in(6);
        let bundles: Vec<Bundle> = cpus
            .iter()
            .enumerate()
            .map(|(at, count)| {
                let bundle = Bundle::new().num_cpus(*count as f64);
                if at == 0 && slot { bundle.resource("slot", 1.0) } else { bundle }
            })
            .collect();
        self.note("a group", [cpus.len() as i64, cpus.iter().sum::<usize>() as i64]);
        match placement_group(bundles).create() {
            Ok(group) => Some(Gang { group, cpus }),
            Err(error) if ending() || is_excused(&error) => None,
            Err(error) => give_up(&format!("a group that fits: {error:?}")),
        }
    }

    /// Any bundle, or one.
    fn place(&mut self, gang: &Gang, captures: bool) -> SchedulingStrategy {
        let bundle_index = self.chance.one_in(2).then(|| self.chance.below(gang.cpus.len()));
        SchedulingStrategy::PlacementGroup { placement_group: gang.group.clone(), bundle_index, capture_child_tasks: captures }
    }

    /// Submits work in a group.
    fn fill(&mut self, gang: &Gang, many: usize, work: &mut Vec<Work>) {
        for _ in 0..many {
            let value = self.chance.below(100) as i64;
            let (how, captures) = (self.chance.below(14), self.chance.one_in(2));
            let place = self.place(gang, captures);
            let inside = self.place(gang, true);
            let thing = || Thing::new(value);
            self.note("work in a group", [how as i64, value]);
            let next = match how {
                0 => ("a task", make.options().scheduling_strategy(place).remote(value), value),
                1 => ("a sum", add.options().scheduling_strategy(place).remote(thing(), thing()), 2 * value),
                2 => {
                    let first = make.options().scheduling_strategy(place).remote(value);
                    ("a chain", add.options().scheduling_strategy(inside).remote(first, thing()), 2 * value)
                }
                3 => ("half a CPU", make.options().num_cpus(0.5).scheduling_strategy(place).remote(value), value),
                4 => ("no CPU", make.options().num_cpus(0.0).scheduling_strategy(place).remote(value), value),
                5 => {
                    let turns = self.chance.below(60) as u32;
                    ("a slow task", dawdle.options().scheduling_strategy(place).remote(thing(), turns), value)
                }
                6 => ("an async task", later.options().scheduling_strategy(place).remote(ray::put(thing()), 2), value),
                7 => {
                    // Several CPUs: as many as some bundle has.
                    let at = self.chance.below(gang.cpus.len());
                    let whole = make.options().num_cpus(gang.cpus[at] as f64).scheduling_strategy(gang.group.bundle(at));
                    ("a whole bundle", whole.remote(value), value)
                }
                8 | 9 => {
                    let depth = self.chance.below(4) as u32;
                    let sum = value * (1 << depth) + i64::from(depth) * ((1 << depth) / 2);
                    ("nested calls", nest.options().scheduling_strategy(inside).remote(depth, value), sum)
                }
                10 => ("an actor of a body", asks_an_actor.options().scheduling_strategy(inside).remote(value), value),
                11 => {
                    ("a call by a handle", calls_in.options().scheduling_strategy(place).remote(gang.group.clone(), value), value)
                }
                _ => {
                    let cpus = [0.0, 0.5, 1.0][self.chance.below(3)];
                    let restarts = if self.chance.one_in(2) { -1 } else { 0 };
                    macro_rules! call {
                        ($class:ident, $method:ident) => {{
                            let options = $class::options().num_cpus(cpus).max_restarts(restarts).scheduling_strategy(place);
                            options.remote(Thing::new(0)).$method.remote(thing())
                        }};
                    }
                    // The actor ends after its call, because it has no handle.
                    let call = match self.chance.below(3) {
                        0 => call!(Ledger, echo),
                        1 => call!(Crowd, note),
                        _ => call!(Desk, note),
                    };
                    ("a call of an actor", call, value)
                }
            };
            work.push(next);
        }
    }

    /// Gets the results of work in any order. With `removed` they may have the errors of a removal.
    fn collect(&mut self, mut work: Vec<Work>, removed: bool) {
        while !work.is_empty() {
            let (what, object, value) = work.swap_remove(self.chance.below(work.len()));
            match ray::get_timeout(object, plan().watchdog).map(|thing| thing.value()) {
                Err(error) if removed && is_of_removal(&error) => {}
                outcome => self.expect(what, outcome, value),
            }
        }
    }

    /// Waits until the group has its resources. `false`: the engine ends.
    fn await_gang(&mut self, gang: &Gang) -> bool {
        let outcome = if self.chance.one_in(2) {
            gang.group.wait(plan().watchdog)
        } else {
            ray::get_timeout(gang.group.ready(), plan().watchdog).map(|group| group == gang.group)
        };
        let is_there = matches!(outcome, Ok(true));
        self.expect("a group that waits for its resources", outcome, true);
        is_there
    }

    /// A group has all of its bundles, and the node does not have their CPUs.
    fn has_all(&self, gang: &Gang) {
        let (Ok(table), Ok(free)) = (ray::placement_group_table(), ray::available_resources()) else { return };
        if anything_goes() {
            return;
        }
        let row = table.get(&gang.group.id()).unwrap_or_else(|| give_up("a group is not in the table"));
        if row.state != PlacementGroupState::Created || row.available.len() != gang.cpus.len() {
            give_up(&format!("a group that is ready: {:?}, {:?}", row.state, row.available));
        }
        let rest = self.shared.era.cpus - gang.cpus.iter().sum::<usize>();
        if free.get("CPU").is_some_and(|free| *free > rest as f64) {
            give_up(&format!("the node has {free:?} free beside the group {:?}", gang.cpus));
        }
    }

    /// Calls in a removed group have its error.
    fn refuses(&mut self, gang: &Gang) {
        let place = self.place(gang, false);
        let outcome = if self.chance.one_in(2) {
            make.options().scheduling_strategy(place).try_remote(1).map(drop)
        } else {
            Ledger::options().scheduling_strategy(place).try_remote(Thing::new(1)).map(drop)
        };
        match outcome {
            Err(error) if error.is_placement_group_removed() => {}
            _ if anything_goes() => {}
            other => give_up(&format!("a call in a removed group: {other:?}")),
        }
    }

    /// A group with work, before and after it has its resources. Nothing fails.
    pub(super) fn group(&mut self) {
        let Some(gang) = self.gang(self.shared.era.cpus.min(4)) else { return };
        let (early, late) = (self.chance.below(6), 1 + self.chance.below(6));
        let mut work = Vec::new();
        self.fill(&gang, early, &mut work);
        if self.await_gang(&gang) {
            self.has_all(&gang);
        }
        self.fill(&gang, late, &mut work);
        self.collect(work, false);
    }

    /// A group is removed while its work waits for it, is queued, runs or waits, by this thread or by another one.
    pub(super) fn group_remove(&mut self) {
        let Some(gang) = self.gang(self.shared.era.cpus.min(4)) else { return };
        let (many, pauses) = (1 + self.chance.below(10), self.chance.below(40));
        let (soon, waits) = (self.chance.one_in(2), self.chance.one_in(2));
        let mut work = Vec::new();
        self.fill(&gang, many, &mut work);
        if waits {
            self.await_gang(&gang);
        }
        if soon {
            let group = gang.group.clone();
            self.assistant.send(move || {
                yields(pauses);
                let _ = remove_placement_group(&group);
            });
            self.fill(&gang, 3, &mut work);
        } else {
            yields(pauses);
            let _ = remove_placement_group(&gang.group);
            self.refuses(&gang);
            self.fill(&gang, 1, &mut work);
        }
        self.collect(work, true);
    }

    /// Groups that cannot all exist at once, in the order in which they get their resources, beside groups that do not fit.
    pub(super) fn group_rivals(&mut self) {
        let cpus = self.shared.era.cpus;
        self.note("groups that compete", []);
        let large = placement_group(vec![Bundle::new().num_cpus(1); cpus + 1]).create();
        match large {
            Err(error) if error.kind() == ErrorKind::Infeasible => {}
            _ if anything_goes() => return,
            other => give_up(&format!("a group that is too large: {other:?}")),
        }
        let mut gangs = Vec::new();
        for _ in 0..2 + self.chance.below(3) {
            let Some(gang) = self.gang(cpus) else { return };
            let mut work = Vec::new();
            let many = self.chance.below(3);
            self.fill(&gang, many, &mut work);
            gangs.push((gang, work));
        }
        if self.chance.one_in(3) {
            // One of them is removed, whether or not it has its resources.
            let (gang, work) = gangs.swap_remove(self.chance.below(gangs.len()));
            drop(gang);
            self.collect(work, true);
        }
        while !gangs.is_empty() {
            let ready: Vec<_> = gangs.iter().map(|(gang, _)| gang.group.ready()).collect();
            let first = match ray::wait(&ready, ray::first(1).timeout(plan().watchdog)) {
                Ok((first, _)) if !first.is_empty() => first,
                _ if anything_goes() => return,
                other => give_up(&format!("none of the groups gets its resources: {other:?}")),
            };
            let at = ready.iter().position(|object| *object == first[0]).unwrap_or(0);
            let (gang, mut work) = gangs.swap_remove(at);
            if !anything_goes() {
                self.has_all(&gang);
            }
            self.fill(&gang, 1, &mut work);
            self.collect(work, false);
        }
    }

    /// Bodies of a bundle block in the operating system while they wait for work of the bundle. Some groups are removed meanwhile.
    pub(super) fn group_block(&mut self) {
        let Some(gang) = self.gang(self.shared.era.cpus.min(2)) else { return };
        let mut work = Vec::new();
        for _ in 0..1 + self.chance.below(3) {
            let (how, many, place) = (self.chance.below(4), 1 + self.chance.below(3), self.place(&gang, true));
            let sum = (0..many as i64).sum();
            self.note("bodies that block in a group", [how as i64]);
            work.push(match how {
                0 => ("on threads", on_threads.options().scheduling_strategy(place).remote(many), sum),
                1 => ("blocking on", blocking_on.options().scheduling_strategy(place).remote(many), sum),
                _ => ("under a lock", under_lock_of_groups.options().scheduling_strategy(place).remote(how == 2), 3),
            });
        }
        let removed = self.chance.one_in(3);
        if removed {
            yields(self.chance.below(60));
            let _ = remove_placement_group(&gang.group);
        }
        self.collect(work, removed);
    }

    /// A group of the whole node: another one has nothing until it is removed. Its body keeps its CPU until the body ends, the rest is
    /// free at once.
    pub(super) fn stage_group(&mut self) {
        self.calm("stage: groups");
        let cpus = self.shared.era.cpus;
        let free = || ray::available_resources().map_or(0.0, |free| free.get("CPU").copied().unwrap_or(0.0));
        // Bodies that have ended, and actors without handles, give back what they held.
        eventually("all CPUs are free", || free() == cpus as f64);
        let whole = || placement_group(vec![Bundle::new().num_cpus(1); cpus]).create();
        let (Ok(first), Ok(second)) = (whole(), whole()) else { give_up("a group of the whole node") };
        let (first, second) = (Gang { group: first, cpus: vec![1; cpus] }, Gang { group: second, cpus: vec![1; cpus] });
        self.await_gang(&first);
        self.check("no CPU is free beside a group of the whole node", free() == 0.0);
        let state = |gang: &Gang| ray::placement_group_table().ok()?.get(&gang.group.id()).map(|row| row.state);
        self.check("the second group waits", state(&second) == Some(PlacementGroupState::Pending));
        let key = Key::new();
        let running = at_gate.options().scheduling_strategy(first.group.bundle(0)).remote(key.number());
        self.reached(&key);
        let queued = make.options().num_cpus(1.0).scheduling_strategy(first.group.bundle(0)).remote(1);
        let waiting = make.options().scheduling_strategy(&second.group).remote(2);
        drop(first);
        let mut work = vec![("the running task", running, -1), ("the queued task", queued, -1)];
        if self.chance.one_in(2) {
            work.swap(0, 1);
        }
        for (what, object, _) in work {
            match ray::get_timeout(object, plan().watchdog) {
                Err(error) if error.is_placement_group_removed() => {}
                Ok(_) if what == "the queued task" => {}
                other => give_up(&format!("{what} of a removed group: {other:?}")),
            }
        }
        eventually("the rest is free", || free() == (cpus - 1) as f64);
        self.check("the second group waits for all", state(&second) == Some(PlacementGroupState::Pending));
        key.open();
        self.await_gang(&second);
        self.expect("the task of the second group", ray::get(waiting).map(|thing| thing.value()), 2);
        drop(second);
        eventually("all CPUs are free again", || free() == cpus as f64);
    }
}

/// Checks that all resources are free, and that no group is left, when all work has ended.
pub fn all_free() {
    eventually("all resources are free", || match (ray::available_resources(), ray::cluster_resources()) {
        (Ok(free), Ok(all)) => free == all,
        _ => true,
    });
    eventually("all groups are forgotten", || ray::placement_group_table().map_or(true, |table| table.is_empty()));
}
