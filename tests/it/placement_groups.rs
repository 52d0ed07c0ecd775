//! Placement groups: reservations, the work in them, nested calls, and the errors of bad input. `placement_groups_removed` has removals.

use std::collections::HashSet;
use std::time::Duration;

use ray::{
    Bundle, Config, Lifetime, ObjectRef, PlacementGroup, PlacementGroupState, PlacementStrategy, SchedulingStrategy, remote,
};

use crate::stage::{Meeting, alone_on, apart, eventually, hold_every_cpu};
use crate::support::{self, Gate, PATIENCE, Tally};

/// A group of bundles with one CPU each.
pub(crate) fn cpus(bundles: usize) -> PlacementGroup {
    ray::placement_group(vec![Bundle::new().num_cpus(1); bundles]).create().unwrap()
}

pub(crate) fn free_cpus() -> f64 {
    ray::available_resources().unwrap()["CPU"]
}

pub(crate) fn all_free() -> bool {
    ray::available_resources().unwrap() == ray::cluster_resources().unwrap()
}

pub(crate) fn capturing(group: &PlacementGroup) -> SchedulingStrategy {
    SchedulingStrategy::PlacementGroup { placement_group: group.clone(), bundle_index: None, capture_child_tasks: true }
}

/// The group in which the body runs, and its resources.
#[remote]
fn place() -> (Option<PlacementGroup>, f64) {
    (ray::get_current_placement_group(), ray::context().assigned_resources().num_cpus())
}

#[remote]
struct Member;

#[remote]
impl Member {
    pub fn new() -> Self {
        Member
    }

    pub fn place(&self) -> Option<PlacementGroup> {
        ray::context().placement_group().cloned()
    }

    /// Makes a call, which is captured if the actor's strategy says so.
    pub fn nested(&self) -> Option<PlacementGroup> {
        ray::get(place.remote()).unwrap().0
    }

    pub fn meet(&self, meeting: Meeting) {
        meeting.meet();
    }
}

/// A group has all of its resources or none, and waits until it has them.
#[test]
fn all_bundles_or_none() {
    alone_on(4, || {
        let gate = Gate::new();
        let first = cpus(2);
        assert_eq!(ray::get(first.ready()).unwrap(), first);
        assert_eq!(free_cpus(), 2.0);
        let second = cpus(3);
        assert!(!second.wait(Duration::from_millis(20)).unwrap());
        assert_eq!(free_cpus(), 2.0, "a group that waits holds nothing");
        let table = ray::placement_group_table().unwrap();
        assert_eq!(table[&second.id()].state, PlacementGroupState::Pending);
        assert_eq!(table[&first.id()].available.len(), 2);
        // A task in a group that waits for its resources waits, too.
        let waiting = place.options().scheduling_strategy(&second).remote();
        ray::remove_placement_group(&first).unwrap();
        assert!(second.wait(PATIENCE).unwrap());
        assert_eq!(ray::get(waiting).unwrap(), (Some(second.clone()), 1.0));
        eventually("the task has ended", || {
            ray::placement_group_table().unwrap()[&second.id()].available.iter().all(|free| free.num_cpus() == 1.0)
        });
        ray::remove_placement_group(&second).unwrap();
        eventually("all is free", all_free);
        assert!(ray::placement_group_table().unwrap().is_empty());
        gate.open();
    });
}

/// The work of a group takes its resources out of the bundles, and not out of the node's.
#[test]
fn bundles_have_resources_of_their_own() {
    alone_on(3, || {
        let group = cpus(2);
        let gate = Gate::new();
        // The other CPU of the node is busy.
        let held = hold_one(gate);
        assert_eq!(ray::get(place.options().scheduling_strategy(&group).remote()).unwrap().1, 1.0);
        let meeting = Meeting::of(2);
        let members: Vec<_> =
            (0..2).map(|at| crate::stage::meet.options().scheduling_strategy(group.bundle(at)).remote(meeting)).collect();
        ray::get(members).unwrap();
        let actors: Vec<_> =
            (0..2).map(|at| Member::options().num_cpus(1).scheduling_strategy(group.bundle(at)).remote()).collect();
        let meeting = Meeting::of(2);
        ray::get(actors.iter().map(|actor| actor.meet.remote(meeting)).collect::<Vec<_>>()).unwrap();
        assert_eq!(ray::get(actors[0].place.remote()).unwrap(), Some(group.clone()));
        // The actors have the CPUs of the bundles for life, and a task of the group waits for one of them.
        let waiting = place.options().scheduling_strategy(&group).remote();
        assert!(ray::get_timeout(&waiting, Duration::from_millis(20)).unwrap_err().is_timeout());
        drop(actors);
        ray::get(waiting).unwrap();
        gate.open();
        ray::get(held).unwrap();
        ray::remove_placement_group(&group).unwrap();
        eventually("all is free", all_free);
    });
}

