//! Starts and shuts down many engines, one after the other; a life is the time of one engine. Threads that live longer than
//! the engines submit work until the shutdown is over, so that some work is submitted too late. Then these threads wait,
//! while their thread-local state for the engine still exists. No value and no thread of the engine may be left then, and
//! the memory of the process must not grow over many lives.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use ray::ActorHandle;

use crate::chance::Chance;
use crate::kinds::Kind;
use crate::program::{Ledger, Thing, add, later, make};
use crate::run::{Era, all_gone, config, engine_threads};
use crate::state::{self, ASKED, CALLED, ending, eventually, give_up, plan};

/// The number of lives in one call of [`run`].
const LIVES: u64 = 15;
/// The number of threads that submit work. They are started in the first life, and live until the process ends.
const SUBMITTERS: usize = 6;
/// The maximum number of submissions of a thread in one life.
const MOST: u64 = 1000;
/// The memory of the process is measured after this number of lives, and must not grow by more than [`GROWTH`] bytes after
/// that. A leak of one thread's state is some kilobytes for each life.
const WARM: u64 = 150;
const GROWTH: i64 = 32 << 20;

/// The number of sorts of submissions. The sort `SORTS` itself means that the threads alternate between all of them.
const SORTS: usize = 8;

#[derive(Default)]
struct Round {
    life: u64,
    sort: usize,
    busy: usize,
    ledger: Option<ActorHandle<Ledger>>,
}

#[derive(Default)]
struct Submitters {
    round: Mutex<Round>,
    moved: Condvar,
}

/// The threads that submit work, which never end.
fn submitters() -> &'static Submitters {
    static ALL: OnceLock<Submitters> = OnceLock::new();
    static STARTED: OnceLock<()> = OnceLock::new();
    let all = ALL.get_or_init(Submitters::default);
    STARTED.get_or_init(|| {
        for number in 0..SUBMITTERS {
            let thread = std::thread::Builder::new().name(format!("submitter {number}"));
            thread.spawn(move || all.submit(number as u64)).expect("a thread");
        }
    });
    all
}

impl Submitters {
    fn submit(&self, number: u64) {
        let mut seen = 0;
        loop {
            let (sort, ledger) = {
                let mut round = self.round.lock();
                while round.life == seen {
                    self.moved.wait(&mut round);
                }
                seen = round.life;
                (round.sort, round.ledger.clone())
            };
            for turn in 0..MOST {
                if ending() {
                    break;
                }
                let sort = if sort == SORTS { (turn + number) as usize % SORTS } else { sort };
                submit(sort, ledger.as_ref());
            }
            drop(ledger);
            self.round.lock().busy -= 1;
            self.moved.notify_all();
        }
    }

    fn start(&self, sort: usize, ledger: Option<ActorHandle<Ledger>>) {
        let mut round = self.round.lock();
        *round = Round { life: round.life + 1, sort, busy: SUBMITTERS, ledger };
        self.moved.notify_all();
    }

    /// Waits until no thread submits work any more.
    fn finish(&self) {
        let mut round = self.round.lock();
        while round.busy > 0 {
            if self.moved.wait_for(&mut round, plan().watchdog).timed_out() && round.busy > 0 {
                drop(round);
                give_up("a submission does not return");
            }
        }
        round.ledger = None;
    }
}

/// Submits a task for which no thread waits.
fn submit(sort: usize, ledger: Option<&ActorHandle<Ledger>>) {
    let thing = || Thing::new(1);
    match sort {
        0 => drop(make.remote(1)),
        1 => drop(later.remote(ray::put(thing()), 1)),
        2 => drop(add.options().num_cpus(0.0).remote(thing(), thing())),
        3 => drop(add.options().num_cpus(1.0).resource("slot", 1.0).remote(thing(), thing())),
        4 => drop(Ledger::remote(thing())),
        5 => drop(later.options().num_cpus(1.0).remote(ray::put(thing()), 1)),
        6 => match ledger {
            Some(ledger) => drop(ledger.sum.remote(thing())),
            None => drop(add.remote(thing(), thing())),
        },
        _ => {
            ASKED.fetch_add(1, Ordering::SeqCst);
            make.remote(1).on_ready(|| {
                CALLED.fetch_add(1, Ordering::SeqCst);
            });
        }
    }
}

/// Runs some lives; each counts as an operation.
pub fn run(era: &Era) {
    let before = engine_threads();
    for life in 0..LIVES {
        state::begin(0, life, Kind::Lives);
        one(era, &mut Chance::new(&[era.seed, era.number, u64::from(u32::MAX), life]));
        if plan().kinds.has(Kind::ThreadsEnd) {
            eventually("the engine's threads end, although threads that submitted work are still alive", || {
                engine_threads() <= before
            });
        }
    }
    if plan().kinds.has(Kind::Memory) {
        check_memory();
    }
}

fn one(era: &Era, chance: &mut Chance) {
    let sort = chance.below(SORTS + 1);
    ray::init_with(config(era)).expect("no engine runs");
    let ledger = chance.one_in(2).then(|| Ledger::remote(Thing::new(0)));
    submitters().start(sort, ledger);
    let end = Instant::now() + Duration::from_micros(chance.below(600) as u64);
    while Instant::now() < end {
        std::thread::yield_now();
    }
    state::set_ending(true);
    ray::shutdown().expect("all bodies end, and this thread runs none");
    submitters().finish();
    // A thread that submitted work after the shutdown has started another engine.
    ray::shutdown().expect("all bodies end, and this thread runs none");
    all_gone("after the shutdown, while the threads that submitted work wait");
    eventually("every callback has run", || ASKED.load(Ordering::SeqCst) == CALLED.load(Ordering::SeqCst));
    state::set_ending(false);
}

/// Checks that the memory of the process does not grow with the number of lives.
fn check_memory() {
    static SO_FAR: AtomicU64 = AtomicU64::new(0);
    static AT_FIRST: AtomicI64 = AtomicI64::new(0);
    let lives = SO_FAR.fetch_add(LIVES, Ordering::Relaxed) + LIVES;
    let Some(now) = resident() else { return };
    if lives <= WARM {
        AT_FIRST.store(now, Ordering::Relaxed);
        return;
    }
    let grown = now - AT_FIRST.load(Ordering::Relaxed);
    if grown > GROWTH {
        give_up(&format!("the process uses {grown} bytes more after {lives} lives than after {WARM} lives"));
    }
}

/// The resident memory of the process in bytes; none if the system does not report it.
fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<i64>().ok()? << 10)
}
