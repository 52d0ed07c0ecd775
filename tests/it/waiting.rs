//! How blocked gets and waits end, and which work runs while they block.

use ray::{ObjectRef, remote};

use crate::cluster;
use crate::stage::{Crowd, alone_on, apart, eventually, late, on_cluster, shut_down_beside_a_body, wait_or_end};
use crate::support::{Gate, PATIENCE, Tally, Words, calls};

#[remote]
struct Host;

#[remote]
impl Host {
    pub fn new() -> Self {
        Host
    }
    pub fn hold(&self, running: Tally, gate: Gate) -> u64 {
        running.add();
        gate.wait();
        1
    }
    pub fn wait_for(&self, object: ObjectRef<u64>, running: Tally, ended: Tally) -> u64 {
        running.add();
        if ray::get(object).is_err_and(|error| error.is_actor_died()) {
            ended.add();
        }
        1
    }
}

#[remote(num_cpus = 0)]
fn hold(running: Tally, gate: Gate) -> u64 {
    running.add();
    wait_or_end(gate);
    1
}

#[remote(num_cpus = 0)]
fn get(object: ObjectRef<u64>, ended: Tally) {
    assert!(ray::get(object).is_err());
    ended.add();
}

/// Gets `object` in every way, each in a separate thread or body.
fn getters(object: &ObjectRef<u64>, ended: Tally) {
    let end = move |result: ray::Result<u64>| {
        assert!(result.is_err(), "{result:?}");
        ended.add();
    };
    let one = object.clone();
    std::thread::spawn(move || end(ray::get(&one)));
    let one = object.clone();
    std::thread::spawn(move || end(ray::get(vec![one.clone(), one]).map(|values| values[0])));
    let one = object.clone();
    std::thread::spawn(move || {
        let (ready, _) = ray::wait(&[one], 1).unwrap();
        end(ray::get(&ready[0]));
    });
    let one = object.clone();
    std::thread::spawn(move || end(one.view().map(|value| *value)));
    let one = object.clone();
    std::thread::spawn(move || end(futures::executor::block_on(one)));
    get.tell(object, ended);
}
const GETTERS: u64 = 6;

/// The body runs while the gate is closed; each get must end before the gate opens.
#[test]
fn a_get_ends_with_the_cancel_of_a_running_task() {
    alone_on(2, || {
        let (running, gate, ended) = (Tally::new(), Gate::new(), Tally::new());
        let object = hold.remote(running, gate);
        getters(&object, ended);
        running.wait_for(1);
        ray::cancel(&object).unwrap();
        ended.wait_for(GETTERS);
        gate.open();
    });
}

#[test]
fn a_get_ends_with_the_kill_of_a_running_actor() {
    alone_on(2, || {
        let (running, gate, ended) = (Tally::new(), Gate::new(), Tally::new());
        let host = Host::remote();
        let object = host.hold.remote(running, gate);
        getters(&object, ended);
        running.wait_for(1);
        ray::kill(&host).unwrap();
        ended.wait_for(GETTERS);
        gate.open();
    });
}

/// A call of the getter itself, which the getter could run on its own thread.
#[test]
fn a_get_of_the_callers_own_call_ends_with_the_kill() {
    alone_on(2, || {
        let (running, gate) = (Tally::new(), Gate::new());
        let host = Host::remote();
        let weak = host.downgrade();
        let killer = std::thread::spawn(move || {
            running.wait_for(1);
            ray::kill(&weak.upgrade().unwrap()).unwrap();
        });
        assert!(ray::get(host.hold.remote(running, gate)).unwrap_err().is_actor_died());
        killer.join().unwrap();
        gate.open();
    });
}

#[test]
fn a_get_ends_with_the_shutdown() {
    apart(|| {
        crate::support::init_with(ray::Config::new().num_cpus(2).shutdown_grace(std::time::Duration::ZERO)).unwrap();
        let (running, gate, ended) = (Tally::new(), Gate::new(), Tally::new());
        let object = hold.remote(running, gate);
        let one = object.clone();
        std::thread::spawn(move || {
            assert!(ray::get(&one).unwrap_err().is_runtime_gone());
            ended.add();
        });
        get.tell(&object, ended);
        running.wait_for(1);
        shut_down_beside_a_body();
        ended.wait_for(1);
        gate.open();
    });
}

