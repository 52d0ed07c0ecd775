//! The figures users feel, ours beside the peers', measured in one run.
//!
//! `ray-bench --help` says how it is called, [`measure`] how it measures, and each file of [`cases`] what.

mod alive;
mod cases;
mod child;
mod load;
mod measure;
mod memory;
mod ours;
mod peers;
mod plot;
mod report;

use std::{
    error::Error,
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use lexopt::{Arg, Parser, ValueExt};

use crate::measure::{Case, Row};

const HELP: &str = "\
The figures users feel: ours beside the peers', measured in turn in one run.

Usage: ray-bench [--json] [--rounds N] [--who NAME] [--svg PATH] [--python PATH] [CASE..]

  CASE        what to measure; without one, everything that is built in:
              rt tasks ask pipe tell many spawnstop mem fib25 putget wait1000
              chain1000 start idle par20 nest10k rt_async ask_async async_fn
              async_fn_get ticker axum allreduce
              train: the article's network, an epoch at a time; it is built in
              by --features train, which takes minutes, and FASHION_MNIST_DIR
              names the folder of its images
  --json      an object a line, and no table
  --rounds N  rounds of each contender, 7 unless told
  --who NAME  only those whose name begins so, for a profiler: a comparison needs all
  --svg PATH  the medians as a picture, beside what is printed
  --python PATH
              a python with torch and ray[train], which trains beside ours; rounds
              then take minutes, since each of them starts a Ray cluster
  --help      this text";

/// Rounds of each contender where nobody says how many.
const ROUNDS: usize = 7;

/// What the command line asks for.
enum Command {
    Help,
    /// The one contender of the one case that this process was started for.
    Child {
        case: &'static Case,
        who: String,
    },
    Measure(Plan),
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
    if python.is_some() && !plan.cases.iter().any(|case| case.name == cases::TRAIN) {
        return Err(format!("--python names who trains beside ours, and {} is not to be measured", cases::TRAIN).into());
    }
    #[cfg(feature = "train")]
    if let Some(python) = python {
        peers::torch::name(python)?;
    }
    Ok(Command::Measure(plan))
}

fn case(name: OsString) -> Result<&'static Case, Box<dyn Error>> {
    let name = name.string()?;
    cases::find(&name).ok_or_else(|| {
        if name == cases::TRAIN {
            return "train is not built in, since it compiles burn: cargo run --release -p ray-bench --features train -- train"
                .into();
        }
        let names: Vec<_> = cases::ALL.iter().map(|case| case.name).collect();
        format!("no case is called {name}; there are {}", names.join(" ")).into()
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
