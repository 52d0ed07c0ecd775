//! `get`, `get_timeout` and `get_all_settled`.

use std::time::{Duration, Instant};

use ray::{ErrorKind, ObjectRef, remote};

use crate::cluster;
use crate::stage::eventually;
use crate::support::{Gate, PATIENCE, Tally, calls, engine, in_child};

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn wait_at(gate: Gate, x: i64) -> i64 {
    gate.wait();
    x
}

#[remote]
fn hold(started: Gate, gate: Gate, x: i64) -> i64 {
    started.open();
    gate.wait();
    x
}

#[remote]
fn fails(x: i64) -> Result<i64, String> {
    Err(format!("no {x}"))
}

#[remote]
fn text(x: i64) -> String {
    x.to_string()
}

/// `get` accepts one reference, a `Vec`, slice or array of them, or a tuple of different types; owned or borrowed.
#[test]
fn get_accepts_references_lists_and_tuples() {
    engine();
    let refs = || (0..4).map(|x| square.remote(x)).collect::<Vec<_>>();
    let one = square.remote(3);
    assert_eq!(ray::get(&one).unwrap(), 9);
    assert_eq!(ray::get(one).unwrap(), 9);
    let many = refs();
    assert_eq!(ray::get(&many).unwrap(), [0, 1, 4, 9]);
    assert_eq!(ray::get(&many[1..3]).unwrap(), [1, 4]);
    assert_eq!(ray::get(many).unwrap(), [0, 1, 4, 9]);
    let array: [i64; 2] = ray::get(&[square.remote(1), square.remote(2)]).unwrap();
    assert_eq!(array, [1, 4]);
    let array: [i64; 3] = ray::get([square.remote(1), square.remote(2), square.remote(3)]).unwrap();
    assert_eq!(array, [1, 4, 9]);
    let (number, words) = (square.remote(5), text.remote(5));
    assert_eq!(ray::get((&number, &words)).unwrap(), (25, "5".to_owned()));
    assert_eq!(ray::get((number, words, ray::put('c'))).unwrap(), (25, "5".to_owned(), 'c'));
    let twelve = || ray::put(1_u8);
    let (a, b, c, d, e, f) = (twelve(), twelve(), twelve(), twelve(), twelve(), twelve());
    let got = ray::get((&a, &b, &c, &d, &e, &f, a.clone(), b.clone(), c.clone(), d.clone(), e.clone(), text.remote(2)));
    assert_eq!(got.unwrap().11, "2");
}

/// `get` returns values in the order of the references, accepts duplicates, and returns nothing for an empty input.
#[test]
fn order_duplicates_and_empty_input() {
    engine();
    let gate = Gate::new();
    let (late, early) = (wait_at.remote(gate, 1), square.remote(2));
    ray::get(&early).unwrap();
    gate.open();
    assert_eq!(ray::get([late.clone(), early.clone(), late.clone(), early.clone()]).unwrap(), [1, 4, 1, 4]);
    assert_eq!(ray::get(vec![late.clone(), late.clone()]).unwrap(), [1, 1]);
    assert_eq!(ray::get((&late, &late)).unwrap(), (1, 1));
    drop(early);
    assert_eq!(ray::get(vec![late.clone(), late]).unwrap(), [1, 1], "only the last duplicate is moved out");
    let nothing: Vec<i64> = ray::get(Vec::<ObjectRef<i64>>::new()).unwrap();
    assert_eq!(nothing, []);
    let nothing: [i64; 0] = ray::get::<[ObjectRef<i64>; 0]>([]).unwrap();
    assert_eq!(nothing, []);
    assert_eq!(ray::get_all_settled(Vec::<ObjectRef<i64>>::new()).len(), 0);
}

