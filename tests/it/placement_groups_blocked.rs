//! Bodies of a placement group that block in the operating system while the work that they wait for needs a CPU of the same bundle.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use ray::{PlacementGroup, remote};

use crate::placement_groups::capturing;
use crate::stage::{Crowd, alone_on, eventually};
use crate::support::{Gate, Tally, calls};

#[remote]
fn child(x: u64) -> u64 {
    x
}

/// A body joins a plain thread that gets a child.
#[remote]
fn joins_a_thread() -> u64 {
    let object = child.remote(10);
    std::thread::spawn(move || ray::get(object).unwrap()).join().unwrap()
}

/// A body joins threads that make calls of the group themselves.
#[remote]
fn joins_threads_that_call(group: PlacementGroup) -> u64 {
    let calls = |x| {
        let group = group.clone();
        std::thread::spawn(move || ray::get(child.options().scheduling_strategy(&group).remote(x)).unwrap())
    };
    let threads: Vec<_> = (1..=4).map(calls).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

#[remote]
fn blocks_on_awaits() -> u64 {
    futures::executor::block_on(async {
        let mut sum = 0;
        for x in 1..=4 {
            sum += child.remote(x).await.unwrap();
        }
        sum
    })
}

#[remote]
fn blocks_on_the_await_of_a_chain() -> u64 {
    futures::executor::block_on(child.remote(child.remote(child.remote(10)))).unwrap()
}

static LOCK: Mutex<()> = Mutex::new(());

fn lock() -> MutexGuard<'static, ()> {
    LOCK.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[remote]
fn locks_over_a_get() -> u64 {
    let _lock = lock();
    ray::get([child.remote(4), child.remote(6)]).unwrap().into_iter().sum()
}

#[remote]
fn locks_over_a_join() -> u64 {
    let _lock = lock();
    let object = child.remote(10);
    std::thread::spawn(move || ray::get(object).unwrap()).join().unwrap()
}

/// Makes calls in a bundle of one CPU, while the other CPUs of the node idle.
fn in_a_bundle_of_one_cpu(make: impl Fn(&PlacementGroup) -> ray::ObjectRef<u64>) {
    let group = ray::placement_group([[("CPU", 1)]]).create().unwrap();
    for count in [1, calls(3, 8)] {
        let bodies: Vec<_> = (0..count).map(|_| make(&group)).collect();
        assert_eq!(ray::get(bodies).unwrap(), vec![10; count]);
    }
    ray::remove_placement_group(&group).unwrap();
    eventually("all is free", || ray::available_resources().unwrap() == ray::cluster_resources().unwrap());
}

#[test]
fn a_body_that_joins_a_thread() {
    alone_on(2, || {
        in_a_bundle_of_one_cpu(|group| joins_a_thread.options().scheduling_strategy(capturing(group)).remote());
    });
}

#[test]
fn a_body_that_joins_threads_that_call() {
    alone_on(2, || {
        in_a_bundle_of_one_cpu(|group| joins_threads_that_call.options().scheduling_strategy(group).remote(group.clone()));
    });
}

#[test]
fn a_body_that_blocks_on_awaits() {
    alone_on(2, || {
        in_a_bundle_of_one_cpu(|group| blocks_on_awaits.options().scheduling_strategy(capturing(group)).remote());
        in_a_bundle_of_one_cpu(|group| blocks_on_the_await_of_a_chain.options().scheduling_strategy(capturing(group)).remote());
    });
}

#[test]
fn a_lock_over_a_get() {
    alone_on(2, || {
        in_a_bundle_of_one_cpu(|group| locks_over_a_get.options().scheduling_strategy(capturing(group)).remote());
        in_a_bundle_of_one_cpu(|group| locks_over_a_join.options().scheduling_strategy(capturing(group)).remote());
    });
}

/// The group has the only CPU of the node.
#[test]
fn a_group_of_the_whole_node() {
    alone_on(1, || {
        in_a_bundle_of_one_cpu(|group| joins_a_thread.options().scheduling_strategy(capturing(group)).remote());
        in_a_bundle_of_one_cpu(|group| locks_over_a_join.options().scheduling_strategy(capturing(group)).remote());
    });
}

/// While a group has reserved every CPU, a task of the node waits for the removal, however long a thread waits for the task.
#[test]
fn a_group_keeps_its_cpus_from_the_node() {
    // Longer than the time after which a getter outside of bodies may have an extra CPU.
    const LONG: Duration = Duration::from_secs(1);
    alone_on(1, || {
        let group = ray::placement_group([[("CPU", 1)]]).create().unwrap();
        assert!(group.wait(crate::support::PATIENCE).unwrap());
        let outside = child.remote(1);
        assert!(ray::get_timeout(&outside, LONG).unwrap_err().is_timeout());
        ray::remove_placement_group(&group).unwrap();
        assert_eq!(ray::get(outside).unwrap(), 1);
    });
}

/// A body that blocks while its group is removed: its thread has the error, the body ends, and all is free.
#[test]
fn a_removal_beside_an_extra_cpu() {
    #[remote]
    fn holds(running: Tally, gate: Gate) {
        running.add();
        eventually("the gate opens", || gate.is_open());
    }
    #[remote]
    fn joins(running: Tally, gate: Gate, removed: Tally) {
        let object = holds.remote(running, gate);
        std::thread::spawn(move || {
            if ray::get(object).unwrap_err().is_placement_group_removed() {
                removed.add();
            }
        })
        .join()
        .unwrap();
    }
    alone_on(1, || {
        let group = ray::placement_group([[("CPU", 1)]]).create().unwrap();
        let (running, gate, removed) = (Tally::new(), Gate::new(), Tally::new());
        let object = joins.options().scheduling_strategy(capturing(&group)).remote(running, gate, removed);
        running.wait_for(1);
        ray::remove_placement_group(&group).unwrap();
        removed.wait_for(1);
        assert!(ray::get(object).unwrap_err().is_placement_group_removed());
        gate.open();
        eventually("all is free", || ray::available_resources().unwrap() == ray::cluster_resources().unwrap());
        assert_eq!(ray::get(child.remote(1)).unwrap(), 1);
    });
}

/// Bodies that sleep or compute get no extra CPU: the limit of the bundle holds while others wait.
#[test]
fn sleeping_and_computing_bodies_keep_the_limit_of_a_bundle() {
    static CROWD: Crowd = Crowd::new();
    const LONG: Duration = Duration::from_millis(40);
    #[remote]
    fn works(sleep: bool) -> u64 {
        let inside = CROWD.enter();
        if sleep {
            std::thread::sleep(LONG); // body: it sleeps, and gets no extra CPU
        } else {
            let end = std::time::Instant::now() + LONG;
            while std::time::Instant::now() < end {}
        }
        drop(inside);
        1
    }
    #[remote]
    fn parent_of_four() -> u64 {
        let children: Vec<_> = (0..4).map(|at| works.remote(at % 2 == 0)).collect();
        ray::get(children).unwrap().into_iter().sum()
    }
    alone_on(3, || {
        let group = ray::placement_group([[("CPU", 2)]]).create().unwrap();
        let parents: Vec<_> =
            (0..calls(2, 4)).map(|_| parent_of_four.options().scheduling_strategy(capturing(&group)).remote()).collect();
        assert!(ray::get(parents).unwrap().iter().all(|sum| *sum == 4));
        assert_eq!(CROWD.most(), 2);
    });
}