#[remote]
fn hold(running: Tally, gate: Gate) {
    running.add();
    eventually("the gate opens", || gate.is_open());
}

/// A task that holds one CPU of the node until the gate opens.
fn hold_one(gate: Gate) -> ObjectRef<()> {
    let running = Tally::new();
    let held = hold.remote(running, gate);
    running.wait_for(1);
    held
}

/// Two groups that need the same resources get them one after the other, in the order in which they were made; a group that needs the
/// whole node is not overtaken for ever by small tasks.
#[test]
fn groups_wait_in_turn() {
    #[remote]
    fn short() {}
    alone_on(2, || {
        let groups: Vec<PlacementGroup> = (0..4).map(|_| cpus(2)).collect();
        for group in &groups {
            assert!(group.wait(PATIENCE).unwrap());
            let states =
                groups.iter().filter_map(|group| ray::placement_group_table().unwrap().get(&group.id()).map(|row| row.state));
            assert_eq!(states.filter(|state| *state == PlacementGroupState::Created).count(), 1);
            ray::remove_placement_group(group).unwrap();
        }
        // Small work keeps both CPUs busy.
        let gate = Gate::new();
        let held = hold_every_cpu(gate);
        let halves: Vec<_> = (0..4).map(|_| short.options().num_cpus(0.5).remote()).collect();
        let group = cpus(2);
        let more: Vec<_> =
            (0..200).map(|_| short.options().num_cpus(0.5).remote()).chain((0..200).map(|_| short.remote())).collect();
        gate.open();
        assert!(group.wait(PATIENCE).unwrap());
        ray::remove_placement_group(&group).unwrap();
        ray::get(held).unwrap();
        ray::get(halves).unwrap();
        ray::get(more).unwrap();
        eventually("all is free", all_free);
    });
}

/// A body of a one-CPU bundle that waits for a nested call lends its CPU to the bundle.
#[test]
fn nested_gets_in_a_bundle_of_one_cpu() {
    #[remote]
    fn depth(left: u32) -> u32 {
        if left == 0 { 0 } else { ray::get(depth.remote(left - 1)).unwrap() + 1 }
    }
    #[remote]
    async fn awaits(left: u32) -> u32 {
        depth.remote(left).await.unwrap()
    }
    alone_on(2, || {
        let group = cpus(1);
        let gate = Gate::new();
        // Only the bundle has a CPU.
        let held = hold_one(gate);
        assert_eq!(ray::get(depth.options().scheduling_strategy(capturing(&group)).remote(20)).unwrap(), 20);
        let several: Vec<_> = (0..8).map(|_| depth.options().scheduling_strategy(capturing(&group)).remote(5)).collect();
        assert_eq!(ray::get(several).unwrap(), [5; 8]);
        assert_eq!(ray::get(awaits.options().scheduling_strategy(capturing(&group)).remote(5)).unwrap(), 5);
        gate.open();
        ray::get(held).unwrap();
        ray::remove_placement_group(&group).unwrap();
        eventually("all is free", all_free);
    });
}

