//! The benchmarks of this project. A run measures the library `ray` ("ours") and comparable libraries ("the peers")
//! together.
//!
//! `ray-bench --help` prints the options. A module imports only modules that are earlier in this list:
//!
//! 1. [`measure`], [`child`], [`memory`], [`alive`], [`load`], [`callers`]: the measurement, independent of the cases.
//! 2. [`workload`]: the work of each case, its sizes and its checks.
//! 3. [`ours`], [`peers`]: the contenders, which do that work.
//! 4. [`cases`]: the contenders of each case.
//! 5. [`report`], [`plot`] and this file: the command line and the output.
//!
//! `cluster` is a command of its own: its cases run on a Ray cluster, beside a driver in Python.

mod alive;
mod callers;
mod cases;
mod child;
#[cfg(unix)]
mod cluster;
mod load;
mod measure;
mod memory;
mod ours;
mod peers;
mod plot;
mod report;
mod workload;

use std::{
    error::Error,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use lexopt::{Arg, Parser, ValueExt};

use crate::{
    measure::{Case, Row},
    workload::TRAIN,
};

const HELP: &str = "\
Measures the library ray and comparable libraries (the peers), in turn in one run.

Usage: ray-bench [--json] [--rounds N] [--who NAME] [--svg PATH] [--python PATH] [CASE..]

  CASE        a case to measure; without one, every case of this build:
              rt tasks ask pipe tell many spawnstop mem fib25 putget wait1000
              chain1000 start idle par20 nest10k map window stream queue pool
              rt_async ask_async async_fn async_fn_get ticker axum allreduce
              train: an epoch of training; only a build with --features train
              has this case, and takes minutes to compile;
              FASHION_MNIST_DIR names the folder of the images
  --json      print a JSON object for each row, instead of tables
  --rounds N  rounds of each contender; 7 without this option
  --who NAME  run only the contenders whose names begin with NAME, for a profiler;
              a comparison needs all contenders
  --svg PATH  also draw the medians into this file
  --python PATH
              also measure training with this Python, which needs torch and
              ray[train]; a round then takes minutes, because it starts a Ray cluster
  --help      this text

The cases on a Ray cluster have a command of their own: ray-bench cluster --help";

/// The default number of rounds of each contender.
const ROUNDS: usize = 7;

/// The request of the command line.
enum Command {
    Help,
    /// Run this contender of this case: the process is a child of the bench.
    Child {
        case: &'static Case,
        who: String,
    },
    Measure(Plan),
    /// The rest of the command line is for the cases on a Ray cluster.
    #[cfg(unix)]
    Cluster(Parser),
}

struct Plan {
    cases: Vec<&'static Case>,
    rounds: usize,
    who: String,
    json: bool,
    svg: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = parse(Parser::from_env()).and_then(|command| {
        match command {
            Command::Help => println!("{HELP}"),
            Command::Child { case, who } => child::main(case, &who)?,
            Command::Measure(plan) => measure_all(&plan)?,
            #[cfg(unix)]
            Command::Cluster(rest) => cluster::main(rest)?,
        }
        Ok(())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ray-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(mut parser: Parser) -> Result<Command, Box<dyn Error>> {
    let mut plan = Plan { cases: Vec::new(), rounds: ROUNDS, who: String::new(), json: false, svg: None };
    let mut python: Option<PathBuf> = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("json") => plan.json = true,
            Arg::Long("rounds") => plan.rounds = parser.value()?.parse()?,
            Arg::Long("who") => plan.who = parser.value()?.string()?,
            Arg::Long("svg") => plan.svg = Some(parser.value()?.into()),
            Arg::Long("python") => python = Some(parser.value()?.into()),
            Arg::Long("help") | Arg::Short('h') => return Ok(Command::Help),
            Arg::Long(child::OPTION) => {
                return Ok(Command::Child { case: case(parser.value()?)?, who: parser.value()?.string()? });
            }
            #[cfg(unix)]
            Arg::Value(name) if name == cluster::COMMAND && plan.cases.is_empty() => return Ok(Command::Cluster(parser)),
            Arg::Value(name) => plan.cases.push(case(name)?),
            Arg::Long(_) | Arg::Short(_) => return Err(argument.unexpected().into()),
        }
    }
    if plan.rounds == 0 {
        return Err("--rounds must be at least 1".into());
    }
    if plan.cases.is_empty() {
        plan.cases.extend(cases::ALL);
    }
    if python.is_some() && !plan.cases.iter().any(|case| case.definition.name == TRAIN) {
        return Err(format!("--python adds contenders to the case {}, which this command does not measure", TRAIN).into());
    }
    #[cfg(feature = "train")]
    if let Some(python) = python {
        peers::torch::add(python)?;
    }
    Ok(Command::Measure(plan))
}

fn case(name: OsString) -> Result<&'static Case, Box<dyn Error>> {
    let name = name.string()?;
    cases::find(&name).ok_or_else(|| {
        if name == TRAIN {
            return "this build has no case train: cargo run --release -p ray-bench --features train -- train".into();
        }
        let names: Vec<_> = cases::ALL.iter().map(|case| case.definition.name).collect();
        format!("no case has the name {name}; the cases are {}", names.join(" ")).into()
    })
}

fn measure_all(plan: &Plan) -> Result<(), Box<dyn Error>> {
    for case in &plan.cases {
        (case.ready)()?;
    }
    let mut out = io::stdout().lock();
    if !plan.json {
        let (cores, rounds) = (measure::cores(), plan.rounds);
        writeln!(out, "medians of {rounds} rounds on {cores} cores; lower is better")?;
    }
    let mut panels: Vec<(&Case, Vec<Row>)> = Vec::new();
    for &case in &plan.cases {
        let rows = measure::run(case, plan.rounds, &plan.who);
        if plan.json {
            report::json(&mut out, &rows)?;
        } else {
            report::table(&mut out, case, &rows)?;
        }
        panels.push((case, rows));
    }
    if let Some(path) = &plan.svg {
        plot::svg(path, &panels)?;
    }
    Ok(())
}
