//! `on_ready`: when, on which thread and in which order callbacks run, and what they may do.

use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use futures::FutureExt;
use ray::{Config, ErrorKind, ObjectRef, remote};

use crate::stage::{alone_on, eventually, late};
use crate::support::{Gate, PATIENCE, Tally, Words, calls, in_child};

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
async fn opened(gate: Gate) {
    gate.opened().await;
}

#[remote]
fn increment(x: i64) -> i64 {
    x + 1
}

/// The waiters of an object continue while one of its callbacks blocks.
#[test]
fn waiters_are_woken_before_callbacks_run() {
    for cpus in [1, 2] {
        alone_on(cpus, || {
            let (gate, end, inside, done) = (Gate::new(), Gate::new(), Gate::new(), Tally::new());
            let object = late(gate, 7);
            object.on_ready(move || {
                inside.open();
                end.wait();
                done.add();
            });
            let dependant = increment.remote(&object);
            let awaited = object.clone().boxed();
            let waiters: Vec<std::thread::JoinHandle<i64>> = vec![
                std::thread::spawn({
                    let object = object.clone();
                    move || ray::get(&object).unwrap()
                }),
                std::thread::spawn({
                    let object = object.clone();
                    move || ray::get_timeout(&object, PATIENCE).unwrap()
                }),
                std::thread::spawn({
                    let object = object.clone();
                    move || ray::wait([object], 1).map(|(ready, _)| ray::get(&ready[0]).unwrap()).unwrap()
                }),
                std::thread::spawn(move || futures::executor::block_on(awaited).unwrap()),
            ];
            gate.open();
            inside.wait();
            assert!(waiters.into_iter().all(|waiter| waiter.join().unwrap() == 7));
            assert_eq!(ray::get(dependant).unwrap(), 8);
            assert_eq!(done.count(), 0, "the callback still blocks");
            end.open();
            done.wait_for(1);
        });
    }
}

/// A getter holds a lock that a callback takes; the get still ends.
#[test]
fn a_callback_may_take_a_lock_held_by_a_getter() {
    alone_on(1, || {
        let (gate, taken) = (Gate::new(), Tally::new());
        let lock = Arc::new(Mutex::new(()));
        let object = late(gate, 7);
        object.on_ready({
            let lock = Arc::clone(&lock);
            move || {
                drop(lock.lock().unwrap_or_else(PoisonError::into_inner));
                taken.add();
            }
        });
        let guard = lock.lock().unwrap();
        gate.open();
        assert_eq!(ray::get(object).unwrap(), 7);
        drop(guard);
        taken.wait_for(1);
    });
}

/// A callback may use the whole API; only a shutdown in it is an error, as in a body.
#[test]
fn a_callback_gets_submits_and_waits() {
    for cpus in [1, 2] {
        alone_on(cpus, || {
            let gate = Gate::new();
            let object = late(gate, 3);
            let dependant = increment.remote(&object);
            let (sender, receiver) = mpsc::channel();
            let own = object.clone();
            object.on_ready(move || {
                let chained = increment.remote(square.remote(&own));
                let waited = ray::wait([dependant.clone()], 1).unwrap().0.len() as i64;
                let got = ray::get(vec![dependant, chained, own]).unwrap();
                let refused = ray::shutdown().unwrap_err().kind();
                sender.send((got, waited, refused, std::thread::current().name().map(str::to_owned))).unwrap();
            });
            gate.open();
            let (got, waited, refused, thread) = receiver.recv_timeout(PATIENCE).unwrap();
            assert_eq!((got, waited), (vec![4, 10, 3], 1));
            assert_eq!(refused, ErrorKind::InvalidArgument);
            assert!(thread.is_some_and(|name| name.starts_with("ray-worker")), "on a thread of the engine");
        });
    }
}

/// The callbacks of one object run in the order of registration, also those that are registered after the object was settled
/// and those after a callback that panics.
#[test]
fn callbacks_run_in_the_order_of_registration() {
    let said = alone_on(4, || {
        let (gate, end, words) = (Gate::new(), Gate::new(), Words::new());
        let object = late(gate, 7);
        for at in 0..50 {
            object.on_ready(move || words.say(at.to_string()));
        }
        object.on_ready(move || {
            words.say("50");
            end.wait();
        });
        object.on_ready(|| panic!("a callback that panics"));
        gate.open();
        ray::get(&object).unwrap();
        // The object is settled, and the earlier callbacks have not ended.
        for at in 51..100 {
            object.on_ready(move || words.say(at.to_string()));
        }
        end.open();
        eventually("all callbacks have run", || words.said().len() == 100);
        assert_eq!(words.said(), (0..100).map(|at| at.to_string()).collect::<Vec<_>>());
        object.on_ready(move || words.say("last"));
        eventually("the last callback has run", || words.said().len() == 101);
        for at in 0..100 {
            let put = ray::put(at);
            let words = Words::new();
            put.on_ready(move || words.say("first"));
            put.on_ready(move || words.say("second"));
            drop(put);
            eventually("the callbacks of a dropped object have run", || words.said() == ["first", "second"]);
        }
    });
    assert!(
        said.stderr.contains("a callback of `on_ready` panicked") && said.stderr.contains("callbacks.rs:"),
        "{}",
        said.stderr
    );
}

