//! The program that `cargo xtask compare` runs on two versions of the engine: the cases of the bench, without the peers,
//! with a given number of operations.
//!
//! `probe CASE SIZE ROUNDS` does the work of one case with that size, ROUNDS times. It prints the number of operations in a
//! round and the lower quartile of the samples of all rounds. A sample is the nanoseconds for each operation, or memory in
//! the cases that measure memory. The load of other programs moves the lower quartile less than the median.
//!
//! The file must compile against old versions of the engine. So it uses only the part of `ray` that every version since
//! 469ada4 has, and no other crate. For this reason it repeats about twenty lines of the bench, the remote functions and
//! the counter of `src/ours.rs`, instead of sharing them. A change of these lines there does not have to be repeated here.

use std::{
    env, fs,
    hint::black_box,
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use ray::{Config, Pending, remote};

/// The number of links in a chain, and the number of references in a wait.
const THOUSAND: u64 = 1_000;
/// The steps of arithmetic of a task of `par20`: about 20 microseconds.
const STEPS: u64 = 20_000;
/// The time that an engine has to become idle.
const PAUSE: Duration = Duration::from_millis(50);

/// The number of actors that were dropped.
static GONE: AtomicUsize = AtomicUsize::new(0);

#[remote]
fn noop() -> u64 {
    1
}

#[remote]
fn echo(value: u64) -> u64 {
    value
}

#[remote]
fn successor(value: u64) -> u64 {
    value + 1
}

#[remote]
fn fib(n: u64) -> ray::Result<u64> {
    if n < 2 {
        return Ok(n);
    }
    let (left, right) = (fib.remote(n - 1), fib.remote(n - 2));
    Ok(ray::get(left)? + ray::get(right)?)
}

#[remote]
fn down(n: u64) -> ray::Result<u64> {
    if n == 0 { Ok(0) } else { Ok(ray::get(down.remote(n - 1))? + 1) }
}

#[remote]
fn arithmetic(seed: u64) -> u64 {
    (0..STEPS).fold(seed, |x, i| (x ^ i).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23))
}

#[remote]
struct Counter {
    value: u64,
}

#[remote]
impl Counter {
    pub(crate) fn new() -> Self {
        Counter { value: 0 }
    }

    pub(crate) fn increment(&mut self) -> u64 {
        self.value += 1;
        self.value
    }

    pub(crate) fn read(&self) -> u64 {
        self.value
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        GONE.fetch_add(1, Ordering::Release);
    }
}

/// The number of operations in a round, and the sample.
type Round = ray::Result<(u64, f64)>;

/// Does the work of a case once.
type Case = fn(size: u64) -> Round;

