//! `ray-bench cluster`: this project's driver and a driver in plain Python on the same Ray cluster, in turn.
//!
//! The command starts itself a second time, with `--joined`: the second process is the driver. It joins the cluster of
//! `RAY_ADDRESS`; without an address, or with `local`, a Python process starts a private Ray first, and stops it afterwards.
//! That Ray keeps the idle workers of both drivers, and does not lower the priority of its workers.

mod ours;
mod python;

use std::env;
use std::io::{self, Write as _};
use std::process::Command;

use lexopt::{Arg, Parser, ValueExt as _};

use crate::measure::{self, Case, Contender, Definition, OURS, Outcome};
use crate::report;
use python::PYTHON;

/// The word on the command line.
pub(crate) const COMMAND: &str = "cluster";

const HELP: &str = "\
Measures this project's driver and a driver in plain Python on the same Ray cluster, in turn in one run.

Usage: ray-bench cluster [--json] [--rounds N] [CASE..]

  CASE        a case to measure; without one, every case:
              tasks task calls call put get argument result connect
  --json      print a JSON object for each row, instead of tables
  --rounds N  rounds of each driver; 7 without this option
  --help      this text

Without RAY_ADDRESS, or with RAY_ADDRESS=local, the command starts a private Ray. RAY_PYTHON names the Python.

Start a cluster of your own for this command so that two drivers do not end each other's idle workers, and that
workers have the usual priority:
  RAY_worker_niceness=0 ray start --head \\
    --system-config='{\"num_workers_soft_limit\": 64, \"idle_worker_killing_time_threshold_ms\": 3600000}'";

const ROUNDS: usize = 7;

/// The cases.
const ALL: [Case; 9] = [
    Case {
        contenders: || rates("tasks"),
        ..of("tasks", "2,000 tasks that return their argument, submitted together; tasks per second, higher is better", "1/s")
    },
    Case {
        contenders: || trips("task"),
        ..of("task", "200 such tasks, submit, get, repeat; µs per round trip, lower is better", "µs")
    },
    Case {
        contenders: || rates("calls"),
        ..of("calls", "2,000 calls of an actor, submitted together; calls per second, higher is better", "1/s")
    },
    Case {
        contenders: || trips("call"),
        ..of("call", "200 such calls, submit, get, repeat; µs per round trip, lower is better", "µs")
    },
    Case {
        contenders: || values("put"),
        ..of("put", "`put` of an array of floats, until it returns; µs, lower is better", "µs")
    },
    Case {
        contenders: || values("get"),
        ..of("get", "`get` of an array that a task has made and a second task has read; µs, lower is better", "µs")
    },
    Case {
        contenders: || values("argument"),
        ..of("argument", "`put` of an array, a task that takes it, `get` of its length; µs, lower is better", "µs")
    },
    Case {
        contenders: || values("result"),
        ..of("result", "a task that makes an array, `get` of the array; µs, lower is better", "µs")
    },
    Case {
        contenders: connect,
        ..of("connect", "a new driver: joining the cluster, then the first task; seconds, lower is better", "s")
    },
];

const fn of(name: &'static str, what: &'static str, unit: &'static str) -> Case {
    Case { yardsticks: &[PYTHON], ..Case::of(Definition { name, what, unit }) }
}

/// The calls of a round of a rate, and of a round trip.
const MANY: usize = 2_000;
const TRIPS: usize = 200;
/// The sizes of values: the name, the number of 64-bit floats, and the repetitions in a round.
const SIZES: [(&str, usize, usize); 3] = [("1 KB", 125, 200), ("1 MB", 125_000, 20), ("100 MB", 12_500_000, 1)];

