//! How waits end, and which work goes on meanwhile: cancelled and killed waits, locks held over gets, blocked bodies.

use std::sync::{Mutex, OnceLock};

use ray::{ActorHandle, ObjectRef, remote};

use crate::stage::{Crowd, alone, alone_on, eventually, late};
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

/// The ways to get one object, each on a thread of its own, from where a get can be made.
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

/// The body goes on for as long as the gate is closed; each get must end before.
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

/// The getter's own call, which it would otherwise have run itself.
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
    alone(|| {
        ray::init_with(ray::Config::new().num_cpus(2).shutdown_grace(std::time::Duration::ZERO)).unwrap();
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
        ray::shutdown().expect_err("the holder goes on");
        ended.wait_for(1);
        gate.open();
    });
}

/// Also for an object that the body did not submit, which nobody cancels.
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

#[remote]
fn child(x: u64) -> u64 {
    x
}

#[remote]
async fn async_child(x: u64) -> u64 {
    x
}

#[remote]
struct Child;

#[remote]
impl Child {
    pub fn new() -> Self {
        Child
    }
    pub fn give(&self, x: u64) -> u64 {
        x
    }
}

static LOCK: Mutex<u64> = Mutex::new(0);

type Over = fn(&ActorHandle<Child>) -> u64;

/// Bodies that hold a lock over a get, all at once.
fn locks_over_gets(over: Over) {
    let host = Child::remote();
    for _ in 0..6 {
        let calls: Vec<_> = (0..16)
            .map(|_| {
                let host = host.clone();
                ray::task(move || {
                    let mut sum = LOCK.lock().unwrap();
                    *sum += over(&host);
                    *sum
                })
                .remote()
            })
            .collect();
        assert_eq!(ray::get(calls).unwrap().len(), 16);
    }
    assert_eq!(*LOCK.lock().unwrap(), 6 * 16 * 2);
}

fn two_tasks(_: &ActorHandle<Child>) -> u64 {
    ray::get([child.remote(1), child.remote(1)]).unwrap().into_iter().sum()
}

fn a_wait_for_two_tasks(_: &ActorHandle<Child>) -> u64 {
    let (ready, _) = ray::wait(&[child.remote(1), child.remote(1)], 2).unwrap();
    ray::get(ready).unwrap().into_iter().sum()
}

fn two_tasks_as_completed(_: &ActorHandle<Child>) -> u64 {
    ray::as_completed(vec![child.remote(1), child.remote(1)]).map(|object| ray::get(object).unwrap()).sum()
}

/// The awaited task cannot begin before its arguments are there.
fn a_chain(_: &ActorHandle<Child>) -> u64 {
    ray::get(child.remote(child.remote(child.remote(2)))).unwrap()
}

fn a_chain_as_completed(_: &ActorHandle<Child>) -> u64 {
    ray::as_completed(vec![child.remote(child.remote(2))]).map(|object| ray::get(object).unwrap()).sum()
}

#[remote]
async fn async_parent() -> u64 {
    child.remote(1).await.unwrap() + async_child.remote(1).await.unwrap()
}

/// The work that blocks the rest stands behind an async body, or behind an actor's earlier call.
fn an_async_parent(_: &ActorHandle<Child>) -> u64 {
    ray::get(async_parent.remote()).unwrap()
}

fn a_call_behind_another(host: &ActorHandle<Child>) -> u64 {
    host.give.tell(child.remote(1));
    ray::get(host.give.remote(2)).unwrap()
}

fn an_async_task(_: &ActorHandle<Child>) -> u64 {
    ray::get(async_child.remote(2)).unwrap()
}

fn a_call(host: &ActorHandle<Child>) -> u64 {
    ray::get(host.give.remote(2)).unwrap()
}

#[test]
fn a_lock_over_a_get_of_two_tasks_on_one_cpu() {
    alone_on(1, || locks_over_gets(two_tasks));
}

#[test]
fn a_lock_over_a_get_of_two_tasks_on_two_cpus() {
    alone_on(2, || locks_over_gets(two_tasks));
}

#[test]
fn a_lock_over_a_get_of_two_tasks_on_eight_cpus() {
    alone_on(8, || locks_over_gets(two_tasks));
}

#[test]
fn a_lock_over_a_get_of_a_chain_on_one_cpu() {
    alone_on(1, || locks_over_gets(a_chain));
}

#[test]
fn a_lock_over_a_get_of_a_chain_on_two_cpus() {
    alone_on(2, || locks_over_gets(a_chain));
}

#[test]
fn a_lock_over_a_chain_as_completed() {
    alone_on(2, || locks_over_gets(a_chain_as_completed));
}

#[test]
fn a_lock_over_a_get_of_an_async_parent() {
    alone_on(2, || locks_over_gets(an_async_parent));
}

#[test]
fn a_lock_over_a_get_behind_another_call() {
    alone_on(2, || locks_over_gets(a_call_behind_another));
}

