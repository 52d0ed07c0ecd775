//! The project's own commands: `cargo xtask test` checks everything that CI checks.

#![forbid(unsafe_code)]

mod compare;
mod package;
mod sanitize;
mod steps;
mod tidy;

use std::env;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  test           everything that CI checks; stops at the first step that fails
  test --quick   of these only the ones wanted while writing: fmt, tidy, clippy, tests
  compare [--base COMMIT] [--pairs N] [CASE..]
                 instructions, times and memory of the bench's cases, beside those
                 of another version, 469ada4 unless told; it needs valgrind
  chaos OPTIONS  random programs against a model of the engine; --help lists the options
  package        the published crates, packaged, unpacked and used by programs of their own
  sanitize [thread|address] [FILTER]
                 the tests under ThreadSanitizer, AddressSanitizer or both; needs the nightly toolchain
  tidy [--circles] [--edges] [--unsafe]
                 the rules of the house that no compiler knows: layers, sizes, names;
                 with the files of each circle of imports, what these name of each
                 other, unsafe code by file";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    let passed = match arguments.as_slice() {
        ["test"] => steps::run(workspace(), steps::Extent::Full),
        ["test", "--quick"] => steps::run(workspace(), steps::Extent::Quick),
        ["compare", rest @ ..] => compare::run(workspace(), rest),
        ["chaos", options @ ..] => steps::chaos(workspace(), options),
        ["package"] => package::run(workspace()),
        ["sanitize", rest @ ..] => sanitize::run(workspace(), rest),
        ["tidy", options @ ..] if let Some(details) = tidy::Details::parse(options) => tidy::run(workspace(), details),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            true
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The workspace's root: the folder above this crate's.
fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in a folder of the workspace")
}