/// A get of several returns the first error while other objects are pending, at any position.
#[test]
fn the_first_error_wins() {
    engine();
    let (started, gate) = (Gate::new(), Gate::new());
    let blocked = hold.remote(started, gate, 1);
    // If the task had not started, a getter might run it on its own thread.
    started.wait();
    let failed = fails.remote(5);
    let told = |error: ray::Error| assert_eq!(error.downcast_ref::<String>().unwrap(), "no 5");
    for _ in 0..calls(2, 20) {
        told(ray::get([blocked.clone(), fails.remote(5)]).unwrap_err());
        told(ray::get([fails.remote(5), blocked.clone()]).unwrap_err());
        told(ray::get(vec![blocked.clone(), failed.clone(), blocked.clone()]).unwrap_err());
        told(ray::get(&[blocked.clone(), square.remote(1), fails.remote(5)]).unwrap_err());
        told(ray::get((&blocked, &failed)).unwrap_err());
        told(ray::get((blocked.clone(), square.remote(1), fails.remote(5))).unwrap_err());
        told(ray::get_timeout(vec![blocked.clone(), fails.remote(5)], PATIENCE).unwrap_err());
    }
    assert!(!blocked.is_ready());
    gate.open();
    assert_eq!(ray::get(blocked).unwrap(), 1);
}

/// A get of several returns an error that occurs after the get has begun, in a thread and in a task.
#[test]
fn the_first_error_wins_during_a_get() {
    in_child("get::the_first_error_wins_during_a_get", || {
        crate::support::init_with(ray::Config::new().num_cpus(3)).unwrap();
        let never = Gate::new();
        for _ in 0..calls(3, 50) {
            let (cue, waiting) = (Gate::new(), Tally::new());
            let blocked: Vec<_> = (0..2).map(|x| later_at.remote(never, x)).collect();
            let failing = fails.remote(later_at.remote(cue, 7));
            let refs = vec![blocked[0].clone(), failing.clone(), blocked[1].clone()];
            let from_task = gets.remote(refs.clone(), waiting);
            let from_thread = std::thread::spawn(move || {
                waiting.add();
                ray::get(refs).unwrap_err().to_string()
            });
            waiting.wait_for(2);
            cue.open();
            assert_eq!(from_thread.join().unwrap(), "task `fails` failed: no 7");
            assert_eq!(ray::get(from_task).unwrap(), "task `fails` failed: no 7");
            assert!(!blocked[0].is_ready());
            ray::cancel(&blocked[0]).unwrap();
            ray::cancel(&blocked[1]).unwrap();
        }
    });
}

/// A get of many objects returns the first error as well, although it does not watch all of them from the start.
#[test]
fn the_first_error_wins_of_many() {
    engine();
    let (never, cue) = (Gate::new(), Gate::new());
    // Each object that is not ready is a process of a cluster.
    let many = calls(4, 1500);
    let blocked: Vec<_> = (0..many).map(|x| later_at.remote(never, x)).collect();
    for at in [0, blocked.len() / 2, blocked.len()] {
        let mut refs = blocked.clone();
        refs.insert(at, fails.remote(5));
        let told = |error: ray::Error| assert_eq!(error.downcast_ref::<String>().unwrap(), "no 5");
        told(ray::get(&refs).unwrap_err());
        told(ray::get(refs).unwrap_err());
    }
    // A task that fails later. Nothing signals that the getter blocks, so the test gives it some time before the failure.
    let mut refs = blocked.clone();
    refs.insert(blocked.len() / 2, fails.remote(later_at.remote(cue, 9)));
    let getter = std::thread::spawn(move || ray::get(refs).unwrap_err().to_string());
    assert!(ray::get_timeout(&blocked, std::time::Duration::from_millis(20)).unwrap_err().is_timeout());
    cue.open();
    assert_eq!(getter.join().unwrap(), "task `fails` failed: no 9");
    assert!(blocked.iter().all(|object| !object.is_ready()));
    never.open();
    assert_eq!(ray::get(blocked).unwrap(), (0..many).collect::<Vec<_>>());
}

#[remote]
async fn later_at(gate: Gate, x: i64) -> i64 {
    gate.opened().await;
    x
}

#[remote]
fn gets(refs: Vec<ObjectRef<i64>>, waiting: Tally) -> String {
    waiting.add();
    ray::get(refs).unwrap_err().to_string()
}

