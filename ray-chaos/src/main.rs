//! Random programs against a simple sequential model: what may come out of each reference, how often values are dropped,
//! in which order an actor's calls begin, what goes on while something else is held back.
//!
//! The parent process runs each seed on each number of CPUs in a child process, so that a crash and a hang are findings
//! like any other, and reduces a program that failed. `cargo xtask chaos --help` lists the options, `docs/verification.md`
//! tells what was found.

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
