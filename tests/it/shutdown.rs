//! The effects of a shutdown on running and queued work, and engines that are started afterwards.

use std::time::Duration;

type Getter = fn(&ObjectRef<u64>, &ObjectRef<u64>) -> ray::Result<u64>;

use ray::{ActorHandle, Config, ErrorKind, ObjectRef, remote};

use crate::cluster;
use crate::stage::{Meeting, Token, alone, apart, eventually, late, shut_down_beside_a_body};
use crate::support::{ChildOutput, Gate, Tally, calls, resident};

#[remote(num_cpus = 0)]
fn long_body(running: Tally, gate: Gate) -> u64 {
    running.add();
    gate.wait();
    1
}

#[remote]
struct Worker {
    #[allow(dead_code, reason = "the test observes its drop")]
    token: Token,
}

#[remote]
impl Worker {
    pub fn new(dropped: Tally) -> Self {
        Worker { token: Token(dropped) }
    }
    pub fn long_call(&mut self, running: Tally, gate: Gate) -> u64 {
        running.add();
        gate.wait();
        1
    }
    pub fn call(&self) -> u64 {
        1
    }
}

#[remote]
async fn wait_async(running: Tally, gate: Gate, dropped: Tally) -> u64 {
    let _token = Token(dropped);
    running.add();
    gate.opened().await;
    1
}

fn start(cpus: usize, grace: Duration) {
    crate::support::init_with(Config::new().num_cpus(cpus).shutdown_grace(grace)).unwrap();
}

/// It looks at the gate again and again: while it blocked, the monitor thread would grant an extra CPU to a queued task.
#[remote]
fn hold(running: Tally, gate: Gate) -> u64 {
    running.add();
    eventually("the gate opens", || gate.is_open());
    1
}

#[remote]
fn one() -> u64 {
    1
}

fn is_gone<T>(result: ray::Result<T>) -> bool {
    result.is_err_and(|error| error.kind() == ErrorKind::RuntimeGone)
}

/// A shutdown settles all objects at once, for every way of waiting; its error names the bodies that still run.
#[test]
fn a_shutdown_settles_everything() {
    let said: ChildOutput = apart(|| {
        start(1, Duration::from_millis(20));
        let (running, gate, dropped) = (Tally::new(), Gate::new(), Tally::new());
        let worker = Worker::remote(dropped);
        let runs = vec![
            long_body.remote(running, gate),
            worker.long_call.remote(running, gate),
            wait_async.remote(running, gate, dropped),
        ];
        running.wait_for(3);
        let mut objects = runs.clone();
        objects.push(hold.options().name("holder").remote(running, gate));
        running.wait_for(4);
        let captured = Tally::new();
        objects.push(if cluster::wanted() {
            captured.add();
            one.remote()
        } else {
            let token = Token(captured);
            let queued = ray::task(move || {
                drop(token);
                1
            });
            queued.remote()
        });
        objects.extend([
            worker.call.remote(),
            long_body.remote(running, late(gate, gate)),
            long_body.options().num_cpus(1.0).remote(running, gate),
            Worker::remote(late(gate, dropped)).call.remote(),
            wait_async.remote(running, late(gate, gate), dropped),
            ray::put(1),
        ]);
        let (open, put) = (&objects[..objects.len() - 1], objects.last().unwrap());
        // Put before the shutdown: a `put` after it would start another engine.
        let beside = &ray::put(1);
        let waiting = Tally::new();
        std::thread::scope(|scope| {
            for (at, object) in open.iter().enumerate() {
                let getters: [Getter; 6] = [
                    |object, _| ray::get(object),
                    |object, _| ray::get_timeout(object, Duration::from_secs(50)),
                    |object, beside| ray::get(vec![beside.clone(), object.clone()]).map(|all| all[1]),
                    |object, _| ray::wait(std::slice::from_ref(object), 1).map(|(ready, _)| ready.len() as u64),
                    |object, _| object.view().map(|value| *value),
                    |object, _| futures::executor::block_on(object.clone()),
                ];
                for (way, get) in getters.into_iter().enumerate() {
                    scope.spawn(move || {
                        waiting.add();
                        // An object of a former engine counts as ready for a `wait`; a get of it is the error.
                        match get(object, beside) {
                            Err(error) => assert!(error.is_runtime_gone(), "object {at} got in way {way}: {error}"),
                            Ok(ready) => assert_eq!((way, ready), (3, 1), "object {at}"),
                        }
                    });
                }
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    waiting.add();
                    assert!(is_gone(runtime.block_on(object.clone())));
                });
            }
            waiting.wait_for(7 * open.len() as u64);
            assert!(open.iter().all(|object| !object.is_ready()));
            if cluster::wanted() {
                return shut_down_beside_a_body();
            }
            let left = ray::shutdown().unwrap_err();
            assert!(left.is_timeout(), "{left}");
            let left = left.to_string();
            for name in ["long_body", "long_call", "shutdown.rs:", "still run"] {
                assert!(left.contains(name), "{name} in: {left}");
            }
            assert!(!left.contains("wait_async"), "async bodies are dropped: {left}");
        });
        assert!(!ray::is_initialized());
        assert!(is_gone(ray::get(put)) && is_gone(ray::get(&runs)));
        captured.wait_for(1);
        if cluster::wanted() {
            // The processes of the bodies have ended.
            gate.open();
            return;
        }
        dropped.wait_for(1);
        assert!(!gate.is_open(), "all checks ran before any body ended");
        gate.open();
        dropped.wait_for(2);
    });
    assert!(!said.stderr.contains("still run"), "bodies that the error names are not logged as well:\n{}", said.stderr);
}