const CASES: &[(&str, Case)] = &[
    ("rt", rt),
    ("tasks", tasks),
    ("ask", ask),
    ("pipe", pipe),
    ("tell", tell),
    ("many", many),
    ("spawnstop", spawnstop),
    ("mem", mem),
    ("wait1000", wait1000),
    ("fib25", fib25),
    ("par20", par20),
    ("chain1000", chain1000),
    ("nest10k", nest10k),
    ("start", start),
    ("idle", idle),
    ("empty", empty),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        [name, size, rounds] => run(name, size, rounds),
        _ => Err("usage: probe CASE SIZE ROUNDS".into()),
    };
    match done {
        Ok((operations, sample)) => {
            println!("{operations} {sample}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("probe: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(name: &str, size: &str, rounds: &str) -> Result<(u64, f64), Box<dyn std::error::Error>> {
    let (_, case) = CASES.iter().find(|(named, _)| *named == name).ok_or_else(|| format!("no case has the name {name}"))?;
    let (size, rounds): (u64, usize) = (size.parse()?, rounds.parse()?);
    // These cases begin before the start of the engine.
    if !["start", "idle", "empty"].contains(&name) {
        engine()?;
    }
    let (mut operations, mut samples) = (0, Vec::new());
    for _ in 0..rounds {
        let (done, sample) = case(size)?;
        operations = done;
        samples.push(sample);
    }
    samples.sort_by(f64::total_cmp);
    let quartile = samples.get(samples.len() / 4).ok_or("at least one round")?;
    Ok((operations, *quartile))
}

fn engine() -> ray::Result<()> {
    ray::init_with(Config::new().tips(false)).map(drop)
}

/// The nanoseconds that `body` takes for each of `operations`. Its result must be `expected`.
fn timed(operations: u64, expected: u64, body: impl FnOnce() -> ray::Result<u64>) -> Round {
    let start = Instant::now();
    let result = body()?;
    let elapsed = start.elapsed();
    assert_eq!(result, expected);
    Ok((operations, elapsed.as_nanos() as f64 / operations as f64))
}

fn sum_to(n: u64) -> u64 {
    n * (n + 1) / 2
}

fn rt(size: u64) -> Round {
    timed(size, size, || (0..size).map(|_| ray::get(noop.remote())).sum())
}

fn tasks(size: u64) -> Round {
    timed(size, sum_to(size), || {
        let refs: Vec<_> = (1..=size).map(|i| echo.remote(i)).collect();
        Ok(ray::get(refs)?.into_iter().sum())
    })
}

fn ask(size: u64) -> Round {
    let counter = Counter::remote();
    timed(size, sum_to(size), || (0..size).map(|_| ray::get(counter.increment.remote())).sum())
}

fn pipe(size: u64) -> Round {
    let counter = Counter::remote();
    timed(size, sum_to(size), || {
        let refs: Vec<_> = (0..size).map(|_| counter.increment.remote()).collect();
        Ok(ray::get(refs)?.into_iter().sum())
    })
}

fn tell(size: u64) -> Round {
    let counter = Counter::remote();
    timed(size, size, || {
        for _ in 0..size {
            counter.increment.tell();
        }
        ray::get(counter.read.remote())
    })
}

/// `size` calls of each of `size` actors.
fn many(size: u64) -> Round {
    let counters: Vec<_> = (0..size).map(|_| Counter::remote()).collect();
    timed(size * size, size * size, || {
        for _ in 0..size {
            for counter in &counters {
                counter.increment.tell();
            }
        }
        counters.iter().map(|counter| ray::get(counter.read.remote())).sum()
    })
}

fn spawnstop(size: u64) -> Round {
    let before = GONE.load(Ordering::Acquire);
    timed(size, size, || {
        for _ in 0..size {
            drop(Counter::remote());
        }
        while GONE.load(Ordering::Acquire) - before < size as usize {
            thread::yield_now();
        }
        Ok(size)
    })
}

/// The memory of an actor after a call, in bytes.
fn mem(size: u64) -> Round {
    let before = resident();
    let counters: Vec<_> = (0..size).map(|_| Counter::remote()).collect();
    for counter in &counters {
        assert_eq!(ray::get(counter.increment.remote())?, 1);
    }
    let bytes = (resident() - before) * 1024.0;
    // The actors stay alive during the next rounds, which create new actors.
    std::mem::forget(counters);
    Ok((size, bytes / size as f64))
}

/// Takes the results of a thousand references one at a time, `size` times.
fn wait1000(size: u64) -> Round {
    timed(size * THOUSAND, size * sum_to(THOUSAND), || {
        let mut sum = 0;
        for _ in 0..size {
            let mut rest = Pending::from((1..=THOUSAND).map(|i| echo.remote(i)).collect::<Vec<_>>());
            while !rest.is_empty() {
                let (mut done, others) = ray::wait(rest, 1)?;
                sum += ray::get(done.remove(0))?;
                rest = others;
            }
        }
        Ok(sum)
    })
}

fn fib25(size: u64) -> Round {
    let (mut number, mut calls) = ((0, 1), (1, 1));
    for _ in 0..size {
        number = (number.1, number.0 + number.1);
        calls = (calls.1, calls.0 + calls.1 + 1);
    }
    timed(calls.0, number.0, || ray::get(fib.remote(size)))
}

fn par20(size: u64) -> Round {
    let start = Instant::now();
    let refs: Vec<_> = (0..size).map(|seed| arithmetic.remote(seed)).collect();
    black_box(ray::get(refs)?);
    Ok((size, start.elapsed().as_nanos() as f64 / size as f64))
}

/// `size` chains of a thousand links.
fn chain1000(size: u64) -> Round {
    timed(size * THOUSAND, size * THOUSAND, || {
        let mut sum = 0;
        for _ in 0..size {
            let mut last = successor.remote(0);
            for _ in 1..THOUSAND {
                last = successor.remote(last);
            }
            sum += ray::get(last)?;
        }
        Ok(sum)
    })
}

/// A recursion that is `size` calls deep.
fn nest10k(size: u64) -> Round {
    timed(size, size, || ray::get(down.remote(size)))
}

/// Starts the engine and gets a first result.
fn start(_: u64) -> Round {
    timed(1, 1, || {
        engine()?;
        ray::get(noop.remote())
    })
}

/// The memory that an idle engine adds to the program, in KiB.
fn idle(_: u64) -> Round {
    let before = resident();
    engine()?;
    assert_eq!(ray::get(noop.remote())?, 1);
    thread::sleep(PAUSE);
    Ok((1, resident() - before))
}

/// A program that does not start the engine.
fn empty(_: u64) -> Round {
    Ok((1, 0.0))
}

/// The resident memory of this process, in KiB.
fn resident() -> f64 {
    let text = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux has this file for every process");
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:")).expect("the file has a line of that name");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number")
}