#[test]
fn get_all_settled_waits_for_all() {
    engine();
    let gate = Gate::new();
    let late = wait_at.remote(gate, 3);
    let dependant = square.remote(&late);
    let refs = vec![fails.remote(1), late.clone(), square.remote(2), fails.remote(2), dependant, late];
    let opener = std::thread::spawn(move || gate.open());
    let settled = ray::get_all_settled(refs);
    opener.join().unwrap();
    let shown: Vec<_> = settled.into_iter().map(|result| result.map_err(|error| error.to_string())).collect();
    let no = |x| Err(format!("task `fails` failed: no {x}"));
    assert_eq!(shown, [no(1), Ok(3), Ok(4), no(2), Ok(9), Ok(3)]);
}

/// A get with a time-out of zero returns the values if all are ready; a time-out does not cancel the task.
#[test]
fn time_outs() {
    engine();
    let gate = Gate::new();
    let object = wait_at.remote(gate, 5);
    let error = ray::get_timeout(&object, Duration::ZERO).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::GetTimeout);
    let begun = Instant::now();
    assert!(ray::get_timeout(&object, Duration::from_millis(20)).unwrap_err().is_timeout());
    assert!(begun.elapsed() >= Duration::from_millis(20));
    let (ready, failed) = (ray::put(6), fails.remote(1));
    if cluster::wanted() {
        // The value is in the object store until it is asked for.
        ray::get(&ready).unwrap();
    }
    assert!(ray::get_timeout([object.clone(), ready.clone()], Duration::from_millis(1)).unwrap_err().is_timeout());
    assert!(ray::get_timeout((&object, &ready), Duration::ZERO).unwrap_err().is_timeout());
    assert_eq!(ray::get_timeout(&ready, Duration::ZERO).unwrap(), 6);
    assert_eq!(ray::get_timeout(vec![ready.clone(), ready], Duration::ZERO).unwrap(), [6, 6]);
    assert!(ray::get_timeout(failed, PATIENCE).unwrap_err().is_task());
    assert!(!object.is_ready());
    gate.open();
    assert_eq!(ray::get_timeout(&object, Duration::MAX).unwrap(), 5, "a time-out that overflows every clock");
    assert_eq!(ray::get_timeout(object, PATIENCE).unwrap(), 5);
}

#[remote]
fn gets_in_time() -> (bool, i64, i64) {
    let gate = Gate::new();
    let blocked = later_at.remote(gate, 1);
    let timed_out = ray::get_timeout(&blocked, Duration::from_millis(5)).unwrap_err().is_timeout();
    let other = ray::get_timeout(square.remote(4), PATIENCE).unwrap();
    gate.open();
    (timed_out, other, ray::get_timeout(blocked, PATIENCE).unwrap())
}

/// A get with a time-out inside a task lends the CPU of the task.
#[test]
fn a_time_out_inside_a_task() {
    in_child("get::a_time_out_inside_a_task", || {
        crate::support::init_with(ray::Config::new().num_cpus(1)).unwrap();
        assert_eq!(ray::get(gets_in_time.remote()).unwrap(), (true, 16, 1));
        eventually("the CPU is free", || ray::available_resources().unwrap()["CPU"] == 1.0);
    });
}

#[remote]
async fn blocks(object: ObjectRef<i64>) -> Vec<bool> {
    let here = |error: ray::Error| {
        let told = error.to_string();
        error.kind() == ErrorKind::BlockingInAsync && told.contains("tests/it/get.rs:") && told.contains("blocks")
    };
    vec![
        here(ray::get(&object).unwrap_err()),
        here(ray::get_timeout(&object, PATIENCE).unwrap_err()),
        here(ray::get([object.clone()]).unwrap_err()),
        here(ray::get((&object, &object)).unwrap_err()),
        here(ray::wait([object.clone()], 1).unwrap_err()),
        here(object.view().unwrap_err()),
        here(object.clone().take().unwrap_err().into()),
        here(ray::get_all_settled(vec![object.clone()]).remove(0).unwrap_err()),
    ]
}

