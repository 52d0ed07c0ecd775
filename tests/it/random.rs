//! Random programs, checked against a simple sequential model: the possible results of each reference, the number of drops
//! of each value, and the order in which an actor's calls begin. Two runs of 100,000 operations, with a fixed and with a
//! fresh seed, each in its own process; `RAY_TEST_SEED` and `RAY_TEST_OPS` override this. A failure or a hang prints the
//! seed and the last operations.

mod driver;
mod model;
mod program;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::stage::{alone_with, eventually};
use crate::support::PATIENCE;

/// The number of threads that run random programs concurrently.
const DRIVERS: usize = 3;
/// Operations of a driver in each life of an engine.
const ERA: u64 = 1500;
const OPERATIONS: u64 = 100_000;

/// Set before a shutdown: from then on operations may fail because the engine is gone.
static ENDING: AtomicBool = AtomicBool::new(false);
/// The number of callbacks that were registered, and of those that have run.
static REGISTERED: AtomicI64 = AtomicI64::new(0);
static CALLED: AtomicI64 = AtomicI64::new(0);
/// Counts operations, so that the watchdog detects a hang.
static STEPS: AtomicU64 = AtomicU64::new(0);
static SEED: AtomicU64 = AtomicU64::new(0);
static LAST: Mutex<VecDeque<String>> = Mutex::new(VecDeque::new());

/// Records an operation for the report of a failure.
fn log(text: String) {
    STEPS.fetch_add(1, Ordering::Relaxed);
    let mut last = LAST.lock();
    if last.len() == 60 {
        last.pop_front();
    }
    last.push_back(text);
}

/// Prints the last operations and the seed, and ends the process.
fn give_up(why: &str) -> ! {
    let last = LAST.lock();
    for operation in &*last {
        eprintln!("  {operation}");
    }
    eprintln!(
        "{why}\nafter {} operations; run again with RAY_TEST_SEED={}",
        STEPS.load(Ordering::Relaxed),
        SEED.load(Ordering::Relaxed)
    );
    std::process::exit(1);
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A small generator: xorshift64*.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 33) % end.max(1) as u64) as usize
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }
}

pub(crate) fn run(seed: u64, operations: u64) {
    SEED.store(seed, Ordering::Relaxed);
    std::panic::set_hook(Box::new(|panic| {
        // The bodies in program.rs panic on purpose, on driver threads as well; any other panic is a failure.
        if !panic.location().is_some_and(|at| at.file().ends_with("program.rs")) {
            give_up(&panic.to_string());
        }
    }));
    std::thread::spawn(|| {
        let mut before = u64::MAX;
        loop {
            std::thread::park_timeout(PATIENCE);
            let now = STEPS.load(Ordering::Relaxed);
            if now == before {
                give_up("no operation for a long time");
            }
            before = now;
        }
    });
    let mut chance = Chance::new(seed);
    let mut done = 0;
    let main = std::thread::Builder::new().name("driver of drivers".to_owned());
    let all = main.spawn(move || {
        while done < operations {
            let here = ERA.min((operations - done).div_ceil(DRIVERS as u64));
            era(&mut chance, here);
            done += here * DRIVERS as u64;
        }
    });
    all.expect("a thread").join().expect("a failed driver ends the process");
}

/// Runs one life of an engine, from `init` to `shutdown`.
fn era(chance: &mut Chance, operations: u64) {
    let cpus = 1 + chance.below(4);
    let abrupt = chance.one_in(2);
    log(format!("era on {cpus} cpus, {}", if abrupt { "shut down early" } else { "to its end" }));
    let config = ray::Config::new().num_cpus(cpus).resource("slot", 2.0).tips(false).stall_report(Duration::from_secs(600));
    crate::support::init_with(config).expect("no engine runs");
    let shared = Arc::new(driver::Shared::new(cpus));
    let drivers: Vec<_> = (0..DRIVERS)
        .map(|number| {
            let (shared, seed) = (shared.clone(), chance.next());
            let thread = std::thread::Builder::new().name(format!("driver {number}"));
            thread.spawn(move || driver::run(number, seed, operations, &shared)).expect("a thread")
        })
        .collect();
    if abrupt {
        let end = STEPS.load(Ordering::Relaxed) + chance.next() % (operations * DRIVERS as u64);
        while STEPS.load(Ordering::Relaxed) < end && !drivers.iter().all(|driver| driver.is_finished()) {
            std::thread::yield_now();
        }
        ENDING.store(true, Ordering::SeqCst);
        log("shutdown".to_owned());
        ray::shutdown().expect("no body runs");
    }
    for driver in drivers {
        driver.join().expect("a failed driver ends the process");
    }
    shared.check();
    drop(shared);
    if !abrupt {
        program::all_dropped("while the engine runs");
    }
    log("shutdown at the end".to_owned());
    ray::shutdown().expect("no body runs");
    program::all_dropped("after the shutdown");
    eventually("every callback has run", || REGISTERED.load(Ordering::SeqCst) == CALLED.load(Ordering::SeqCst));
    assert_eq!(program::DISORDER.load(Ordering::SeqCst), 0, "calls of one caller begin in their order");
    ENDING.store(false, Ordering::SeqCst);
}

const QUIET: &[(&str, &str)] = &[("RAY_IGNORE_UNHANDLED_ERRORS", "1")];

#[test]
fn by_a_fixed_seed() {
    alone_with(QUIET, || run(20_260_729, number("RAY_TEST_OPS").unwrap_or(OPERATIONS)));
}

#[test]
fn by_a_fresh_seed() {
    alone_with(QUIET, || {
        let fresh = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
        run(number("RAY_TEST_SEED").unwrap_or(fresh), number("RAY_TEST_OPS").unwrap_or(OPERATIONS));
    });
}
