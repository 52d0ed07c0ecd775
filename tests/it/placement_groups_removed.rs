//! The removal of placement groups: it ends their work, and their resources become free again.

use ray::{PlacementGroup, remote};

use crate::placement_groups::{all_free, capturing, cpus, free_cpus};
use crate::stage::{Token, alone_on, eventually, is_cancelled_by_now};
use crate::support::{Gate, Tally};

#[track_caller]
fn removed(error: &ray::Error, group: &PlacementGroup) {
    assert!(error.is_placement_group_removed() && error.to_string().contains(&group.id().to_string()), "{error:?}");
}

#[remote]
fn run(running: Tally, gate: Gate) -> bool {
    running.add();
    eventually("the gate opens", || gate.is_open());
    is_cancelled_by_now()
}

#[remote(max_restarts = -1)]
struct Member(#[allow(dead_code, reason = "it counts drops")] Token);

#[remote]
impl Member {
    pub fn new(dropped: Tally) -> Self {
        Member(Token(dropped))
    }

    pub fn run(&self, running: Tally, gate: Gate) {
        running.add();
        eventually("the gate opens", || gate.is_open());
    }

    pub fn crash(&self) {
        panic!("a bug");
    }

    pub fn nothing(&self) {}
}

/// Tasks that wait and tasks that run fail at once. A body that runs keeps its CPU until it ends; the rest is free at once.
#[test]
fn tasks_fail_and_bodies_keep_their_cpus() {
    alone_on(3, || {
        let group = cpus(3);
        let (running, gate, told) = (Tally::new(), Gate::new(), Tally::new());
        let runs = run.options().scheduling_strategy(&group).remote(running, gate);
        running.wait_for(1);
        let waits = run.options().num_cpus(1).scheduling_strategy(group.bundle(0)).remote(running, gate);
        let body = ray::task(move || {
            running.add();
            eventually("the body is told to stop", || ray::context().is_cancelled());
            told.add();
        });
        let stops = body.scheduling_strategy(group.bundle(1)).remote();
        running.wait_for(2);
        ray::remove_placement_group(&group).unwrap();
        for object in [runs.any(), waits.any(), stops.any()] {
            assert!(object.is_ready());
        }
        removed(&ray::get(runs).unwrap_err(), &group);
        removed(&ray::get(waits).unwrap_err(), &group);
        removed(&ray::get(stops).unwrap_err(), &group);
        told.wait_for(1);
        eventually("the CPUs without a body are free", || free_cpus() == 2.0);
        gate.open();
        eventually("all is free", all_free);
        // Once more changes nothing.
        ray::remove_placement_group(&group).unwrap();
        assert!(all_free() && running.count() == 2);
        removed(&ray::get(group.ready()).unwrap_err(), &group);
        removed(&group.wait(std::time::Duration::ZERO).unwrap_err(), &group);
    });
}

/// A group that waits can be removed, and what waits for it fails.
#[test]
fn a_group_that_waits() {
    alone_on(2, || {
        let (first, second) = (cpus(2), cpus(1));
        let ready = second.ready();
        let (dropped, running, gate) = (Tally::new(), Tally::new(), Gate::new());
        let task = run.options().scheduling_strategy(&second).remote(running, gate);
        let member = Member::options().scheduling_strategy(&second).remote(dropped);
        let call = member.nothing.remote();
        let waiter = std::thread::spawn({
            let group = second.clone();
            move || group.wait(crate::support::PATIENCE)
        });
        ray::remove_placement_group(&second).unwrap();
        removed(&waiter.join().unwrap().unwrap_err(), &second);
        removed(&ray::get(ready).unwrap_err(), &second);
        removed(&ray::get(task).unwrap_err(), &second);
        removed(&ray::get(call).unwrap_err(), &second);
        ray::remove_placement_group(&first).unwrap();
        assert!(all_free() && (dropped.count(), running.count()) == (0, 0));
    });
}

/// The actors of a removed group die, whatever their `max_restarts`. Their resources are free when their bodies have ended.
#[test]
fn actors_die() {
    alone_on(3, || {
        let group = cpus(2);
        let (dropped, running, gate) = (Tally::new(), Tally::new(), Gate::new());
        let make = |bundle| Member::options().num_cpus(1).scheduling_strategy(group.bundle(bundle)).remote(dropped);
        let (busy, idle) = (make(0), make(1));
        let waits = Member::options().num_cpus(1).scheduling_strategy(&group).remote(dropped);
        let call = busy.run.remote(running, gate);
        ray::get(idle.nothing.remote()).unwrap();
        running.wait_for(1);
        ray::remove_placement_group(&group).unwrap();
        let error = ray::get(call).unwrap_err();
        assert!(error.is_actor_died() && error.to_string().contains("placement group"), "{error}");
        assert!(ray::get(idle.nothing.remote()).unwrap_err().is_actor_died());
        removed(&ray::get(waits.nothing.remote()).unwrap_err(), &group);
        dropped.wait_for(1);
        eventually("the CPU of the idle actor is free", || free_cpus() == 2.0);
        gate.open();
        dropped.wait_for(2);
        eventually("all is free", all_free);
        ray::kill_and_restart(&busy).unwrap();
        assert!(ray::get(busy.nothing.remote()).unwrap_err().is_actor_died());
        assert!(ray::placement_group_table().unwrap().is_empty());
    });
}

/// Actors of a group are killed and restarted like others, and keep or give back what they hold.
#[test]
fn kills_and_restarts_in_a_group() {
    alone_on(1, || {
        let group = cpus(1);
        let dropped = Tally::new();
        let make = || Member::options().num_cpus(1).scheduling_strategy(&group).remote(dropped);
        let member = make();
        ray::get(member.nothing.remote()).unwrap();
        let _ = ray::get(member.crash.remote());
        ray::get(member.nothing.remote()).unwrap();
        ray::kill_and_restart(&member).unwrap();
        ray::get(member.nothing.remote()).unwrap();
        let waits = make();
        ray::kill(&member).unwrap();
        ray::get(waits.nothing.remote()).unwrap();
        let never = make();
        ray::kill(&never).unwrap();
        ray::kill(&waits).unwrap();
        let last = run.options().scheduling_strategy(&group).remote(Tally::new(), opened());
        assert!(!ray::get(last).unwrap());
        ray::remove_placement_group(&group).unwrap();
        eventually("all is free", all_free);
    });
}

fn opened() -> Gate {
    let gate = Gate::new();
    gate.open();
    gate
}

/// Bodies that wait in gets when their group is removed stop waiting, and take CPUs of the node to go on.
#[test]
fn bodies_that_wait() {
    #[remote]
    fn outer(running: Tally, gate: Gate, over: Tally) -> bool {
        let nested = run.remote(running, gate);
        let error = ray::get(nested).unwrap_err();
        over.add();
        error.is_placement_group_removed()
    }
    alone_on(1, || {
        let group = cpus(1);
        let (running, gate, over) = (Tally::new(), Gate::new(), Tally::new());
        let waits = outer.options().scheduling_strategy(capturing(&group)).remote(running, gate, over);
        running.wait_for(1);
        ray::remove_placement_group(&group).unwrap();
        removed(&ray::get(waits).unwrap_err(), &group);
        // The nested body has the only CPU.
        assert_eq!((over.count(), free_cpus()), (0, 0.0));
        gate.open();
        over.wait_for(1);
        eventually("all is free", all_free);
    });
}

/// A body of the group that makes calls after the removal gets the error of the group.
#[test]
fn calls_after_the_removal() {
    #[remote]
    fn late(running: Tally, gate: Gate, group: PlacementGroup, found: Tally) {
        running.add();
        eventually("the gate opens", || gate.is_open());
        let captured = run.try_remote(running, gate).unwrap_err();
        let explicit = run.options().scheduling_strategy(&group).try_remote(running, gate).unwrap_err();
        let actor = Member::try_remote(running).unwrap_err();
        if [captured, explicit, actor].iter().all(ray::Error::is_placement_group_removed) {
            found.add();
        }
    }
    alone_on(2, || {
        let group = cpus(2);
        let (running, gate, found) = (Tally::new(), Gate::new(), Tally::new());
        let object = late.options().scheduling_strategy(capturing(&group)).remote(running, gate, group.clone(), found);
        running.wait_for(1);
        ray::remove_placement_group(&group).unwrap();
        gate.open();
        found.wait_for(1);
        removed(&ray::get(object).unwrap_err(), &group);
        eventually("all is free", all_free);
    });
}

/// Removals beside submissions, cancels and kills of many threads: everything ends, and nothing is lost.
#[test]
fn removals_beside_other_work() {
    #[remote]
    fn nested(depth: u32) -> u32 {
        if depth == 0 { 1 } else { ray::get(nested.remote(depth - 1)).unwrap_or(0) }
    }
    alone_on(4, || {
        let drivers: Vec<_> = (0..3)
            .map(|number| {
                std::thread::spawn(move || {
                    for turn in 0..crate::support::calls(5, 60) {
                        let group = cpus(1 + (turn as usize + number) % 3);
                        let dropped = Tally::new();
                        let objects: Vec<_> =
                            (0..6).map(|depth| nested.options().scheduling_strategy(capturing(&group)).remote(depth)).collect();
                        let member = Member::options().num_cpus(1).scheduling_strategy(&group).remote(dropped);
                        let call = member.nothing.remote();
                        ray::cancel(&objects[turn as usize % 6]).unwrap();
                        if turn % 3 == 0 {
                            assert!(group.wait(crate::support::PATIENCE).unwrap());
                        }
                        if turn % 4 == 0 {
                            ray::kill(&member).unwrap();
                        }
                        ray::remove_placement_group(&group).unwrap();
                        let errors = ray::get_all_settled(objects);
                        assert!(
                            errors
                                .iter()
                                .filter_map(|result| result.as_ref().err())
                                .all(|error| { error.is_placement_group_removed() || error.is_cancelled() })
                        );
                        let _ = ray::get(call);
                    }
                })
            })
            .collect();
        drivers.into_iter().for_each(|driver| driver.join().unwrap());
        eventually("all is free", all_free);
        eventually("all groups are forgotten", || ray::placement_group_table().unwrap().is_empty());
    });
}
