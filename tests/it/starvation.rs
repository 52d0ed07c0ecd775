//! Awaited work is not starved: not by a worker thread that has taken it in a batch, and not by other queued work.

use std::time::{Duration, Instant};

use ray::{ActorHandle, ObjectRef, remote};

use crate::stage::{Meeting, alone_on};
use crate::support::{Gate, PATIENCE, calls};

/// Submits itself again, so that the queue of work that asks for no CPU is never empty.
#[remote(num_cpus = 0)]
fn again(enough: Gate) {
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_micros(20) {
        std::hint::spin_loop();
    }
    if !enough.is_open() {
        again.tell(enough);
    }
}

#[remote]
struct Cell {
    value: u64,
}

#[remote]
impl Cell {
    pub fn new() -> Self {
        Cell { value: 0 }
    }

    pub fn add(&mut self, more: u64) -> u64 {
        self.value += more;
        self.value
    }

    pub fn wait_for(&mut self, other: Vec<ObjectRef<u64>>) -> u64 {
        ray::get(&other[0]).unwrap()
    }
}

/// A worker thread takes several jobs at once. If one of its bodies blocks or is long, other workers begin the remaining
/// jobs, even when they have other work.
#[test]
fn awaited_work_is_not_starved() {
    alone_on(2, || {
        let cells = || -> Vec<ActorHandle<Cell>> { (0..calls(2, 4)).map(|_| Cell::remote()).collect() };
        let enough = Gate::new();
        let (waiting, waited) = (cells(), cells());
        for cell in waiting.iter().chain(&waited) {
            ray::get(cell.add.remote(0)).unwrap();
        }
        for _ in 0..calls(2, 16) {
            again.tell(enough);
        }
        for round in 1..=calls(5, 100) {
            let results: Vec<_> = waiting
                .iter()
                .zip(&waited)
                .map(|(waiting, waited)| {
                    waiting.add.tell(1);
                    let result = waited.add.remote(1);
                    waiting.wait_for.remote(vec![result])
                })
                .collect();
            assert_eq!(ray::get_timeout(results, PATIENCE).unwrap(), vec![round; waiting.len()]);
        }
        enough.open();
    });
}

#[remote(max_concurrency = 2)]
struct Slow;

#[remote]
impl Slow {
    pub fn new() -> Self {
        // Nothing signals that the monitor thread rests; the calls must begin in either case.
        // body: longer than the monitor thread stays awake when nothing is queued
        std::thread::sleep(Duration::from_millis(60));
        Slow
    }

    pub fn meet(&self, meeting: Meeting) {
        meeting.meet();
    }
}

/// Two calls are sent while the constructor runs and the monitor thread rests. Both begin, although the first one blocks the
/// only worker thread.
#[test]
fn calls_admitted_together_all_begin() {
    alone_on(1, || {
        for _ in 0..calls(3, 5) {
            let (slow, meeting) = (Slow::remote(), Meeting::of(2));
            let meets = [slow.meet.remote(meeting), slow.meet.remote(meeting)];
            ray::get_timeout(meets, PATIENCE).unwrap();
        }
    });
}

#[remote]
struct Party;

#[remote]
impl Party {
    pub fn new() -> Self {
        Party
    }

    pub fn meet(&self, meeting: Meeting) {
        meeting.meet();
    }
}

/// Bodies that were short so far now wait for each other. The engine must not mistake a blocked body for one that has only
/// lost its processor.
#[test]
fn short_bodies_that_block_are_not_starved() {
    alone_on(1, || {
        let guests = calls(3, 6);
        let parties: Vec<_> = (0..guests).map(|_| Party::remote()).collect();
        for party in &parties {
            ray::get((0..calls(10, 100)).map(|_| party.meet.remote(Meeting::of(1))).collect::<Vec<_>>()).unwrap();
        }
        for _ in 0..5 {
            let meeting = Meeting::of(guests);
            let meets: Vec<_> = parties.iter().map(|party| party.meet.remote(meeting)).collect();
            ray::get_timeout(meets, PATIENCE).unwrap();
        }
    });
}
