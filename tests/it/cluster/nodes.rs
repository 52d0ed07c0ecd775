//! A cluster of two nodes, each with two CPUs. `cargo xtask cluster` starts it; without it these tests do nothing.

mod placement;

use std::collections::HashSet;
use std::sync::Once;
use std::time::{Duration, Instant};

use ray::{ActorHandle, ObjectRef};

use crate::stage::Meeting;
use crate::support::{Gate, PATIENCE, Tally, engine};

/// All CPUs of the cluster, and those of one node.
const CPUS: usize = 4;
const OF_A_NODE: usize = 2;

/// How long both nodes may take to get the program and to start a worker, on a loaded machine.
const START: Duration = Duration::from_secs(120);

/// Joins the cluster of two nodes, and waits until workers run on both; `false`: there is none.
fn joined() -> bool {
    static STARTED: Once = Once::new();
    let there = std::env::var("RAY_TEST_NODES").is_ok_and(|nodes| nodes == "2");
    if there {
        STARTED.call_once(|| {
            engine();
            let deadline = Instant::now() + START;
            let mut seen = HashSet::new();
            while seen.len() < 2 {
                assert!(Instant::now() < deadline, "only {seen:?} has run a task after {START:?}");
                seen.extend(ray::get_timeout((0..CPUS).map(|_| here.remote()).collect::<Vec<_>>(), START).unwrap());
            }
        });
    }
    there
}

/// Returns its node.
#[ray::remote]
fn here() -> String {
    node()
}

/// Ray's id of the node of this worker.
fn node() -> String {
    ray::context().cluster().expect("the body runs on a cluster").node_id.clone()
}

/// Returns its node when all others are there.
#[ray::remote]
fn meet(meeting: Meeting) -> String {
    meeting.meet();
    node()
}

/// As [`meet`], with an argument.
#[ray::remote]
fn sum(meeting: Meeting, numbers: Vec<u64>) -> (String, u64) {
    meeting.meet();
    (node(), numbers.iter().sum())
}

/// As [`meet`], with a large result.
#[ray::remote]
fn make(meeting: Meeting, length: usize) -> (String, Vec<u64>) {
    meeting.meet();
    (node(), vec![7; length])
}

#[ray::remote]
fn measure(meeting: Meeting, made: &(String, Vec<u64>)) -> (String, usize) {
    meeting.meet();
    (node(), made.1.len())
}

#[ray::remote]
fn fail(meeting: Meeting) -> Result<(), String> {
    meeting.meet();
    Err(format!("from {}", node()))
}

#[ray::remote]
fn hold(meeting: Meeting, gate: Gate) {
    meeting.meet();
    gate.wait();
}

/// Calls `meet` from a body.
#[ray::remote(num_cpus = 0)]
fn nested(meeting: Meeting) -> Vec<String> {
    ray::get((0..CPUS).map(|_| meet.remote(meeting)).collect::<Vec<_>>()).unwrap()
}

#[ray::remote(max_retries = 1)]
fn crash(meeting: Meeting, attempts: Tally) -> String {
    if attempts.add() <= CPUS as u64 {
        meeting.meet();
        std::process::abort();
    }
    node()
}

#[ray::remote(num_cpus = 1)]
struct Counter(u64);

#[ray::remote]
impl Counter {
    pub fn new() -> Self {
        Self(0)
    }

    pub fn node(&self) -> String {
        node()
    }

    pub fn add(&mut self, by: u64) -> u64 {
        self.0 += by;
        self.0
    }
}

/// Checks that there are two nodes, and that none has run more bodies than it has CPUs.
fn both(nodes: &[String]) {
    let different: HashSet<_> = nodes.iter().collect();
    assert_eq!(different.len(), 2, "{nodes:?}");
    for node in different {
        assert!(nodes.iter().filter(|other| *other == node).count() <= OF_A_NODE, "{nodes:?}");
    }
}

#[test]
fn tasks_run_on_both() {
    if joined() {
        let meeting = Meeting::of(CPUS as u64);
        both(&ray::get((0..CPUS).map(|_| meet.remote(meeting)).collect::<Vec<_>>()).unwrap());
    }
}