/// Calls in a body go to the group of the body if its strategy captures them, and they do not say otherwise.
#[test]
fn captured_calls() {
    #[remote]
    fn outer() -> Vec<Option<PlacementGroup>> {
        assert!(ray::context().should_capture_child_tasks_in_placement_group());
        let own = place.options().scheduling_strategy(SchedulingStrategy::Default).remote();
        let closure = ray::task(ray::get_current_placement_group).remote();
        let actor = Member::remote();
        let free = place.options().num_cpus(0).remote();
        let mut places = vec![ray::get(own).unwrap().0, ray::get(closure).unwrap(), ray::get(free).unwrap().0];
        places.extend(ray::get((actor.place.remote(), actor.nested.remote())).map(|(mine, nested)| [mine, nested]).unwrap());
        places
    }
    #[remote]
    fn too_large() -> String {
        let error = place.options().num_cpus(2).try_remote().unwrap_err();
        assert!(error.is_infeasible());
        error.to_string()
    }
    #[remote]
    fn uncaptured() -> Option<PlacementGroup> {
        ray::get(place.remote()).unwrap().0
    }
    alone_on(4, || {
        let group = cpus(2);
        let here = Some(group.clone());
        let places = ray::get(outer.options().scheduling_strategy(capturing(&group)).remote()).unwrap();
        assert_eq!(places, [None, here.clone(), here.clone(), here.clone(), here.clone()]);
        assert_eq!(ray::get(uncaptured.options().scheduling_strategy(&group).remote()).unwrap(), None);
        let member = Member::options().scheduling_strategy(&group).remote();
        assert_eq!(ray::get((member.place.remote(), member.nested.remote())).unwrap(), (here, None));
        let refused = ray::get(too_large.options().scheduling_strategy(capturing(&group)).remote()).unwrap();
        assert!(refused.contains("no bundle"), "{refused}");
        drop(member);
        ray::remove_placement_group(&group).unwrap();
        eventually("all is free", all_free);
    });
}

/// Names find groups, and are free again after a removal. A handle travels in arguments and values.
#[test]
fn names_and_handles() {
    #[remote]
    fn rename(group: PlacementGroup, list: Vec<PlacementGroup>) -> (PlacementGroup, bool) {
        (ray::get_placement_group("gang").unwrap(), list == [group])
    }
    alone_on(4, || {
        let make = || ray::placement_group([[("CPU", 1)]]).name("gang").lifetime(Lifetime::Detached).create();
        let group = make().unwrap();
        assert_eq!(ray::get(rename.remote(group.clone(), vec![group.clone()])).unwrap(), (group.clone(), true));
        assert_eq!(ray::get(ray::put(group.clone())).unwrap().bundle_specs(), group.bundle_specs());
        let taken = make().unwrap_err();
        assert!(taken.is_invalid_argument() && taken.to_string().contains("gang"), "{taken}");
        let unknown = ray::get_placement_group("gong").unwrap_err();
        assert!(unknown.is_invalid_argument() && unknown.to_string().contains("gang"), "{unknown}");
        let row = &ray::placement_group_table().unwrap()[&group.id()];
        assert_eq!((row.name.as_deref(), row.lifetime), (Some("gang"), Lifetime::Detached));
        ray::remove_placement_group(&group).unwrap();
        assert!(ray::get_placement_group("gang").unwrap_err().is_invalid_argument());
        let again = make().unwrap();
        assert_ne!(again, group);
        assert_eq!(HashSet::from([group.clone(), group, again.clone()]).len(), 2);
        // Without handles the group lives on.
        let id = again.id();
        drop(again);
        assert_eq!(ray::get_placement_group("gang").unwrap().id(), id);
    });
}

/// What a node cannot have is an error at once, and so are bundles without resources.
#[test]
fn bad_groups() {
    alone_on(2, || {
        let create = |bundles: Vec<Bundle>| ray::placement_group(bundles).create().unwrap_err();
        for wrong in [
            Bundle::new(),
            Bundle::new().num_cpus(0),
            Bundle::new().num_cpus(-1),
            Bundle::new().num_gpus(1.5),
            [("disk", 0)].into(),
        ] {
            let error = create(vec![Bundle::new().num_cpus(1), wrong]);
            assert!(error.is_invalid_argument(), "{error}");
        }
        assert!(create(vec![]).is_invalid_argument());
        let large = create(vec![Bundle::new().num_cpus(3)]);
        assert!(large.is_infeasible() && large.to_string().contains("CPU 3"), "{large}");
        let sum = create(vec![Bundle::new().num_cpus(1); 3]);
        assert!(sum.is_infeasible(), "{sum}");
        assert!(create(vec![Bundle::new().resource("disk", 1)]).is_infeasible());
        let spread = || ray::placement_group(vec![Bundle::new().num_cpus(1); 2]).strategy(PlacementStrategy::StrictSpread);
        let error = spread().create().unwrap_err();
        assert!(error.is_infeasible() && error.to_string().contains("one node"), "{error}");
        assert!(ray::placement_group([[("CPU", 1)]]).name("").create().unwrap_err().is_invalid_argument());
        for strategy in [PlacementStrategy::Pack, PlacementStrategy::Spread, PlacementStrategy::StrictPack] {
            let group = spread().strategy(strategy).create().unwrap();
            assert!(group.wait(PATIENCE).unwrap());
            ray::remove_placement_group(&group).unwrap();
        }
        assert!(all_free());
    });
}

