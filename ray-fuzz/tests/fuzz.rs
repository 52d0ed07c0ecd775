//! Runs all targets with the inputs of the corpora, and then with mutations of them for `RAY_FUZZ_SECONDS` (2 by default)
//! in total. `RAY_FUZZ_SEED` repeats a run.
//!
//! The limits of each input are [`MEMORY`] and [`PATIENCE`]. The current input is also in a file, which remains if the
//! process fails. The message of the failure contains its path: `RAY_FUZZ_INPUT=<file>` runs this input alone, for all
//! targets or for `RAY_FUZZ_TARGET`.

use std::alloc::System;
use std::env;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use cap::Cap;
use fastrand::Rng;
use ray_fuzz::{TARGETS, Target};

#[global_allocator]
static MEMORY_IN_USE: Cap<System> = Cap::new(System, usize::MAX);

/// The maximum length of an input.
const LONGEST: usize = 4096;

/// The maximum number of bytes that the process may have in use. gzip expands an input of [`LONGEST`] bytes to up to four
/// million.
const MEMORY: usize = 32 << 20;

/// The maximum time for one input. It is long because a busy machine may suspend a thread for seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// The number of inputs that were begun. If it does not change for [`PATIENCE`], the current input hangs.
static BEGUN: AtomicU64 = AtomicU64::new(0);

struct Runner {
    current: File,
    path: PathBuf,
}

impl Runner {
    fn new() -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-input");
        let current = File::create(&path).expect("the folder of temporary files can be written");
        let watched = path.clone();
        thread::spawn(move || watch(&watched));
        Runner { current, path }
    }

    fn try_one(&self, target: Target, input: &[u8]) {
        self.current
            .write_all_at(input, 0)
            .and_then(|()| self.current.set_len(input.len() as u64))
            .expect("the file of the current input can be written");
        BEGUN.fetch_add(1, Ordering::Relaxed);
        let outcome = std::panic::catch_unwind(|| (target.run)(input));
        let most = MEMORY_IN_USE.max_allocated();
        let file = self.path.display();
        let name = target.name;
        assert!(outcome.is_ok(), "{name} panicked: RAY_FUZZ_INPUT={file} RAY_FUZZ_TARGET={name}");
        assert!(most <= MEMORY, "{name} had {most} bytes in use: RAY_FUZZ_INPUT={file} RAY_FUZZ_TARGET={name}");
    }
}

/// Ends the process if an input takes too long.
fn watch(path: &Path) {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        thread::park_timeout(Duration::from_millis(500));
        let begun = BEGUN.load(Ordering::Relaxed);
        if begun != last {
            (last, since) = (begun, Instant::now());
        } else if since.elapsed() > PATIENCE && begun != u64::MAX {
            eprintln!("an input takes longer than {PATIENCE:?}: RAY_FUZZ_INPUT={}", path.display());
            std::process::abort();
        }
    }
}

fn corpus(target: Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

#[test]
fn decoders_accept_or_refuse_all_bytes_within_limits() {
    let runner = Runner::new();
    let wanted = env::var("RAY_FUZZ_TARGET").ok();
    let targets: Vec<Target> =
        TARGETS.iter().copied().filter(|target| wanted.as_ref().is_none_or(|name| name == target.name)).collect();
    assert!(!targets.is_empty(), "there is no target {wanted:?}");
    if let Some(file) = env::var_os("RAY_FUZZ_INPUT") {
        let input = fs::read(file).unwrap();
        targets.iter().for_each(|target| runner.try_one(*target, &input));
    } else {
        let number = |name: &str| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
        let seconds = number("RAY_FUZZ_SECONDS").unwrap_or(2);
        let fresh = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64);
        let seed = number("RAY_FUZZ_SEED").unwrap_or_else(fresh);
        println!("RAY_FUZZ_SEED={seed} RAY_FUZZ_SECONDS={seconds}");
        for target in &targets {
            let tried = mutate(&runner, *target, seed, Duration::from_secs(seconds) / targets.len() as u32);
            println!("    {:<10}{tried:>10} inputs", target.name);
        }
    }
    BEGUN.store(u64::MAX, Ordering::Relaxed);
    let _ = fs::remove_file(&runner.path);
}

/// Runs the inputs of the corpus, and then mutations of them until the time is over. Returns the number of inputs.
fn mutate(runner: &Runner, target: Target, seed: u64, time: Duration) -> u64 {
    let corpus = corpus(target);
    for input in &corpus {
        runner.try_one(target, input);
    }
    let mut random = Rng::with_seed(seed);
    let end = Instant::now() + time;
    let mut tried = corpus.len() as u64;
    while Instant::now() < end {
        let mut input = if random.u8(..8) == 0 {
            (0..random.usize(..64)).map(|_| random.u8(..)).collect()
        } else {
            corpus[random.usize(..corpus.len())].clone()
        };
        for _ in 0..random.usize(1..6) {
            change(&mut random, &mut input, &corpus);
        }
        input.truncate(LONGEST);
        runner.try_one(target, &input);
        tried += 1;
    }
    tried
}

/// Numbers at the limits of the fields of headers.
const EDGES: [u32; 10] = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];

/// Makes one random change at a random place.
fn change(random: &mut Rng, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
    let at = random.usize(..=input.len());
    match random.u8(..8) {
        0 if at < input.len() => input[at] ^= 1 << random.u8(..8),
        1 if at < input.len() => input[at] = random.u8(..),
        2 => input.insert(at, random.u8(..)),
        3 => input.truncate(at),
        4 => {
            let end = (at + random.usize(1..16)).min(input.len());
            input.drain(at..end);
        }
        5 => {
            let end = (at + random.usize(1..64)).min(input.len());
            let piece = input[at..end].to_vec();
            let times = random.usize(1..64).min(LONGEST / piece.len().max(1));
            input.splice(at..at, piece.repeat(times));
        }
        6 => {
            let edge = EDGES[random.usize(..EDGES.len())];
            let bytes = if random.bool() { edge.to_be_bytes() } else { edge.to_le_bytes() };
            let end = (at + 4).min(input.len());
            input.splice(at..end, bytes);
        }
        _ => {
            let other = &corpus[random.usize(..corpus.len())];
            let from = random.usize(..=other.len());
            input.truncate(at);
            input.extend(&other[from..]);
        }
    }
    input.truncate(2 * LONGEST);
}