#[test]
fn actors_run_on_both() {
    if joined() {
        let counters: Vec<ActorHandle<Counter>> = (0..CPUS).map(|_| Counter::remote()).collect();
        both(&ray::get(counters.iter().map(|counter| counter.node.remote()).collect::<Vec<_>>()).unwrap());
        let sums = counters.iter().flat_map(|counter| [counter.add.remote(1), counter.add.remote(2)]).collect::<Vec<_>>();
        assert_eq!(ray::get(sums).unwrap(), [1, 3].repeat(CPUS));
    }
}

#[test]
fn a_value_of_the_driver_reaches_both() {
    if joined() {
        let (meeting, numbers) = (Meeting::of(CPUS as u64), ray::put((0..100_000u64).collect::<Vec<_>>()));
        let told = ray::get((0..CPUS).map(|_| sum.remote(meeting, &numbers)).collect::<Vec<_>>()).unwrap();
        both(&told.iter().map(|(node, _)| node.clone()).collect::<Vec<_>>());
        assert!(told.iter().all(|(_, all)| *all == 4_999_950_000), "{told:?}");
    }
}

#[test]
fn values_of_both_reach_the_driver() {
    if joined() {
        let meeting = Meeting::of(CPUS as u64);
        let made = ray::get((0..CPUS).map(|_| make.remote(meeting, 200_000)).collect::<Vec<_>>()).unwrap();
        both(&made.iter().map(|(node, _)| node.clone()).collect::<Vec<_>>());
        assert!(made.iter().all(|(_, value)| value.len() == 200_000 && value.iter().all(|one| *one == 7)));
    }
}

#[test]
fn a_value_of_one_reaches_the_other() {
    if joined() {
        let made = make.remote(Meeting::of(1), 300_000);
        let meeting = Meeting::of(CPUS as u64);
        let told = ray::get((0..CPUS).map(|_| measure.remote(meeting, &made)).collect::<Vec<_>>()).unwrap();
        both(&told.iter().map(|(node, _)| node.clone()).collect::<Vec<_>>());
        assert!(told.iter().all(|(_, length)| *length == 300_000), "{told:?}");
    }
}

#[test]
fn errors_of_both() {
    if joined() {
        let meeting = Meeting::of(CPUS as u64);
        let failed: Vec<ObjectRef<()>> = (0..CPUS).map(|_| fail.remote(meeting)).collect();
        let texts = failed.into_iter().map(|one| ray::get(one).unwrap_err().to_string());
        let nodes: Vec<String> =
            texts.map(|text| text.split("from ").nth(1).unwrap_or_else(|| panic!("{text}")).chars().take(56).collect()).collect();
        both(&nodes);
    }
}

#[test]
fn nested_calls_run_on_both() {
    if joined() {
        both(&ray::get(nested.remote(Meeting::of(CPUS as u64))).unwrap());
    }
}

#[test]
fn crashes_on_both_are_retried() {
    if joined() {
        let (meeting, attempts) = (Meeting::of(CPUS as u64), Tally::new());
        let nodes = ray::get((0..CPUS).map(|_| crash.remote(meeting, attempts)).collect::<Vec<_>>()).unwrap();
        assert_eq!((nodes.len(), attempts.count()), (CPUS, 2 * CPUS as u64));
    }
}

#[test]
fn resources_of_both() {
    if joined() {
        assert_eq!(ray::cluster_resources().unwrap()["CPU"], CPUS as f64);
        let (meeting, gate) = (Meeting::of(CPUS as u64 + 1), Gate::new());
        let held: Vec<ObjectRef<()>> = (0..CPUS).map(|_| hold.remote(meeting, gate)).collect();
        meeting.meet();
        assert!(ray::get_timeout(meet.remote(Meeting::of(1)), Duration::from_secs(1)).unwrap_err().is_timeout());
        gate.open();
        ray::get_timeout(held, PATIENCE).unwrap();
    }
}

#[test]
fn a_cancel_reaches_both() {
    if joined() {
        let (meeting, never) = (Meeting::of(CPUS as u64 + 1), Gate::new());
        let held: Vec<ObjectRef<()>> = (0..CPUS).map(|_| hold.remote(meeting, never)).collect();
        meeting.meet();
        for task in &held {
            ray::cancel_with(task, ray::CancelOptions::new().force(true)).unwrap();
        }
        for task in held {
            assert!(ray::get(task).unwrap_err().is_cancelled());
        }
        let meeting = Meeting::of(CPUS as u64);
        both(&ray::get((0..CPUS).map(|_| meet.remote(meeting)).collect::<Vec<_>>()).unwrap());
    }
}
