//! The commands for the development of this project. `cargo xtask test` runs all checks of CI.

#![forbid(unsafe_code)]

mod cluster;
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
  test           runs all checks of CI, and stops at the first one that fails
  test --quick   runs only the quick checks: fmt, tidy, clippy, tests
  compare [--base COMMIT] [--pairs N] [CASE..]
                 compares instructions, times and memory of the bench's cases with those of
                 another commit, by default 469ada4; needs valgrind
  cluster [TEST..]
                 runs the tests on clusters of a real Ray, which it installs below the target folder; with names
                 or beginnings of names only these
  cluster --try [TEST..]
                 runs those too that the list says to differ or to be refused
  cluster --list prints of each test whether it runs on a cluster, and the reason if not
  chaos OPTIONS  runs random programs against a model of the engine; --help lists the options
  package        packages the published crates, and runs programs that depend on the packages
  sanitize [thread|address] [core|it|chaos] [FILTER]
                 runs the tests and the random programs under ThreadSanitizer, AddressSanitizer or both;
                 needs the nightly toolchain
  tidy [--circles] [--edges] [--unsafe]
                 checks the project's rules that the compiler does not check: layers, sizes, names.
                 --circles lists the files of each import cycle, --edges the imports between
                 these files, --unsafe the unsafe code of each file";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();

    let passed = match arguments.as_slice() {
        ["test"] => steps::run(workspace(), steps::Extent::Full),
        ["test", "--quick"] => steps::run(workspace(), steps::Extent::Quick),
        ["compare", rest @ ..] => compare::run(workspace(), rest),
        ["cluster", arguments @ ..] => cluster::run(workspace(), arguments),
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

/// The root of the workspace: the parent of this crate's folder.
fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the folder of xtask has a parent")
}
