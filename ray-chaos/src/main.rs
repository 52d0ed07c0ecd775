//! Runs random programs, and compares the engine's behaviour with a simple sequential model: the result or the error of
//! each reference, the number of drops of each value, the order in which the calls of an actor begin, and the progress of
//! other work while some work is blocked.
//!
//! The parent process runs each seed with each number of CPUs in a child process, so that it also detects crashes and
//! hangs. If a program fails, it searches for a smaller program that fails too. `cargo xtask chaos --help` lists the
//! options, and `docs/verification.md` lists the bugs that were found.

#![forbid(unsafe_code)]
#![allow(unreachable_pub, reason = "a program has no public interface")]

mod chance;
mod count;
mod driver;
mod gate;
mod kinds;
mod lives;
mod model;
mod parent;
mod plan;
mod program;
mod run;
mod shrink;
mod state;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{}", plan::USAGE);
        return ExitCode::SUCCESS;
    }
    let plan = match plan::Plan::read(arguments) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if plan.list {
        print!("{}", kinds::list());
        return ExitCode::SUCCESS;
    }
    if plan.child {
        state::set_plan(plan);
        run::run();
        return ExitCode::SUCCESS;
    }
    if parent::run(&plan) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
