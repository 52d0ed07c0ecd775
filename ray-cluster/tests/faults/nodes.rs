//! The loss of a node, and of the head.

use std::time::{Duration, Instant};

use ray::{ErrorKind, ObjectRef, remote};

use crate::driver::{Driver, body};
use crate::space::{HEAD, Space, python};

/// Ray's own time to find out that a node is lost, and 5 s.
const DETECTED: Duration = Duration::from_secs(35);
/// The bridge ends when it has tried to reach the head again for this time, which the test sets.
const HEAD_IS_LOST: &str = "10";

#[remote(resources(second = 1))]
struct Keeper {
    kept: Option<ObjectRef<String>>,
}

#[remote]
impl Keeper {
    pub fn new() -> Self {
        Keeper { kept: None }
    }

    /// An object that this node has, and this process owns.
    pub fn keep(&mut self) -> ObjectRef<String> {
        self.kept.insert(ray::put("x".repeat(1 << 20))).clone()
    }
}

#[remote(max_retries = 0)]
fn length(text: String) -> usize {
    text.len()
}

#[remote(max_retries = 0)]
fn sleeps() -> i32 {
    // body: it runs until its node is lost.
    std::thread::sleep(Duration::from_secs(300));
    1
}

/// Waits until the test has done what the driver has asked for.
fn ask(what: &str) {
    std::fs::write(format!("/tmp/test/{what}"), "").expect("a file can be written");
    while std::fs::exists(format!("/tmp/test/{what}")).expect("a folder can be read") {
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn within<T>(what: &str, get: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let got = get();
    assert!(start.elapsed() < DETECTED, "{what} took {:?}", start.elapsed());
    got
}

#[test]
fn node_and_head_lost() {
    body(|| {
        ray::init().expect("the cluster can be joined");
        let keeper = Keeper::remote();
        let kept = ray::get(keeper.keep.remote()).expect("the actor runs on the second node");
        ask("node");
        let died = within("the death of the actor", || ray::get(keeper.keep.remote())).expect_err("its node is lost");
        assert!(died.is_actor_died() || died.is_actor_unavailable(), "{died:?}");
        println!("{died}");
        let lost = within("the loss of the object", || ray::get(&kept)).expect_err("its node is lost");
        assert_eq!(lost.kind(), ErrorKind::ObjectLost, "{lost:?}");
        println!("{lost}");
        let failed = within("the failure of the task", || ray::get(length.remote(&kept))).expect_err("its argument is lost");
        println!("{failed}");
        assert_eq!(ray::get(length.remote("four".to_owned())).expect("the first node runs tasks"), 4);

        let pending = sleeps.remote();
        ask("head");
        let error = within("the loss of the head", || ray::get(pending)).expect_err("the head is lost");
        println!("{error}");
        assert!(matches!(error.kind(), ErrorKind::System | ErrorKind::WorkerCrashed), "{error:?}");
        ray::shutdown().expect("the engine runs");
        ask("new");
        ray::init().expect("the new cluster can be joined");
        assert_eq!(ray::get(length.remote("new".to_owned())).expect("the new head runs tasks"), 3);
    });
    let Some(python) = python() else { return };
    let space = Space::new(python);
    space.start_head();
    let second = ["--address=127.0.0.1:6379", "--node-ip-address=127.0.0.2", "--temp-dir=/tmp/second", "--num-cpus=2"];
    space.start_node(&[&second[..], &["--resources={\"second\": 4}", "--object-store-memory=100000000"]].concat());
    let driver = Driver::new(&space, "nodes::node_and_head_lost").address(HEAD);
    let driver = driver.env("RAY_gcs_rpc_server_reconnect_timeout_s", HEAD_IS_LOST);
    let asked = |what: &str| {
        let file = space.path(&format!("/tmp/test/{what}"));
        let deadline = Instant::now() + Duration::from_secs(100);
        while !file.exists() {
            if Instant::now() > deadline {
                return None;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Some(file)
    };
    let ran = std::thread::scope(|scope| {
        scope.spawn(|| {
            let done = |file| std::fs::remove_file(file).expect("the file was seen");
            let Some(node) = asked("node") else { return };
            space.kill("--node-ip-address=127.0.0.2");
            space.kill("/tmp/second/");
            done(node);
            let Some(head) = asked("head") else { return };
            space.kill("/tmp/ray/");
            done(head);
            let Some(new) = asked("new") else { return };
            space.start_head();
            done(new);
        });
        driver.run()
    });
    assert!(ran.status.success(), "{}", ran.output);
}
