//! The article's programs, one file each in `src/programs`, line by line as they stand there.
//!
//! `cargo run --release -p ray-examples` runs them all as a tour and ends with our times beside the
//! article's; `cargo run --release -p ray-examples -- counter` runs one. What a program prints, it
//! has checked: a wrong result is an exit code other than 0.

#![forbid(unsafe_code)]
#![allow(unreachable_pub, reason = "`pub` is how an actor's methods are exported")]

mod programs;
mod report;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use programs::{PROGRAMS, Program};
use report::Report;

/// The article's last program, which trains a neural network: its library takes minutes to build, so it is not among these.
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
                eprintln!("there is no program `{name}`\n");
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
        println!("every result is right");
        if names.is_empty() {
            println!("\nthe article's last program, which trains a neural network, is run by itself:\n{TRAINING}");
        }
        ExitCode::SUCCESS
    } else {
        println!("wrong: {}", failed.join(", "));
        ExitCode::FAILURE
    }
}

/// Runs one program on an engine of its own; true if it ends, and with the right results.
fn passes(program: &Program, report: &mut Report) -> bool {
    println!("\n== {}: {}\n", program.name, program.about);
    report.program(program.name);
    // A wrong result is a failed assertion, that is, a panic, which has been printed when it is
    // caught here: the programs after it are to be seen too.
    let passed = match catch_unwind(AssertUnwindSafe(|| (program.main)(report))) {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            eprintln!("{error:?}");
            false
        }
        Err(_) => false,
    };
    // The next program's `init` is to find no engine, also where this one did not come to its end.
    if let Err(error) = ray::shutdown() {
        eprintln!("{error:?}");
        return false;
    }
    passed
}

fn usage() {
    println!("Usage: cargo run --release -p ray-examples [-- PROGRAM..]\n\nPrograms:");
    for Program { name, about, .. } in PROGRAMS {
        println!("  {name:<16} {about}");
    }
    println!("\nThe article's last program is run by itself:\n  {TRAINING}");
}
