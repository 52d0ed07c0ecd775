//! Runs one seed with one number of CPUs: eras, one after the other. An era is the lifetime of one engine.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::count::{STATES, THINGS};
use crate::driver::{self, Shared};
use crate::kinds::{Kind, Kinds, Pace};
use crate::lives;
use crate::program;
use crate::state::{self, ASKED, CALLED, MOST_DRIVERS, eventually, eventually_or, give_up, plan};

/// The number of turns of a driver in an era.
const TURNS: u64 = 1500;

/// The properties of an era, which its seed determines.
#[derive(Clone, Debug)]
pub struct Era {
    pub seed: u64,
    pub number: u64,
    pub cpus: usize,
    pub turns: u64,
    pub kinds: Kinds,
    /// Whether objects and handles live longer than the engine.
    pub keeps: bool,
    drivers: usize,
    /// The number of operations after which the engine is shut down while its drivers run.
    cut: Option<u64>,
    few_threads: bool,
    /// Whether short lives follow, see [`lives`].
    lives: bool,
}

impl Era {
    fn new(seed: u64, number: u64, cpus: usize) -> Self {
        let mut chance = Chance::new(&[seed, number]);
        // Each era leaves out some kinds, so that combinations of rare kinds occur.
        let dropped = Kinds::all()
            // These kinds consume no random number here, so that the programs of older seeds have not changed.
            .but(Kinds::from(Kind::Lives).and(Kind::Memory.into()))
            .iter()
            .filter(|_| chance.one_in(4))
            .fold(Kinds::all().but(Kinds::all()), |set, kind| set.and(kind.into()));
        let mut kinds = Kinds::of(Pace::Fast).but(dropped).and(crate::kinds::needed());
        // If the plan has only kinds of one pace, every era has them.
        let only = |pace| plan().kinds.but(crate::kinds::needed()).but(Kinds::of(pace)).but(Kinds::of(Pace::Era)).is_empty();
        let (stage, slow) = (chance.one_in(16), chance.one_in(8));
        let (stage, slow) = (stage || only(Pace::Stage), slow || only(Pace::Slow));
        if stage {
            kinds = kinds.and(Kinds::of(Pace::Stage));
        } else if slow {
            kinds = kinds.and(Kinds::of(Pace::Slow));
        }
        let drivers = if stage { 1 } else { 1 + chance.below(MOST_DRIVERS) };
        let turns = match chance.below(6) {
            0 => 1 + chance.below(80) as u64,
            _ if stage => 200,
            _ => TURNS,
        };
        let on = |kind| plan().kinds.has(kind);
        let cut = (!stage && chance.one_in(2)).then(|| chance.below(turns as usize) as u64 * drivers as u64);
        let (few_threads, keeps) = (!stage && chance.one_in(10), chance.one_in(4));
        let (cut, few_threads, keeps) =
            (cut.filter(|_| on(Kind::Cut)), few_threads && on(Kind::FewThreads), keeps && on(Kind::Keep));
        let lives = on(Kind::Lives) && (are_only_lives() || Chance::new(&[seed, number, u64::from(u32::MAX)]).one_in(16));
        Era { seed, number, cpus, turns, kinds, keeps, drivers, cut, few_threads, lives }
    }
}

/// Whether the plan contains short lives and no other operations.
fn are_only_lives() -> bool {
    let operations = plan().kinds.but(crate::kinds::needed()).but(Kinds::of(Pace::Era));
    operations.is_empty() && plan().kinds.has(Kind::Lives)
}

