//! Short lives of an engine, one after the other. Threads that outlive them all submit work until the shutdown is over, so
//! that some of it comes late. Then these threads rest, with all that they know of the engine, and nothing may be left: no
//! value, no thread of the engine, and, over many lives, no memory.

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

/// Lives in a row.
const LIVES: u64 = 15;
/// Threads that submit, from their first life to the end of the process.
const SUBMITTERS: usize = 6;
/// The most that one of them submits in one life.
const MOST: u64 = 1000;
/// After so many lives the memory of the process is measured, and may not grow further by more than [`GROWTH`]. What each
/// life leaves by mistake in each thread is some kilobytes.
const WARM: u64 = 150;
const GROWTH: i64 = 32 << 20;

/// What a life's threads submit; the last number stands for all of it in turn.
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

/// The threads, which never end.
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

    /// Waits until none submits any more.
    fn finish(&self) {
        let mut round = self.round.lock();
        while round.busy > 0 {
            if self.moved.wait_for(&mut round, plan().watchdog).timed_out() && round.busy > 0 {
                drop(round);
                give_up("a thread does not come back from a submission");
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

/// Some lives; each counts as an operation.
pub fn run(era: &Era) {
    let before = engine_threads();
    for life in 0..LIVES {
        state::begin(0, life, Kind::Lives);
        one(era, &mut Chance::new(&[era.seed, era.number, u64::from(u32::MAX), life]));
        if plan().kinds.has(Kind::ThreadsEnd) {
            eventually("the engine's threads end, though a thread submitted work to it", || engine_threads() <= before);
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
    ray::shutdown().expect("no body is left, and none asks for it");
    submitters().finish();
    // A thread that submitted after the shutdown has started another engine.
    ray::shutdown().expect("no body is left, and none asks for it");
    all_gone("after the shutdown, while the threads rest that submitted work");
    eventually("every callback has run", || ASKED.load(Ordering::SeqCst) == CALLED.load(Ordering::SeqCst));
    state::set_ending(false);
}

/// The memory of the process does not grow with the number of lives.
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
        give_up(&format!("{grown} bytes more of memory are in use after {lives} lives than after {WARM}"));
    }
}

/// Bytes of memory that the process has; none where the system does not tell.
fn resident() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<i64>().ok()? << 10)
}
