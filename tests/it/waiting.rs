//! How blocked gets and waits end, and which work runs while they block.

use ray::{ObjectRef, remote};

use crate::stage::{Crowd, alone_on, apart, eventually, late};
use crate::support::{Gate, Tally};

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

fn hold(running: Tally, gate: Gate) -> ObjectRef<u64> {
    let body = move || {
        running.add();
        gate.wait();
        1
    };
    ray::task(body).num_cpus(0.0).remote()
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
    let one = object.clone();
    ray::task(move || end(ray::get(&one))).num_cpus(0.0).tell();
}
const GETTERS: u64 = 6;

/// The body runs while the gate is closed; each get must end before the gate opens.
#[test]
fn a_get_ends_with_the_cancel_of_a_running_task() {
    alone_on(2, || {
        let (running, gate, ended) = (Tally::new(), Gate::new(), Tally::new());
        let object = hold(running, gate);
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
        ray::kill(&host);
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
            ray::kill(&weak.upgrade().unwrap());
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
        let object = hold(running, gate);
        let one = object.clone();
        std::thread::spawn(move || {
            assert!(ray::get(&one).unwrap_err().is_runtime_gone());
            ended.add();
        });
        let one = object.clone();
        ray::task(move || {
            assert!(ray::get(&one).unwrap_err().is_runtime_gone());
            ended.add();
        })
        .num_cpus(0.0)
        .tell();
        running.wait_for(1);
        ray::shutdown().expect_err("the body still runs");
        ended.wait_for(1);
        gate.open();
    });
}

/// The wait also ends for an object that the body did not submit and that is not cancelled.
#[test]
fn a_wait_in_a_cancelled_body_ends() {
    type Wait = fn(&ObjectRef<u64>) -> ray::Result<()>;
    const WAITS: [Wait; 4] = [
        |object| ray::get(object).map(drop),
        |object| ray::get_timeout(object, crate::support::PATIENCE * 9).map(drop),
        |object| ray::get([object.clone(), object.clone()]).map(drop),
        |object| ray::wait(std::slice::from_ref(object), 1).map(drop),
    ];
    alone_on(2, || {
        let gate = Gate::new();
        let foreign = late(gate, 7u64);
        for wait in WAITS {
            let (running, ended) = (Tally::new(), Tally::new());
            let object = foreign.clone();
            let body = move || {
                running.add();
                assert!(wait(&object).unwrap_err().is_cancelled());
                ended.add();
            };
            let waiter = ray::task(body).remote();
            running.wait_for(1);
            ray::cancel(&waiter).unwrap();
            assert!(ray::get(waiter).unwrap_err().is_cancelled());
            ended.wait_for(1);
        }
        gate.open();
        assert_eq!(ray::get(foreign).unwrap(), 7);
    });
}

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
            ray::kill(&host);
            ended.wait_for(1 + u64::from(told));
        }
        gate.open();
    });
}

/// Bodies that sleep or compute get no extra CPU: the limit holds while other bodies wait.
#[test]
fn sleeping_and_computing_bodies_keep_the_cpu_limit() {
    static CROWD: Crowd = Crowd::new();
    alone_on(2, || {
        let body = |sleep: bool| {
            let inside = CROWD.enter();
            if sleep {
                std::thread::sleep(std::time::Duration::from_millis(40)); // body: it sleeps, and gets no extra CPU
            } else {
                let end = std::time::Instant::now() + std::time::Duration::from_millis(40);
                while std::time::Instant::now() < end {}
            }
            drop(inside);
            1u64
        };
        let parent = move || {
            let children: Vec<_> = (0..4).map(|at| ray::task(move || body(at % 2 == 0)).remote()).collect();
            ray::get(children).unwrap().into_iter().sum::<u64>()
        };
        let parents: Vec<_> = (0..4).map(|_| ray::task(parent).remote()).collect();
        assert_eq!(ray::get(parents).unwrap(), [4; 4]);
        assert_eq!(CROWD.most(), 2);
    });
}

/// A getter in a body waits for a new task while older tasks are queued: the awaited task goes first.
#[test]
fn awaited_work_goes_before_fresh_work() {
    alone_on(1, || {
        let order = crate::support::Words::new();
        let parent = move || {
            for at in 0..8 {
                ray::task(move || order.say(format!("fresh {at}"))).tell();
            }
            ray::get(ray::task(move || order.say("awaited")).remote()).unwrap();
        };
        let parent = ray::task(parent).remote();
        ray::get(parent).unwrap();
        eventually("all have run", || order.said().len() == 9);
        assert_eq!(order.said()[0], "awaited");
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