/// A shutdown waits a grace period for running bodies: those that check `is_cancelled` end in it.
#[test]
fn bodies_that_check_for_cancellation_end_in_the_grace_period() {
    let said = alone(|| {
        start(2, Duration::from_secs(50));
        let (running, ended) = (Tally::new(), Tally::new());
        let listen = move || {
            running.add();
            while !ray::context().is_cancelled() {
                std::thread::yield_now();
            }
            Token(ended)
        };
        let object = ray::task(listen).remote();
        let worker = Worker::remote(ended);
        let call = worker.with(move |_| drop(listen()));
        running.wait_for(2);
        ray::shutdown().unwrap();
        assert!(ended.count() >= 1, "the call ended before the shutdown returned");
        assert!(object.view().is_err());
        drop(object);
        assert!(ended.count() >= 2, "the task ended before the shutdown returned");
        assert!(is_gone(ray::get(call)));
        drop(worker);
        ended.wait_for(3);
    });
    assert!(!said.stderr.contains("still run"), "{}", said.stderr);
}

/// In a body that outlives its engine every call is an error, also when another engine runs by then.
#[test]
fn a_body_that_outlives_its_engine() {
    alone(|| {
        start(2, Duration::ZERO);
        let (running, gate, told, dropped) = (Tally::new(), Gate::new(), Tally::new(), Tally::new());
        let before = ray::put(1u64);
        let worker = Worker::remote(dropped);
        ray::get(worker.ready()).unwrap();
        let outlive = {
            let (before, worker) = (before.clone(), worker.clone());
            move || {
                running.add();
                gate.wait();
                let answers = [
                    is_gone(ray::get(&before)),
                    is_gone(ray::get(ray::put(2u64))),
                    is_gone(ray::get(ray::task(|| 3u64).remote())),
                    is_gone(ray::get(worker.call.remote())),
                    is_gone(ray::get(Worker::remote(dropped).call.remote())),
                    is_gone(ray::wait(std::slice::from_ref(&before), 1)),
                    ray::context().is_cancelled(),
                ];
                assert_eq!(answers, [true; 7]);
                told.add();
            }
        };
        let object = ray::task(outlive).remote();
        running.wait_for(1);
        assert!(ray::shutdown().unwrap_err().is_timeout());
        start(1, Duration::ZERO);
        assert_eq!(ray::get(crate::stage::give.remote(7)).unwrap(), 7);
        gate.open();
        told.wait_for(1);
        assert!(is_gone(ray::get(object)) && is_gone(ray::get(worker.call.remote())) && is_gone(ray::get(before)));
        assert_eq!(ray::get(crate::stage::give.remote(8)).unwrap(), 8);
        eventually("the CPU is free again", || ray::available_resources().unwrap()["CPU"] == 1.0);
        drop(worker);
        dropped.wait_for(1);
    });
}