/// Runs the plan of this process to its end.
pub fn run() {
    let plan = plan();
    let seed = plan.seed.expect("a child has a seed");
    std::panic::set_hook(Box::new(|panic| {
        // The bodies in the module `program` panic on purpose, also on the drivers' threads. Any other panic is a failure.
        if !panic.location().is_some_and(|at| at.file().contains("program")) {
            give_up(&panic.to_string());
        }
    }));
    std::thread::Builder::new().name("watchdog".to_owned()).spawn(watch).expect("a thread");
    let end = plan.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let in_time = || end.is_none_or(|end| Instant::now() < end);
    let mut number = plan.eras.as_ref().map_or(0, |eras| eras.start);
    let last = plan.eras.as_ref().map_or(u64::MAX, |eras| eras.end);
    for _ in 0..plan.tries {
        let before = state::operations();
        let first = number;
        while number < last && in_time() && state::operations() - before < plan.ops {
            let next = Era::new(seed, number, plan.cpus[0]);
            state::set_era(number);
            if !are_only_lives() {
                era(&next);
            }
            if next.lives {
                lives::run(&next);
            }
            number += 1;
        }
        if plan.eras.is_some() {
            number = first;
        }
    }
    println!("done {} {}", number, state::operations());
}

/// The watchdog: ends the process if there is no progress.
fn watch() {
    let mut before = u64::MAX;
    loop {
        // Waits for the time of the watchdog. `park_timeout` may return early.
        let end = Instant::now() + plan().watchdog;
        while Instant::now() < end {
            std::thread::park_timeout(plan().watchdog / 2);
        }
        let now = state::operations() + (state::era() << 40);
        if now == before {
            give_up("the run hangs");
        }
        before = now;
    }
}

/// The configuration of the engine of an era.
pub fn config(era: &Era) -> ray::Config {
    ray::Config::new()
        .num_cpus(era.cpus)
        .resource("slot", 2.0)
        .resource("seat", 2.0)
        .tips(false)
        .strict(plan().strict)
        .stall_report(Duration::from_secs(600))
}

fn era(era: &Era) {
    let threads_before = engine_threads();
    let mut config = config(era);
    if era.few_threads {
        config = config.max_threads(era.cpus + (era.seed % 4) as usize);
    }
    state::set_few_threads(era.few_threads);
    ray::init_with(config).expect("no engine runs");
    let shared = Arc::new(Shared::new(era.clone()));
    let before = state::operations();
    let drivers: Vec<_> = (0..era.drivers)
        .map(|number| {
            let shared = shared.clone();
            let thread = std::thread::Builder::new().name(format!("driver {number}"));
            thread.spawn(move || driver::run(number, shared)).expect("a thread")
        })
        .collect();
    if let Some(cut) = era.cut {
        while state::operations() - before < cut && !drivers.iter().all(|driver| driver.is_finished()) {
            std::thread::park_timeout(Duration::from_micros(50));
        }
        state::set_ending(true);
        ray::shutdown().expect("all bodies end, and this thread runs none");
    }
    let kept: Vec<_> = drivers.into_iter().map(|driver| driver.join().expect("a failed driver ends the process")).collect();
    shared.check();
    if era.keeps {
        ray::shutdown().expect("all bodies end, and this thread runs none");
        eventually("the shutdown drops the states of actors", || STATES.alive() == 0);
        drop((shared, kept));
    } else {
        drop((shared, kept));
        if era.cut.is_none() {
            all_gone("while the engine runs");
            driver::all_free();
        }
        ray::shutdown().expect("all bodies end, and this thread runs none");
    }
    all_gone("after the shutdown");
    eventually("every callback has run", || ASKED.load(Ordering::SeqCst) == CALLED.load(Ordering::SeqCst));
    if program::DISORDER.load(Ordering::SeqCst) != 0 {
        give_up("calls of one caller began in another order than that of the caller");
    }
    if plan().kinds.has(Kind::ThreadsEnd) {
        eventually("the engine's threads end", || engine_threads() <= threads_before);
    }
    program::forget_cells();
    state::set_ending(false);
}

/// Waits until every value is dropped.
pub fn all_gone(when: &str) {
    let left =
        || format!("all values are dropped {when}: {} values and {} states of actors are left", THINGS.alive(), STATES.alive());
    eventually_or(left, || THINGS.alive() == 0 && STATES.alive() == 0);
}

/// The number of threads in this process that an engine has started; 0 if the system does not report it.
pub fn engine_threads() -> usize {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0 };
    tasks
        .flatten()
        .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.starts_with("ray-")))
        .count()
}