/// Both drivers, in a case whose rounds have a sample for each of the `groups`.
fn both(
    groups: &[&'static str],
    ours: impl Fn() -> Vec<f64> + 'static,
    python: impl Fn() -> Vec<f64> + 'static,
) -> Vec<Contender> {
    let of = |who: &str, round: Box<dyn FnMut() -> Vec<f64>>| {
        Contender::many(vec![who.to_owned(); groups.len()], round).in_groups(groups)
    };
    vec![of(OURS, Box::new(ours)), of(PYTHON, Box::new(python))]
}

fn rates(name: &'static str) -> Vec<Contender> {
    both(&[""], move || ours::rate(name, MANY), move || python::ask(&format!("{name} {MANY}")))
}

fn trips(name: &'static str) -> Vec<Contender> {
    both(&["p50", "p99"], move || ours::trips(name, TRIPS), move || python::ask(&format!("{name} {TRIPS}")))
}

fn values(name: &'static str) -> Vec<Contender> {
    let each = |sample: fn(&str, usize, usize) -> f64| move || SIZES.map(|(_, n, rounds)| sample(name, n, rounds)).to_vec();
    both(
        &SIZES.map(|(group, ..)| group),
        each(ours::value),
        each(|name, n, rounds| python::ask(&format!("{name} {n} {rounds}"))[0]),
    )
}

fn connect() -> Vec<Contender> {
    both(&["joining", "first task"], || crate::child::once("a new driver", again("--connect")), python::connect)
}

/// This program again, with a hidden option.
fn again(option: &str) -> Command {
    let mut command = Command::new(env::current_exe().expect("the bench's own executable"));
    command.args([COMMAND, option]);
    command
}

#[derive(Default)]
struct Plan {
    cases: Vec<Case>,
    rounds: Option<usize>,
    json: bool,
    joined: bool,
}

/// The main function of the command, with the rest of the command line.
pub(crate) fn main(mut parser: Parser) -> Outcome {
    let mut plan = Plan::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("json") => plan.json = true,
            Arg::Long("rounds") => plan.rounds = Some(parser.value()?.parse()?),
            Arg::Long("joined") => plan.joined = true,
            Arg::Long("connect") => return ours::connect(),
            Arg::Long("help") | Arg::Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            Arg::Value(name) => plan.cases.push(case(&name.string()?)?),
            Arg::Long(_) | Arg::Short(_) => return Err(argument.unexpected().into()),
        }
    }
    if plan.rounds == Some(0) {
        return Err("--rounds must be at least 1".into());
    }
    if plan.joined { measure_all(&plan) } else { start(&plan) }
}

fn case(name: &str) -> Result<Case, String> {
    ALL.into_iter().find(|case| case.definition.name == name).ok_or_else(|| {
        let names = ALL.map(|case| case.definition.name);
        format!("no case on a cluster has the name {name}; the cases are {}", names.join(" "))
    })
}

/// Starts the driver, and a private Ray before it if no cluster has been chosen.
fn start(plan: &Plan) -> Outcome {
    let mut driver = again("--joined");
    if plan.json {
        driver.arg("--json");
    }
    if let Some(rounds) = plan.rounds {
        driver.args(["--rounds", &rounds.to_string()]);
    }
    driver.args(plan.cases.iter().map(|case| case.definition.name));
    let address = env::var_os("RAY_ADDRESS").filter(|address| !address.is_empty() && address != "local");
    let mut command = if address.is_some() { driver } else { python::start(&driver)? };
    let status = command.status()?;
    if status.success() { Ok(()) } else { Err(format!("the driver has failed: {status}").into()) }
}

/// The main function of the driver.
fn measure_all(plan: &Plan) -> Outcome {
    ours::join()?;
    let rounds = plan.rounds.unwrap_or(ROUNDS);
    let mut out = io::stdout().lock();
    if !plan.json {
        let cpus = ray::cluster_resources()?.get("CPU").copied().unwrap_or_default();
        writeln!(out, "medians of {rounds} rounds; the cluster has {cpus} CPUs, this machine {} cores", measure::cores())?;
    }
    let cases = if plan.cases.is_empty() { &ALL[..] } else { &plan.cases };
    for case in cases {
        let rows = measure::run(case, rounds, "");
        if plan.json {
            report::json(&mut out, &rows)?;
        } else {
            report::table(&mut out, case, &rows)?;
        }
    }
    python::end();
    ray::shutdown()?;
    Ok(())
}
