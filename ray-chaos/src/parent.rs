//! The parent process: starts a child process for each seed and number of CPUs, and reads its output.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::plan::Plan;
use crate::shrink::shrink;

/// The end of a child.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Whether the child found no failure.
    pub good: bool,
    /// The last era that the child began.
    pub era: u64,
    /// The number of operations.
    pub operations: u64,
}

/// Runs the plan. Returns false if a child failed or no operation was done.
pub fn run(plan: &Plan) -> bool {
    let begin = Instant::now();
    let end = plan.minutes.map(|minutes| begin + Duration::from_secs_f64(minutes * 60.0));
    let first = plan.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.as_nanos() as u64 / 1000 % 1_000_000_000_000
    });
    let mut operations = 0;
    'seeds: for seed in first..first.saturating_add(plan.seeds) {
        for cpus in &plan.cpus {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                println!("stopped: the time is over");
                break 'seeds;
            }
            let mut one = plan.clone();
            one.seed = Some(seed);
            one.cpus = vec![*cpus];
            one.minutes = left.map(|left| left.as_secs_f64() / 60.0);
            let start = Instant::now();
            let ended = child(&one, false, None);
            operations += ended.operations;
            let took = start.elapsed().as_secs_f64();
            println!(
                "seed {seed}, {cpus} CPUs: {} operations in {took:.1} s, {:.0} a second",
                ended.operations,
                ended.operations as f64 / took
            );
            if !ended.good {
                println!("failed in era {}. This command runs it again:\n\n    {}\n", ended.era, line(&one));
                one.minutes = None;
                if !plan.shrink.is_zero() {
                    let small = shrink(&one, ended, plan.shrink);
                    println!("smaller program:\n\n    {}\n", line(&small));
                }
                println!("{operations} operations done");
                return false;
            }
        }
    }
    println!("{operations} operations done in {:.1} s", begin.elapsed().as_secs_f64());
    operations > 0
}

/// The command that runs a plan again.
fn line(plan: &Plan) -> String {
    format!("cargo xtask chaos {}", plan.arguments().join(" "))
}

/// Runs a plan of one seed and one number of CPUs in a child process, for at most `limit`.
pub fn child(plan: &Plan, quiet: bool, limit: Option<Duration>) -> Ended {
    let mut command = Command::new(std::env::current_exe().expect("this program's path"));
    command.arg("--child").args(plan.arguments()).stdin(Stdio::null()).stdout(Stdio::piped());
    if let Some(minutes) = plan.minutes {
        command.args(["--minutes", &minutes.to_string()]);
    }
    // With the cap, a parked thread looks again after a second, so a lost wake-up would not be detected.
    if plan.park_cap {
        command.env_remove("RAY_PARK_CAP_MS");
    } else {
        command.env("RAY_PARK_CAP_MS", "0");
    }
    command.env("RAY_IGNORE_UNHANDLED_ERRORS", "1").env_remove("RAY_ADDRESS").env_remove("RAY_STRICT");
    if quiet {
        command.arg("--quiet").stderr(Stdio::null());
    }
    let mut child = command.spawn().expect("this program starts again");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let (sender, lines) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let mut ended = Ended { good: false, era: 0, operations: 0 };
    let end = limit.map(|limit| Instant::now() + limit);
    // The watchdog of the child acts earlier. This longer time is for a child whose watchdog does not run.
    let patience = plan.watchdog * 4 + Duration::from_secs(60);
    let over = loop {
        let now = Instant::now();
        let wait = end.map_or(patience, |end| end.saturating_duration_since(now).min(patience));
        match lines.recv_timeout(wait) {
            Ok(line) => {
                let mut words = line.split(' ');
                let word = words.next().unwrap_or_default();
                let mut number = || words.next().and_then(|word| word.parse().ok());
                if let (Some(era), Some(operations)) = (number(), number()) {
                    ended.good = word == "done";
                    ended.operations = operations;
                    if word != "done" {
                        ended.era = era;
                    }
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break false,
            Err(mpsc::RecvTimeoutError::Timeout) => break true,
        }
    };
    if over {
        // The kill fails if the child has ended by itself meanwhile.
        let _ = child.kill();
    }
    let status = child.wait().expect("a child can be waited for");
    let _ = reader.join();
    if over && limit.is_some() && end.is_some_and(|end| Instant::now() >= end) {
        // The end of the time limit is not a failure.
        ended.good = true;
    } else {
        ended.good &= status.success();
        if !status.success() && status.code() != Some(1) && !quiet {
            eprintln!("the child ended with {status}");
        }
    }
    ended
}