#[remote]
fn waits(way: u32, object: ObjectRef<u64>, running: Tally, ended: Tally) {
    running.add();
    let waited = match way {
        0 => ray::get(&object).map(drop),
        1 => ray::get_timeout(&object, PATIENCE * 9).map(drop),
        2 => ray::get([object.clone(), object]).map(drop),
        _ => ray::wait(&[object], 1).map(drop),
    };
    assert!(waited.unwrap_err().is_cancelled());
    ended.add();
}

/// The wait also ends for an object that the body did not submit and that is not cancelled.
#[test]
fn a_wait_in_a_cancelled_body_ends() {
    alone_on(2, || {
        let gate = Gate::new();
        let foreign = late(gate, 7u64);
        for way in 0..4 {
            let (running, ended) = (Tally::new(), Tally::new());
            let waiter = waits.remote(way, &foreign, running, ended);
            running.wait_for(1);
            ray::cancel(&waiter).unwrap();
            assert!(ray::get(waiter).unwrap_err().is_cancelled());
            ended.wait_for(1);
        }
        gate.open();
        assert_eq!(ray::get(foreign).unwrap(), 7);
    });
}

/// On a cluster it ends with the process.
#[test]
fn a_wait_in_a_killed_actor_ends() {
    alone_on(2, || {
        let (gate, running, ended) = (Gate::new(), Tally::new(), Tally::new());
        let foreign = late(gate, 7u64);
        for told in [false, true] {
            let host = Host::remote();
            if told {
                host.wait_for.tell(&foreign, running, ended);
            } else {
                drop(host.wait_for.remote(&foreign, running, ended));
            }
            running.wait_for(1 + u64::from(told));
            ray::kill(&host).unwrap();
            if cluster::wanted() {
                eventually("the actor is dead", || {
                    ray::get(host.hold.remote(running, gate)).is_err_and(|error| error.is_actor_died())
                });
                assert_eq!(ended.count(), 0, "the body does not go on");
            } else {
                ended.wait_for(1 + u64::from(told));
            }
        }
        gate.open();
    });
}

/// Bodies that sleep or compute get no extra CPU: the limit holds while other bodies wait.
#[test]
fn sleeping_and_computing_bodies_keep_the_cpu_limit() {
    static CROWD: Crowd = Crowd::new();
    #[remote]
    fn works(sleep: bool) -> u64 {
        let inside = CROWD.enter();
        if sleep {
            std::thread::sleep(std::time::Duration::from_millis(40)); // body: it sleeps, and gets no extra CPU
        } else {
            let end = std::time::Instant::now() + std::time::Duration::from_millis(40);
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
    alone_on(2, || {
        let parents: Vec<_> = (0..calls(2, 4)).map(|_| parent_of_four.remote()).collect();
        assert!(ray::get(parents).unwrap().iter().all(|sum| *sum == 4));
        // On a cluster the short bodies need not meet.
        assert!(if on_cluster() { CROWD.most() <= 2 } else { CROWD.most() == 2 }, "{} at once", CROWD.most());
    });
}

/// A getter in a body waits for a new task while older tasks are queued: the awaited task goes first. On a cluster both run as well,
/// in any order.
#[test]
fn awaited_work_goes_before_fresh_work() {
    #[remote]
    fn say(order: Words, word: &str) {
        order.say(word);
    }
    #[remote]
    fn parent_of_nine(order: Words) {
        for at in 0..8 {
            say.tell(order, format!("fresh {at}"));
        }
        ray::get(say.remote(order, "awaited".to_owned())).unwrap();
    }
    alone_on(1, || {
        let order = Words::new();
        ray::get(parent_of_nine.remote(order)).unwrap();
        assert!(order.said().contains(&"awaited".to_owned()));
        eventually("all have run", || order.said().len() == 9);
        assert!(cluster::wanted() || order.said()[0] == "awaited", "{:?}", order.said());
    });
}

#[remote(local)]
fn turns(gate: Option<(Tally, Gate)>) -> std::thread::ThreadId {
    if let Some((running, gate)) = gate {
        running.add();
        gate.wait();
    }
    std::thread::current().id()
}

/// The first long body of a definition holds the thread of its getter; no further getter runs that definition.
#[test]
fn a_definition_is_barred_while_its_first_long_body_runs() {
    alone_on(4, || {
        let own = std::thread::current().id();
        let here = || ray::get(turns.remote(None)).unwrap() == own;
        eventually("bodies run here", here);
        let (running, gate) = (Tally::new(), Gate::new());
        let held = std::thread::spawn(move || ray::get(turns.remote(Some((running, gate)))).unwrap());
        running.wait_for(1);
        eventually("bodies run elsewhere", || (0..10).all(|_| !here()));
        gate.open();
        held.join().unwrap();
    });
}
