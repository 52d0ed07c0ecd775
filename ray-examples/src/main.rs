//! The programs of an article about Ray, translated line by line from Python and C++; each file of `src/programs` has one
//! of them. ("The article" in the comments of this crate is always that article.) Twelve more programs are not in the
//! article. Two of these, in `src/bin`, also run on a Ray cluster: `RAY_ADDRESS=local cargo run --release -p ray-examples --bin pi`.
//!
//! `cargo run --release -p ray-examples` runs all of them as a tour and then prints their times beside those in the
//! article. `cargo run --release -p ray-examples -- counter` runs one of them. Each program checks the results that it
//! prints: a wrong result ends the tour with an exit code other than 0.

#![forbid(unsafe_code)]
#![allow(unreachable_pub, reason = "`pub` exports the methods of an actor")]

mod programs;
mod report;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use programs::{PROGRAMS, Program};
use report::Report;

/// The command of the article's last program, which trains a neural network. Its library takes minutes to build, so the
/// tour does not contain it.
const TRAINING: &str = "cargo run --release -p ray-train --example train_fashion_mnist -- --workers 4";

fn main() -> ExitCode {
    let names: Vec<String> = env::args().skip(1).collect();
    if names.iter().any(|name| name.starts_with('-')) {
        usage();
        return ExitCode::SUCCESS;
    }

    let mut chosen: Vec<&Program> = Vec::new();
    for name in &names {
        match PROGRAMS.iter().find(|program| program.name == name) {
            Some(program) => chosen.push(program),
            None => {
                eprintln!("no program has the name `{name}`\n");
                usage();
                return ExitCode::from(2);
            }
        }
    }
    if chosen.is_empty() {
        chosen = PROGRAMS.iter().collect();
    }

    let mut report = Report::default();
    let failed: Vec<&str> =
        chosen.into_iter().filter(|program| !passes(program, &mut report)).map(|program| program.name).collect();

    println!("\n{report}");
    if failed.is_empty() {
        println!("all results are correct");
        if names.is_empty() {
            println!("\nthis command runs the article's last program, which trains a neural network:\n{TRAINING}");
        }
        ExitCode::SUCCESS
    } else {
        println!("failed: {}", failed.join(", "));
        ExitCode::FAILURE
    }
}

/// Runs one program on an engine of its own; true if it ends with correct results.
fn passes(program: &Program, report: &mut Report) -> bool {
    println!("\n== {}: {}\n", program.name, program.about);
    report.program(program.name);
    // A wrong result fails an assertion, which panics. The panic hook prints the message, and this line catches the panic,
    // so that the next programs run too.
    let passed = match catch_unwind(AssertUnwindSafe(|| (program.main)(report))) {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            eprintln!("{error:?}");
            false
        }
        Err(_) => false,
    };
    // The `init` of the next program needs a process without an engine, even if this program failed.
    if let Err(error) = ray::shutdown() {
        eprintln!("{error:?}");
        return false;
    }
    passed
}

fn usage() {
    println!("Usage: cargo run --release -p ray-examples [-- PROGRAM..]\n\nPrograms:");
    for Program { name, about, .. } in PROGRAMS {
        println!("  {name:<20} {about}");
    }
    println!("\nThese commands run two of them on a Ray cluster (see docs/cluster.md):");
    println!("  RAY_ADDRESS=local cargo run --release -p ray-examples --bin pi");
    println!("  RAY_ADDRESS=local cargo run --release -p ray-examples --bin cartpole");
    println!("\nThis command runs the article's last program:\n  {TRAINING}");
}