/// A shutdown settles all objects, and all their callbacks have run when it returns.
#[test]
fn a_shutdown_runs_all_callbacks() {
    in_child("callbacks::a_shutdown_runs_all_callbacks", || {
        for round in 0..calls(2, 20) {
            crate::support::init_with(Config::new().num_cpus(2)).unwrap();
            let (gate, run, words) = (Gate::new(), Tally::new(), Words::new());
            let objects: Vec<ObjectRef<i64>> = (0..10).map(|x| late(gate, x)).collect();
            for object in &objects {
                for at in 0..3 {
                    object.on_ready(move || {
                        assert!(
                            round % 2 == 0 || ray::put(1).is_ready(),
                            "during the shutdown `put` may fail, but does not block"
                        );
                        std::thread::park_timeout(Duration::from_millis(1));
                        words.say(at.to_string());
                        run.add();
                    });
                }
            }
            if round % 2 == 0 {
                gate.open();
            } else {
                // The gate opens after the shutdown has begun.
                std::thread::spawn(move || {
                    run.wait_for(1);
                    gate.open();
                });
            }
            ray::shutdown().unwrap();
            assert_eq!(run.count(), 30);
            assert_eq!(words.said().len(), 30);
        }
    });
}

/// Also after the shutdown a callback runs on another thread than the one that registers it, which may hold a lock that the callback
/// takes.
#[test]
fn a_callback_that_is_registered_after_the_shutdown() {
    alone_on(1, || {
        let settled = ray::put(1_i64);
        let gate = Gate::new();
        let unsettled = late(gate, 7);
        // The body of `late` may have begun, and then it still runs.
        let _ = ray::shutdown();
        for object in [settled, unsettled] {
            let (tell, told) = mpsc::channel();
            let lock = Arc::new(Mutex::new(()));
            let held = lock.lock().unwrap();
            let theirs = Arc::clone(&lock);
            object.on_ready(move || {
                let refused = theirs.try_lock().is_err();
                tell.send((std::thread::current().id(), refused)).unwrap();
            });
            let (thread, refused) = told.recv_timeout(PATIENCE).unwrap();
            assert!(refused && thread != std::thread::current().id());
            drop(held);
        }
    });
}

/// A shutdown waits the grace period for a callback that does not end, and names it in its error.
#[test]
fn a_shutdown_names_a_callback_that_does_not_end() {
    in_child("callbacks::a_shutdown_names_a_callback_that_does_not_end", || {
        crate::support::init_with(Config::new().num_cpus(1).shutdown_grace(Duration::from_millis(50))).unwrap();
        let (inside, end, done) = (Tally::new(), Gate::new(), Tally::new());
        let held = Gate::new();
        let pending = late(held, 1);
        for object in [ray::put(1), pending.clone()] {
            object.on_ready(move || {
                inside.add();
                end.wait();
                // The engine of the callback is gone, and a call in the callback starts no other one.
                assert!(ray::get(ray::put(1)).unwrap_err().is_runtime_gone());
                done.add();
            });
        }
        let left = ray::shutdown().unwrap_err().to_string();
        assert!(left.contains("on_ready"), "{left}");
        inside.wait_for(2);
        assert_eq!(done.count(), 0);
        assert!(!ray::is_initialized());
        end.open();
        held.open();
        done.wait_for(2);
        assert!(!ray::is_initialized());
    });
}

/// When no worker thread is available, the thread that settles the object runs its callbacks after it has woken the waiters.
#[test]
fn without_a_worker_the_settling_thread_runs_callbacks() {
    in_child("callbacks::without_a_worker_the_settling_thread_runs_callbacks", || {
        crate::support::init_with(Config::new().num_cpus(1).max_threads(1)).unwrap();
        let (gate, begun) = (Gate::new(), Gate::new());
        let never = opened.remote(gate);
        // The only worker waits in a get.
        let waits = ray::task({
            let never = never.clone();
            move || {
                begun.open();
                ray::get(never).unwrap_err().is_cancelled()
            }
        })
        .remote();
        begun.wait();
        let (sender, receiver) = mpsc::channel();
        let here = std::thread::current().id();
        let object = square.remote(3);
        let dependant = increment.remote(&object);
        let twice = increment.remote(&dependant);
        object.on_ready(move || {
            let got = ray::get(&twice).map_err(|error| error.to_string());
            sender.send((std::thread::current().id(), got)).unwrap();
        });
        // Nothing signals that the worker thread has reached its get, so the test waits for it.
        std::thread::park_timeout(Duration::from_millis(300));
        assert_eq!(ray::get(&object).unwrap(), 9);
        let (thread, got) = receiver.recv_timeout(PATIENCE).unwrap();
        assert_eq!(got, Ok(11));
        assert_eq!(thread, here);
        ray::cancel(&never).unwrap();
        assert!(ray::get(waits).unwrap());
        gate.open();
    });
}