/// A request that fits no bundle, and a bundle that does not exist, are errors of the call.
#[test]
fn bad_requests() {
    alone_on(3, || {
        let group = ray::placement_group([[("CPU", 1)], [("CPU", 2)]]).create().unwrap();
        let infeasible =
            |error: ray::Error, what: &str| assert!(error.is_infeasible() && error.to_string().contains(what), "{error}");
        infeasible(place.options().num_cpus(3).scheduling_strategy(&group).try_remote().unwrap_err(), "no bundle");
        infeasible(place.options().num_cpus(2).scheduling_strategy(group.bundle(0)).try_remote().unwrap_err(), "bundle 0");
        infeasible(ray::get(place.options().num_gpus(1).scheduling_strategy(&group).remote()).unwrap_err(), "GPU");
        infeasible(Member::options().num_cpus(3).scheduling_strategy(&group).try_remote().unwrap_err(), "`Member`");
        let error = place.options().scheduling_strategy(group.bundle(2)).try_remote().unwrap_err();
        assert!(error.is_invalid_argument() && error.to_string().contains("0 to 1"), "{error}");
        assert_eq!(ray::get(place.options().num_cpus(2).scheduling_strategy(&group).remote()).unwrap().1, 2.0);
        assert_eq!(ray::get(place.options().num_cpus(0.25).scheduling_strategy(group.bundle(0)).remote()).unwrap().1, 0.25);
    });
}

/// A shutdown ends groups that wait, and what waits in them. A handle of the former engine is refused.
#[test]
fn a_shutdown_ends_groups() {
    apart(|| {
        support::init_with(Config::new().num_cpus(1)).unwrap();
        let (first, second) = (cpus(1), cpus(1));
        let ready = second.ready();
        let task = place.options().scheduling_strategy(&second).remote();
        let member = Member::options().scheduling_strategy(&second).remote();
        let call = member.place.remote();
        let told = Tally::new();
        ready.on_ready(move || {
            told.add();
        });
        ray::shutdown().unwrap();
        assert!(ray::get(ready).unwrap_err().is_runtime_gone());
        assert!(ray::get(task).unwrap_err().is_runtime_gone());
        assert!(ray::get(call).unwrap_err().is_runtime_gone());
        told.wait_for(1);
        support::init_with(Config::new().num_cpus(1)).unwrap();
        assert!(first.wait(PATIENCE).unwrap_err().is_runtime_gone());
        assert!(ray::remove_placement_group(&first).unwrap_err().is_runtime_gone());
        assert!(place.options().scheduling_strategy(&first).try_remote().unwrap_err().is_runtime_gone());
        assert!(cpus(1).wait(PATIENCE).unwrap());
    });
}

/// A body that holds a lock over a get goes on, although another body of its bundle has the CPU and waits for the lock.
#[test]
fn a_lock_over_a_get_in_a_bundle() {
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    #[remote]
    fn locks(inside: Tally, gate: Gate) {
        inside.add();
        let _lock = LOCK.lock().unwrap();
        if inside.count() == 1 {
            ray::get(crate::stage::wait.options().num_cpus(0).remote(gate)).unwrap();
        }
    }
    alone_on(2, || {
        let group = cpus(1);
        let (inside, gate) = (Tally::new(), Gate::new());
        let both: Vec<_> = (0..2).map(|_| locks.options().scheduling_strategy(&group).remote(inside, gate)).collect();
        inside.wait_for(2);
        gate.open();
        ray::get(both).unwrap();
        ray::remove_placement_group(&group).unwrap();
        eventually("all is free", all_free);
    });
}

/// A body of the node that blocks gets an extra CPU also while a group has reserved the others.
#[test]
fn a_lock_over_a_get_beside_a_group() {
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    #[remote]
    fn locks(inside: Tally, gate: Gate) {
        inside.add();
        let _lock = LOCK.lock().unwrap();
        if inside.count() == 1 {
            ray::get(crate::stage::wait.options().num_cpus(0).remote(gate)).unwrap();
        }
    }
    alone_on(2, || {
        let group = cpus(1);
        assert!(group.wait(PATIENCE).unwrap());
        let (inside, gate) = (Tally::new(), Gate::new());
        let both: Vec<_> = (0..2).map(|_| locks.remote(inside, gate)).collect();
        inside.wait_for(2);
        gate.open();
        ray::get(both).unwrap();
    });
}
