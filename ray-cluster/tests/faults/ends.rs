//! The end of a driver, of its bridge, or of both.

use std::fs;
use std::time::{Duration, Instant};

use ray::{ErrorKind, remote};

use crate::driver::{Driver, body, says};
use crate::space::{HEAD, Space, python};

#[remote(max_retries = 0)]
fn add(x: i32, y: i32) -> i32 {
    x + y
}

#[remote(max_retries = 0)]
fn sleeps() -> i32 {
    // body: it outlives the bridge.
    std::thread::sleep(Duration::from_secs(100));
    1
}

#[remote]
fn text_of(length: usize) -> String {
    "x".repeat(length)
}

#[remote]
struct Counter;

#[remote]
impl Counter {
    pub fn new() -> Self {
        Counter
    }

    pub fn one(&self) -> i32 {
        1
    }
}

/// Kills the bridge, a child of this process.
fn kill_bridge() {
    for task in fs::read_dir("/proc/self/task").expect("the threads of this process").flatten() {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let child = nix::unistd::Pid::from_raw(child.parse().expect("a number"));
            nix::sys::signal::kill(child, nix::sys::signal::SIGKILL).expect("the process is a child");
        }
    }
}

fn die() -> ! {
    nix::sys::signal::raise(nix::sys::signal::SIGKILL).expect("a process can kill itself");
    unreachable!("the process was killed");
}

fn joined() {
    ray::init().expect("the cluster can be joined");
    assert_eq!(ray::get(add.remote(1, 2)).expect("a task runs"), 3);
}

#[track_caller]
fn is_lost<T: std::fmt::Debug>(outcome: ray::Result<T>) {
    let error = outcome.expect_err("the connection is lost");
    assert_eq!(error.kind(), ErrorKind::System, "{error:?}");
    says(&error, &["the connection to the cluster is lost", "ray::init()"]);
}

/// What waits for the cluster fails when the bridge is killed, what is asked for later fails too, and the program can join again.
#[test]
fn bridge_killed() {
    body(|| {
        joined();
        let pending = sleeps.remote();
        let actor = Counter::remote();
        assert_eq!(ray::get(actor.one.remote()).expect("the actor runs"), 1);
        let waiter = std::thread::spawn({
            let pending = pending.clone();
            move || ray::get(pending)
        });
        let start = Instant::now();
        kill_bridge();
        is_lost(waiter.join().expect("the thread waits"));
        assert!(start.elapsed() < Duration::from_secs(5), "the wait has ended after {:?}", start.elapsed());
        is_lost(ray::get(&pending));
        is_lost(ray::get(add.remote(1, 2)));
        is_lost(ray::get(ray::put(1)));
        is_lost(ray::get(actor.one.remote()));
        ray::shutdown().expect("the engine runs");
        joined();
    });
    let Some(space) = Space::with_ray() else { return };
    Driver::new(space, "ends::bridge_killed").address(HEAD).succeed(space);
}

#[test]
fn driver_killed() {
    body(|| {
        joined();
        let _pending = sleeps.remote();
        die();
    });
    let Some(space) = Space::with_ray() else { return };
    Driver::new(space, "ends::driver_killed").address(HEAD).expect_killed(space);
}

/// A private Ray ends with its driver, in each way in which the driver ends; its folder goes, and the user's home is not touched.
#[test]
fn private_ray() {
    body(|| {
        joined();
        match std::env::var("END").expect("it is set").as_str() {
            "main" => {}
            "driver" => die(),
            "bridge" => {
                let pending = sleeps.remote();
                kill_bridge();
                is_lost(ray::get(pending));
                // The private Ray was the bridge's, so it has ended, and the driver removes its folder.
                ray::shutdown().expect("the engine runs");
            }
            _ => {
                kill_bridge();
                die();
            }
        }
    });
    let Some(python) = python() else { return };
    let space = Space::new(python);
    let driver = |end: &str| Driver::new(&space, "ends::private_ray").address("local").env("END", end);
    driver("main").succeed(&space);
    driver("bridge").succeed(&space);
    driver("driver").expect_killed(&space);
    let before = space.contents();
    assert!(!driver("both").run().status.success(), "the driver was killed");
    // The bridge could not remove the folder; the next driver does, and ends the processes that are left, although it does not join.
    assert_ne!(space.contents(), before, "the folder is left");
    let next = Driver::new(&space, "connect::python_that_is_none").address("local").env("RAY_PYTHON", "/bin/true").run();
    assert!(next.status.success(), "{}", next.output);
    space.expect_nothing_left(&before);
}

/// Ten drivers put and make objects, and end without dropping them; then the object store is empty.
#[test]
fn ten_drivers() {
    body(|| {
        joined();
        if std::env::var_os("LAST").is_some() {
            let name = "object_store_memory";
            let deadline = Instant::now() + Duration::from_secs(20);
            loop {
                let (all, free) =
                    (ray::cluster_resources().expect("Ray answers"), ray::available_resources().expect("Ray answers"));
                let (all, free) = (all.get(name).copied(), free.get(name).copied());
                assert!(all.is_some(), "Ray tells the size of its store");
                if all == free {
                    return;
                }
                assert!(Instant::now() < deadline, "{free:?} of {all:?} bytes are free");
                std::thread::park_timeout(Duration::from_millis(200));
            }
        }
        let stored: Vec<_> = (0..3).map(|_| ray::put("x".repeat(1 << 20))).collect();
        let made: Vec<_> = (0..3).map(|_| text_of.remote(1 << 20)).collect();
        for object in stored.iter().chain(&made) {
            assert_eq!(ray::get(object).expect("the object is there").len(), 1 << 20);
        }
        std::process::exit(0);
    });
    let Some(space) = Space::with_ray() else { return };
    for _ in 0..10 {
        Driver::new(space, "ends::ten_drivers").address(HEAD).succeed(space);
    }
    Driver::new(space, "ends::ten_drivers").address(HEAD).env("LAST", "1").succeed(space);
}