/// The engine can be started again many times. References of former engines stay errors, and threads do not accumulate.
#[test]
fn the_engine_starts_fifty_times() {
    apart(|| {
        let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let dropped = Tally::new();
        let mut former: Option<(ObjectRef<u64>, ActorHandle<Worker>)> = None;
        for round in 1..=calls(2, 50u64) {
            start(2, Duration::from_secs(5));
            if let Some((object, worker)) = &former {
                assert!(is_gone(ray::get(object)) && is_gone(ray::get(worker.call.remote())));
                let chained: ObjectRef<u64> = crate::stage::give_u64.remote(1);
                assert!(is_gone(ray::get([object.clone(), chained])));
                assert!(worker.call.try_remote().is_err_and(|error| error.is_runtime_gone()));
            }
            let worker = Worker::options().name("the one").remote(dropped);
            assert_eq!(ray::get(worker.call.remote()).unwrap(), 1);
            let meeting = Meeting::of(4);
            ray::get((0..4).map(|_| crate::stage::meet.options().num_cpus(0.0).remote(meeting)).collect::<Vec<_>>()).unwrap();
            former = Some((crate::stage::give_u64.remote(round), worker));
            ray::shutdown().unwrap();
        }
        drop(former);
        if !cluster::wanted() {
            // On a cluster the state of the actor ends with its process, and the harness has threads of its own.
            dropped.wait_for(50);
            eventually("the threads of former engines are gone", || threads() <= 4);
        }
        assert!(ray::shutdown().is_ok(), "a second shutdown has no effect");
    });
}

/// A shutdown inside a body is an error, because it would wait for itself. A shutdown by the driver settles the task that a
/// body is waiting for.
#[test]
fn a_shutdown_inside_a_body_and_during_a_nested_get() {
    #[remote]
    fn refuses() -> bool {
        ray::shutdown().unwrap_err().kind() == ErrorKind::InvalidArgument
    }
    #[remote]
    fn gets(running: Tally, gate: Gate, ended: Tally) -> bool {
        // A timed get runs no bodies, so another thread runs this one.
        let gone = is_gone(ray::get_timeout(long_body.remote(running, gate), Duration::from_secs(50)));
        ended.add();
        gone
    }
    apart(|| {
        start(2, Duration::ZERO);
        assert!(ray::get(refuses.remote()).unwrap());
        let (running, gate, ended) = (Tally::new(), Gate::new(), Tally::new());
        let parent = gets.remote(running, gate, ended);
        running.wait_for(1);
        shut_down_beside_a_body();
        assert!(is_gone(ray::get(parent)));
        if !cluster::wanted() {
            ended.wait_for(1);
        }
        gate.open();
    });
}

/// A shutdown guard logs the bodies that still run, because its drop cannot return an error.
#[test]
fn a_shutdown_guard_logs_running_bodies() {
    let said = apart(|| {
        let guard =
            crate::support::init_with(Config::new().num_cpus(1).shutdown_grace(Duration::ZERO)).unwrap().shutdown_on_drop();
        let (running, gate) = (Tally::new(), Gate::new());
        let _runs = long_body.remote(running, gate);
        running.wait_for(1);
        drop(guard);
        assert!(!ray::is_initialized());
        gate.open();
    });
    assert!(said.stderr.contains("still run") && said.stderr.contains("long_body"), "{}", said.stderr);
}

/// The error of a shutdown names an async body that blocks its thread like any other body.
#[test]
fn an_async_body_that_blocks_is_named() {
    #[remote]
    async fn blocks(running: Tally, gate: Gate) {
        running.add();
        gate.wait();
    }
    alone(|| {
        start(1, Duration::from_millis(20));
        let (running, gate) = (Tally::new(), Gate::new());
        let _runs = blocks.remote(running, gate);
        running.wait_for(1);
        let left = ray::shutdown().unwrap_err().to_string();
        assert!(left.contains("blocks"), "{left}");
        gate.open();
        eventually("the thread of the body is gone", || threads() <= OWN);
    });
}

/// A shutdown in a callback, and in a future that a body spawned, is an error as in a body.
#[test]
fn a_shutdown_in_a_callback_is_refused() {
    #[remote]
    async fn spawns() -> bool {
        tokio::spawn(async { ray::shutdown().unwrap_err().is_invalid_argument() }).await.unwrap()
    }
    apart(|| {
        start(2, Duration::from_secs(50));
        let (gate, refused) = (Gate::new(), Tally::new());
        let refuse = move || {
            assert_eq!(ray::shutdown().unwrap_err().kind(), ErrorKind::InvalidArgument);
            refused.add();
        };
        let object = late(gate, 1);
        object.on_ready(refuse);
        gate.open();
        ray::get(&object).unwrap();
        refused.wait_for(1);
        object.on_ready(refuse);
        refused.wait_for(2);
        assert!(ray::get(spawns.remote()).unwrap());
        ray::shutdown().expect("a shutdown by the driver succeeds");
    });
}

