//! What all threads of a run share: how far it is, what the drivers did last, and how a failure ends the process.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::kinds::Kind;
use crate::plan::Plan;

/// At most so many drivers run side by side.
pub const MOST_DRIVERS: usize = 4;
/// So many operations of each driver are kept for the report of a failure.
const KEPT: usize = 40;

/// The engine is about to be shut down, so its references may fail with `RuntimeGone`.
static ENDING: AtomicBool = AtomicBool::new(false);
/// The engine may have so few threads that a get fails with `Threads`.
static FEW_THREADS: AtomicBool = AtomicBool::new(false);
/// Callbacks that were registered, and those that have run.
pub static ASKED: AtomicI64 = AtomicI64::new(0);
/// See [`ASKED`].
pub static CALLED: AtomicI64 = AtomicI64::new(0);
/// The era that runs.
static ERA: AtomicU64 = AtomicU64::new(0);
static PLAN: OnceLock<Plan> = OnceLock::new();

/// One operation, as a report shows it.
#[derive(Clone, Copy, Debug)]
pub struct Note {
    /// The operation's number in its driver's program.
    pub turn: u64,
    /// Its kind, or a step of it.
    pub what: &'static str,
    /// Objects or actors by their numbers.
    pub with: [i64; 3],
}

struct Diary {
    done: AtomicU64,
    /// The turn that runs, and its kind.
    turn: AtomicU64,
    kind: AtomicU64,
    last: Mutex<VecDeque<Note>>,
}

static DIARIES: [Diary; MOST_DRIVERS] = [const {
    Diary { done: AtomicU64::new(0), turn: AtomicU64::new(0), kind: AtomicU64::new(0), last: Mutex::new(VecDeque::new()) }
}; MOST_DRIVERS];

/// The settings of this process.
pub fn plan() -> &'static Plan {
    PLAN.get().expect("the plan is set before anything runs")
}

/// Sets the plan, once.
pub fn set_plan(plan: Plan) {
    PLAN.set(plan).expect("one plan for each process");
}

/// An operation has begun.
pub fn begin(driver: usize, turn: u64, kind: Kind) {
    // Written by their driver alone.
    let Diary { done, turn: now, kind: its, .. } = &DIARIES[driver];
    done.store(done.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    now.store(turn, Ordering::Relaxed);
    its.store(kind as u64, Ordering::Relaxed);
}

/// Operations of all drivers so far.
pub fn operations() -> u64 {
    DIARIES.iter().map(|diary| diary.done.load(Ordering::Relaxed)).sum()
}

/// Notes an operation for the report of a failure.
pub fn note(driver: usize, note: Note) {
    let mut last = DIARIES[driver].last.lock();
    if last.len() == KEPT {
        last.pop_front();
    }
    last.push_back(note);
}

/// Whether the shutdown has begun.
pub fn ending() -> bool {
    ENDING.load(Ordering::SeqCst)
}

/// See [`ending`].
pub fn set_ending(ending: bool) {
    ENDING.store(ending, Ordering::SeqCst);
}

/// Whether gets may fail for want of threads.
pub fn few_threads() -> bool {
    FEW_THREADS.load(Ordering::Relaxed)
}

/// See [`few_threads`].
pub fn set_few_threads(few: bool) {
    FEW_THREADS.store(few, Ordering::Relaxed);
}

/// The era that runs.
pub fn era() -> u64 {
    ERA.load(Ordering::Relaxed)
}

/// See [`era`]; the parent process reads it too.
pub fn set_era(era: u64) {
    ERA.store(era, Ordering::Relaxed);
    DIARIES.iter().for_each(|diary| diary.last.lock().clear());
    println!("era {era} {}", operations());
}

/// Waits until something is so; a failure if it is not within the time of the watchdog.
pub fn eventually(what: &str, so: impl Fn() -> bool) {
    eventually_or(|| what.to_owned(), so);
}

/// As [`eventually`], with a text that is made when it is too late.
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

/// Ends the process with all that is known.
pub fn give_up(why: &str) -> ! {
    // One report: other threads that fail meanwhile stop here.
    static FIRST: Mutex<()> = Mutex::new(());
    let _first = FIRST.lock();
    println!("failed {} {}", era(), operations());
    if !plan().quiet {
        eprintln!("\n{}", ray::dump());
        for (number, diary) in DIARIES.iter().enumerate() {
            for Note { turn, what, with } in diary.last.lock().iter() {
                eprintln!("  driver {number}, turn {turn}: {what} {with:?}");
            }
            let (turn, kind) = (diary.turn.load(Ordering::Relaxed), diary.kind.load(Ordering::Relaxed));
            eprintln!("  driver {number} began turn {turn}, {}", Kind::name_at(kind as usize));
        }
    }
    eprintln!("era {}, {} operations: {why}", era(), operations());
    std::process::exit(1)
}
