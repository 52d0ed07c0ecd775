//! The state that all threads of a run share: the progress, the last operations of each driver, and the report of a
//! failure.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::kinds::Kind;
use crate::plan::Plan;

/// The maximum number of drivers that run at the same time.
pub const MOST_DRIVERS: usize = 4;
/// The number of operations of each driver that are kept for the report of a failure.
const KEPT: usize = 40;

/// Whether the shutdown of the engine has begun or will begin soon, so that references may fail with `RuntimeGone`.
static ENDING: AtomicBool = AtomicBool::new(false);
/// Whether the engine may have so few threads that a get fails with `Threads`.
static FEW_THREADS: AtomicBool = AtomicBool::new(false);
/// The number of callbacks that were registered.
pub static ASKED: AtomicI64 = AtomicI64::new(0);
/// The number of callbacks that have run.
pub static CALLED: AtomicI64 = AtomicI64::new(0);
/// The number of the current era.
static ERA: AtomicU64 = AtomicU64::new(0);
static PLAN: OnceLock<Plan> = OnceLock::new();

/// An operation in the report of a failure.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    /// The operation's number in its driver's program.
    pub turn: u64,
    /// The kind of the operation, or a step of it.
    pub what: &'static str,
    /// The numbers of the objects or actors.
    pub with: [i64; 3],
}

/// The last operations of one driver.
struct OperationLog {
    done: AtomicU64,
    /// The current turn, and its kind.
    turn: AtomicU64,
    kind: AtomicU64,
    last: Mutex<VecDeque<Note>>,
}

static LOGS: [OperationLog; MOST_DRIVERS] = [const {
    OperationLog { done: AtomicU64::new(0), turn: AtomicU64::new(0), kind: AtomicU64::new(0), last: Mutex::new(VecDeque::new()) }
}; MOST_DRIVERS];

/// The settings of this process.
pub fn plan() -> &'static Plan {
    PLAN.get().expect("`set_plan` is called before the run starts")
}

/// Sets the plan, once.
pub fn set_plan(plan: Plan) {
    PLAN.set(plan).expect("a process has one plan");
}

/// Records that a driver has begun an operation.
pub fn begin(driver: usize, turn: u64, kind: Kind) {
    // Only the driver itself writes these fields.
    let OperationLog { done, turn: now, kind: its, .. } = &LOGS[driver];
    done.store(done.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    now.store(turn, Ordering::Relaxed);
    its.store(kind as u64, Ordering::Relaxed);
}

/// The number of operations that all drivers have begun.
pub fn operations() -> u64 {
    LOGS.iter().map(|log| log.done.load(Ordering::Relaxed)).sum()
}

/// Notes an operation for the report of a failure.
pub fn note(driver: usize, note: Note) {
    let mut last = LOGS[driver].last.lock();
    if last.len() == KEPT {
        last.pop_front();
    }
    last.push_back(note);
}

/// Whether the shutdown of the engine has begun or will begin soon.
pub fn ending() -> bool {
    ENDING.load(Ordering::SeqCst)
}

/// See [`ending`].
pub fn set_ending(ending: bool) {
    ENDING.store(ending, Ordering::SeqCst);
}

/// Whether gets may fail because the engine has too few threads.
pub fn few_threads() -> bool {
    FEW_THREADS.load(Ordering::Relaxed)
}

/// See [`few_threads`].
pub fn set_few_threads(few: bool) {
    FEW_THREADS.store(few, Ordering::Relaxed);
}

/// The number of the current era.
pub fn era() -> u64 {
    ERA.load(Ordering::Relaxed)
}

/// Sets [`era`], and prints it for the parent process.
pub fn set_era(era: u64) {
    ERA.store(era, Ordering::Relaxed);
    LOGS.iter().for_each(|log| log.last.lock().clear());
    println!("era {era} {}", operations());
}

/// Waits until `so` returns true. Ends the process with a failure if it does not within the time of the watchdog.
pub fn eventually(what: &str, so: impl Fn() -> bool) {
    eventually_or(|| what.to_owned(), so);
}

/// As [`eventually`], with a function that makes the text when the time is over.
pub fn eventually_or(what: impl Fn() -> String, so: impl Fn() -> bool) {
    let end = std::time::Instant::now() + plan().watchdog;
    let mut pause = Duration::from_micros(20);
    while !so() {
        if std::time::Instant::now() > end {
            give_up(&format!("not in time: {}", what()));
        }
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(Duration::from_millis(2));
    }
}

/// Prints the report of a failure, and ends the process.
pub fn give_up(why: &str) -> ! {
    // Only one thread prints a report: other threads that fail at the same time block here.
    static FIRST: Mutex<()> = Mutex::new(());
    let _first = FIRST.lock();
    println!("failed {} {}", era(), operations());
    if !plan().quiet {
        eprintln!("\n{}", ray::dump());
        for (number, log) in LOGS.iter().enumerate() {
            for Note { turn, what, with } in log.last.lock().iter() {
                eprintln!("  driver {number}, turn {turn}: {what} {with:?}");
            }
            let (turn, kind) = (log.turn.load(Ordering::Relaxed), log.kind.load(Ordering::Relaxed));
            eprintln!("  driver {number} began turn {turn}, {}", Kind::name_at(kind as usize));
        }
    }
    eprintln!("era {}, {} operations: {why}", era(), operations());
    std::process::exit(1)
}