/// The largest number of threads that are not the engine's: the harness, the test, and one that may still be ending.
const OWN: usize = 3;

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// When a shutdown returns, no thread and no value of the engine is left, with any work in progress.
#[cfg(target_os = "linux")]
#[test]
fn a_shutdown_leaves_no_thread_and_no_value() {
    alone(|| {
        for round in 0..crate::support::calls(10, 100usize) {
            start(1 + round % 4, Duration::from_secs(50));
            let (dropped, waiting, gate) = (Tally::new(), Tally::new(), Gate::new());
            let mut made = 0;
            let mut token = || {
                made += 1;
                Token(dropped)
            };
            let worker = Worker::remote(dropped);
            let asynchronous = wait_async.remote(waiting, gate, dropped);
            let tasks: Vec<ObjectRef<()>> = (0..20)
                .map(|n| {
                    let token = token();
                    ray::task(move || drop(token)).num_cpus([0.0, 1.0, 1.5][n % 3]).remote()
                })
                .filter(|_| round % 2 == 0)
                .collect();
            let calls: Vec<_> = (0..5).map(|_| worker.call.remote()).collect();
            if round % 3 == 0 {
                waiting.wait_for(1);
            }
            ray::shutdown().unwrap();
            drop((worker, asynchronous, tasks, calls));
            assert!(dropped.count() >= made, "round {round}: {} of {made}", dropped.count());
            eventually("no thread is left", || threads() <= OWN);
        }
    });
}

/// The first async task races with the shutdown: no async runtime is left afterwards.
#[cfg(target_os = "linux")]
#[test]
fn the_first_async_task_races_the_shutdown() {
    #[remote]
    async fn nothing() {}
    apart(|| {
        for round in 0..calls(2, 200u32) {
            start(2, Duration::from_secs(50));
            let racer = std::thread::spawn(move || {
                for _ in 0..round % 20 * 50 {
                    std::hint::spin_loop();
                }
                drop(nothing.try_remote());
            });
            ray::shutdown().unwrap();
            racer.join().unwrap();
            // The late submission may have started another engine.
            ray::shutdown().unwrap();
        }
        // On a cluster the harness has threads of its own.
        eventually("no thread is left", || cluster::wanted() || threads() <= OWN);
    });
}

/// Ten thousand engines in sequence leak nothing, neither in this thread nor in another long-lived one. Every fiftieth
/// engine runs async bodies, actors and waits.
#[cfg(target_os = "linux")]
#[test]
fn ten_thousand_engines_leave_nothing() {
    #[remote]
    async fn nothing() -> u64 {
        1
    }
    apart(|| {
        let (to_other, asked) = std::sync::mpsc::channel::<()>();
        let (answer, answered) = std::sync::mpsc::channel();
        let _other = std::thread::spawn(move || {
            for () in asked {
                assert_eq!(ray::get(ray::put(7)).unwrap(), 7);
                answer.send(()).unwrap();
            }
        });
        let mut before = 0;
        for round in 0..calls(2, 10_000usize) {
            crate::support::init_with(Config::new().num_cpus(1)).unwrap();
            assert_eq!(ray::get(crate::stage::give.remote(7)).unwrap(), 7);
            to_other.send(()).unwrap();
            answered.recv().unwrap();
            if round % 50 == 0 {
                let dropped = Tally::new();
                let worker = Worker::remote(dropped);
                let (first, _) = ray::wait([worker.call.remote(), nothing.remote()], 1).unwrap();
                drop((worker, first));
            }
            ray::shutdown().unwrap();
            if round == calls(0, 1_000) {
                before = resident();
            }
        }
        let grown = resident().saturating_sub(before);
        println!("{grown} bytes in 9,000 rounds");
        // An engine that kept former thread states leaked 6 to 7 KB per round and thread: 120 MB in this test.
        assert!(grown < 8 << 20, "{grown} bytes in 9,000 rounds");
    });
}