#[remote]
async fn gets_what_is_there(object: ObjectRef<i64>) -> (i64, Option<i64>, bool) {
    let looked = object.try_get().unwrap();
    let waited = ray::wait([object.clone()], ray::first(1).timeout(Duration::ZERO)).unwrap().0.len() == 1;
    (object.await.unwrap(), looked, waited)
}

/// A call that would block in async code is an error that names the function and the line.
#[test]
fn blocking_in_async_code() {
    engine();
    let gate = Gate::new();
    let object = wait_at.remote(gate, 1);
    let told = ray::get(blocks.remote(object.clone())).unwrap();
    assert_eq!(told, [true; 8]);
    gate.open();
    ray::get(&object).unwrap();
    if !cluster::wanted() {
        // In a worker the value is not there before the body asks for it.
        let told = ray::get(gets_what_is_there.remote(object)).unwrap();
        assert_eq!(told, (1, Some(1), true), "calls that do not block are allowed");
    }
}

/// A `get` on a thread of a foreign async runtime blocks that thread and returns the values.
#[test]
fn get_on_a_foreign_runtime() {
    engine();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let sum = runtime.spawn(async {
        let objects: Vec<_> = (0..10).map(|x| square.remote(x)).collect();
        ray::get(objects).unwrap().into_iter().sum::<i64>()
    });
    assert_eq!(runtime.block_on(sum).unwrap(), 285);
}

#[test]
fn many_threads_get_one_object() {
    engine();
    for _ in 0..20 {
        let gate = Gate::new();
        let ready = Tally::new();
        let object = wait_at.remote(gate, 8);
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let object = object.clone();
                std::thread::spawn(move || {
                    ready.add();
                    ray::get(object).unwrap()
                })
            })
            .collect();
        ready.wait_for(8);
        gate.open();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 8);
        }
    }
}

/// Objects become ready in any order while the getter checks one after the other; here the first one becomes ready last.
#[test]
fn objects_that_settle_during_a_get() {
    engine();
    for round in 0..crate::support::calls(100, 1000) {
        // A timed get runs no bodies.
        let refs: Vec<_> = (0..8).map(|x| spins.remote(if x == 0 { 3000 } else { x * round % 50 })).collect();
        assert_eq!(ray::get_timeout(refs, PATIENCE).unwrap()[0], 3000);
    }
}

#[remote]
fn spins(turns: u32) -> u32 {
    (0..turns).for_each(|_| std::hint::spin_loop());
    turns
}

#[test]
fn a_get_of_ten_thousand_objects() {
    engine();
    let objects: Vec<_> = (0..crate::support::calls(100, 10_000)).map(|x| square.remote(x)).collect();
    let values = ray::get(objects).unwrap();
    assert!(values.iter().zip(0_i64..).all(|(value, x)| *value == x * x));
}

/// A get with a time-out runs no bodies: a long body would make it exceed the time-out.
#[test]
fn a_timed_get_runs_no_bodies() {
    engine();
    for _ in 0..calls(40, 200) {
        assert_ne!(ray::get_timeout(place.remote(), PATIENCE).unwrap(), place());
    }
}

/// The process and the thread.
#[remote]
fn place() -> String {
    format!("{} {:?}", std::process::id(), std::thread::current().id())
}

/// A getter never runs a task that it does not wait for.
#[test]
fn a_getter_does_not_run_unawaited_tasks() {
    engine();
    let gate = Gate::new();
    let foreign: Vec<_> = (0..calls(20, 100)).map(|_| place.remote()).collect();
    let object = wait_at.remote(gate, 1);
    let opener = std::thread::spawn(move || gate.open());
    ray::get(object).unwrap();
    opener.join().unwrap();
    for object in foreign {
        ray::wait([object.any()], ray::first(1).timeout(PATIENCE)).unwrap();
        assert_ne!(object.take().unwrap(), place());
    }
}