#[test]
fn a_lock_over_a_wait() {
    alone_on(2, || locks_over_gets(a_wait_for_two_tasks));
}

#[test]
fn a_lock_over_as_completed() {
    alone_on(1, || locks_over_gets(two_tasks_as_completed));
}

#[test]
fn a_lock_over_a_get_of_an_async_task() {
    alone_on(2, || locks_over_gets(an_async_task));
}

#[test]
fn a_lock_over_a_get_of_an_actors_call() {
    alone_on(2, || locks_over_gets(a_call));
}

fn initialisers_that_get() {
    static ONCE: OnceLock<u64> = OnceLock::new();
    let read = || *ONCE.get_or_init(|| ray::get([child.remote(3), child.remote(4)]).unwrap().into_iter().sum());
    let readers: Vec<_> = (0..16).map(|_| ray::task(read).remote()).collect();
    assert_eq!(ray::get(readers).unwrap(), [7; 16]);
}

#[test]
fn an_initialiser_that_gets_on_one_cpu() {
    alone_on(1, || {
        initialisers_that_get();
    });
}

#[test]
fn an_initialiser_that_gets_on_two_cpus() {
    alone_on(2, || {
        initialisers_that_get();
    });
}

#[test]
fn an_initialiser_that_gets_on_eight_cpus() {
    alone_on(8, || {
        initialisers_that_get();
    });
}

/// A body that waits in the operating system for threads that get.
fn blocked_bodies(count: usize, body: fn() -> u64) {
    let bodies: Vec<_> = (0..count).map(|_| ray::task(body).remote()).collect();
    assert_eq!(ray::get(bodies).unwrap(), vec![10; count]);
}

fn joins_threads() -> u64 {
    let threads: Vec<_> = (1..=4).map(|x| std::thread::spawn(move || ray::get(child.remote(x)).unwrap())).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

fn blocks_on_awaits() -> u64 {
    futures::executor::block_on(async {
        let mut sum = 0;
        for x in 1..=4 {
            sum += child.remote(x).await.unwrap();
        }
        sum
    })
}

fn joins_threads_that_block_on_awaits() -> u64 {
    let awaits = |x| std::thread::spawn(move || futures::executor::block_on(child.remote(x)).unwrap());
    let threads: Vec<_> = (1..=4).map(awaits).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

fn joins_threads_that_wait() -> u64 {
    let waits = |x| {
        std::thread::spawn(move || {
            let (ready, _) = ray::wait(&[child.remote(x), async_child.remote(x)], 2).unwrap();
            ray::get(ready).unwrap()[0]
        })
    };
    let threads: Vec<_> = (1..=4).map(waits).collect();
    threads.into_iter().map(|thread| thread.join().unwrap()).sum()
}

#[test]
fn a_body_that_joins_threads_that_block_on_awaits() {
    alone_on(2, || blocked_bodies(3, joins_threads_that_block_on_awaits));
}

#[test]
fn a_body_that_joins_threads_that_wait() {
    alone_on(1, || blocked_bodies(2, joins_threads_that_wait));
}

fn loops_with_rayon() -> u64 {
    use rayon::prelude::*;
    (0..40u64).into_par_iter().map(|x| ray::get(child.remote(x % 2)).unwrap()).sum::<u64>() / 2
}

#[test]
fn a_body_that_loops_with_rayon_on_one_cpu() {
    alone_on(1, || blocked_bodies(2, loops_with_rayon));
}

#[test]
fn a_body_that_loops_with_rayon_on_two_cpus() {
    alone_on(2, || blocked_bodies(3, loops_with_rayon));
}

#[test]
fn a_body_that_joins_threads_on_one_cpu() {
    alone_on(1, || blocked_bodies(2, joins_threads));
}

#[test]
fn a_body_that_joins_threads_on_two_cpus() {
    alone_on(2, || blocked_bodies(3, joins_threads));
}

#[test]
fn a_body_that_joins_threads_on_eight_cpus() {
    alone_on(8, || blocked_bodies(9, joins_threads));
}

#[test]
fn a_body_that_blocks_on_awaits_on_one_cpu() {
    alone_on(1, || blocked_bodies(2, blocks_on_awaits));
}

#[test]
fn a_body_that_blocks_on_awaits_on_two_cpus() {
    alone_on(2, || blocked_bodies(3, blocks_on_awaits));
}

/// Bodies that sleep or compute are not stuck: the limit holds while others wait for work.
#[test]
fn sleepers_keep_the_limit() {
    static CROWD: Crowd = Crowd::new();
    alone_on(2, || {
        let body = |sleep: bool| {
            let inside = CROWD.enter();
            if sleep {
                std::thread::sleep(std::time::Duration::from_millis(40)); // body: it sleeps, and is not stuck
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

/// A getter in a body waits for a fresh task while older ones wait too: its own goes first.
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

/// One getter's thread is held by the first long body; no second one is.
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
