//! `cargo xtask sanitize`: runs the tests under ThreadSanitizer and AddressSanitizer, with the nightly toolchain.
//!
//! Each sanitizer has a target folder of its own below `target/sanitize`. The precompiled standard library is not
//! instrumented, so `sanitize/thread.supp` lists the parts of it that ThreadSanitizer would report.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// A sanitizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sanitizer {
    Thread,
    Address,
}

use Sanitizer::{Address, Thread};

impl Sanitizer {
    fn name(self) -> &'static str {
        match self {
            Thread => "thread",
            Address => "address",
        }
    }

    fn flags(self) -> &'static str {
        match self {
            // Without the second flag rustc refuses to link the standard library, which is compiled without this sanitizer.
            Thread => "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
            Address => "-Zsanitizer=address",
        }
    }

    /// The environment variable with the options of the sanitizer's runtime, and its value.
    fn options(self, root: &Path) -> (&'static str, String) {
        match self {
            Thread => {
                // `die_after_fork=0`, because a test forks a process that has threads, and checks the errors of the engine
                // in the fork.
                let suppressions = root.join("xtask/src/sanitize/thread.supp");
                ("TSAN_OPTIONS", format!("suppressions={} history_size=4 die_after_fork=0", suppressions.display()))
            }
            Address => ("ASAN_OPTIONS", "detect_leaks=1".into()),
        }
    }
}

/// A test that is not run.
struct Excluded {
    /// The sanitizer under which it is not run; none means both.
    under: Option<Sanitizer>,
    /// Every test whose name contains this text is excluded.
    test: &'static str,
    why: &'static str,
}

/// The reason why the tests of memory consumption are excluded.
const MEMORY: &str = "it bounds the resident memory of the process, to which a sanitizer adds its records of threads and the freed memory that it keeps";

const EXCLUDED: &[Excluded] = &[
    Excluded {
        under: None,
        test: "nesting::gets_nest_ten_thousand_deep_on_other_threads",
        why: "its ten thousand threads take minutes with a sanitizer, longer than a child process of a test may",
    },
    Excluded { under: None, test: "shutdown::ten_thousand_engines_leave_nothing", why: MEMORY },
    Excluded { under: Some(Address), test: "awaits::dropped_awaits_leak_no_memory", why: MEMORY },
    Excluded { under: Some(Address), test: "awaits::cancelled_dependants_leak_no_memory", why: MEMORY },
    Excluded { under: None, test: "unread::unread_failures_leak_no_memory", why: MEMORY },
    Excluded { under: None, test: "streams_faults::streams_leak_no_memory", why: MEMORY },
    Excluded { under: None, test: "util::actor_pool_faults::pools_leak_no_memory", why: MEMORY },
    Excluded { under: None, test: "util::queue_waits::queues_leak_no_memory", why: MEMORY },
    Excluded {
        under: Some(Thread),
        test: "dump::on_a_signal",
        why: "the system gives the signal to the main thread, where the test harness waits for the test in the standard library's futex; ThreadSanitizer keeps the signal until that thread calls a function that it intercepts, and `syscall` is none. `dump::a_signal_that_a_thread_sends_to_itself` sends the signal to a thread that does",
    },
    Excluded {
        under: Some(Thread),
        test: "scheduling::two_cpus_run_two_tasks",
        why: "the locks inside ThreadSanitizer put threads to sleep, which the monitor thread takes for bodies that block in the system: on a loaded machine it grants an extra CPU, which this test counts",
    },
];

/// A suite that runs under the sanitizers. Each suite can also be run alone.
struct Suite {
    name: &'static str,
    /// The arguments for cargo, up to those of the program that it runs.
    cargo: &'static str,
    /// The arguments of the program. A suite of tests takes the filter and the excluded tests besides.
    program: &'static str,
}

const SUITES: &[Suite] = &[
    Suite { name: "core", cargo: "test --package ray-core --lib", program: "" },
    Suite { name: "it", cargo: "test --package ray-remote --test it", program: "" },
    // A sanitizer keeps freed memory for a while, so the programs do not check the memory of the process.
    Suite { name: "chaos", cargo: "run --package ray-chaos", program: "--ops 20000 --seeds 2 --cpus 1,2,8 --without memory" },
];

impl Suite {
    fn has_tests(&self) -> bool {
        self.cargo.starts_with("test ")
    }
}

/// The number of operations of the random programs of `tests/it`. Under a sanitizer an operation takes about ten times as
/// long.
const OPERATIONS: &str = "20000";

const USAGE: &str = "\
Usage: cargo xtask sanitize [thread|address] [core|it|chaos] [FILTER]

  thread|address  one sanitizer; without it both
  core            ray-core's unit tests
  it              the tests in tests/it
  chaos           the random programs of ray-chaos
  FILTER          the tests whose names contain this text, and no random programs";

/// The suites and sanitizers that the arguments select.
struct Selection<'a> {
    sanitizers: &'static [Sanitizer],
    suites: Vec<&'static Suite>,
    filter: Option<&'a str>,
}

impl<'a> Selection<'a> {
    fn parse(arguments: &[&'a str]) -> Option<Self> {
        let (sanitizers, rest): (&[Sanitizer], _) = match arguments {
            ["thread", rest @ ..] => (&[Thread], rest),
            ["address", rest @ ..] => (&[Address], rest),
            rest => (&[Thread, Address], rest),
        };
        let named = rest.first().and_then(|name| SUITES.iter().find(|suite| suite.name == *name));
        let filter = match &rest[usize::from(named.is_some())..] {
            [] => None,
            [filter] if !filter.starts_with('-') => Some(*filter),
            _ => return None,
        };
        let asked = |suite: &&Suite| match named {
            Some(named) => named.name == suite.name,
            None => suite.has_tests() || filter.is_none(),
        };
        let suites = SUITES.iter().filter(asked).collect();
        // The random programs have no names that a filter could match.
        (filter.is_none() || named.is_none_or(Suite::has_tests)).then_some(Selection { sanitizers, suites, filter })
    }
}

/// Runs the selected suites under the selected sanitizers, with all tests or with those whose names contain the filter.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> bool {
    let Some(selection) = Selection::parse(arguments) else {
        eprintln!("{USAGE}");
        return false;
    };
    let target = match target() {
        Ok(target) => target,
        Err(why) => {
            eprintln!("{why}");
            return false;
        }
    };
    // `count` runs the second sanitizer even if the first one has failed.
    selection.sanitizers.iter().filter(|sanitizer| !passes(root, **sanitizer, &selection, &target)).count() == 0
}

/// The target triple of the nightly toolchain.
fn target() -> Result<String, String> {
    let missing = |why: &str| {
        format!(
            "the sanitizers need the nightly toolchain, and {why}: install it with\n\n    rustup toolchain install nightly --profile minimal\n"
        )
    };
    let version =
        nightly("rustc").arg("-vV").output().map_err(|error| missing(&format!("rustup cannot be started ({error})")))?;
    if !version.status.success() {
        return Err(missing(String::from_utf8_lossy(&version.stderr).trim()));
    }
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let target = version.lines().find_map(|line| line.strip_prefix("host: ")).ok_or_else(|| missing("it names no host"))?;
    match target {
        "x86_64-unknown-linux-gnu" | "aarch64-unknown-linux-gnu" => Ok(target.to_owned()),
        other => Err(format!("this command supports 64-bit Linux with glibc only, and this is {other}")),
    }
}

/// A command of the nightly toolchain, independent of the toolchain that runs xtask.
fn nightly(program: &str) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", program]).stdin(Stdio::null());
    for variable in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(variable);
    }
    command
}

fn passes(root: &Path, sanitizer: Sanitizer, selection: &Selection<'_>, target: &str) -> bool {
    let excluded: Vec<_> = EXCLUDED.iter().filter(|test| test.under.is_none_or(|under| under == sanitizer)).collect();
    for Excluded { test, why, .. } in &excluded {
        println!("    not run under the {} sanitizer: {test}: {why}", sanitizer.name());
    }
    let passes = |suite: &Suite| passes_suite(root, sanitizer, suite, selection.filter, &excluded, target);
    selection.suites.iter().filter(|suite| !passes(suite)).count() == 0
}

fn passes_suite(
    root: &Path,
    sanitizer: Sanitizer,
    suite: &Suite,
    filter: Option<&str>,
    excluded: &[&Excluded],
    target: &str,
) -> bool {
    let name = sanitizer.name();
    println!("==> {name} sanitizer, {}: cargo {}", suite.name, suite.cargo);
    let begin = Instant::now();
    let mut words: Vec<&str> = suite.cargo.split_whitespace().collect();
    let folder = format!("target/sanitize/{name}");
    // Without this feature tokio uses the locks of the standard library, which the sanitizer does not see.
    let common = ["--features", "tokio/parking_lot", "--target", target, "--target-dir", &folder];
    words.splice(1..1, common);
    let mut command = nightly("cargo");
    command.args(words).arg("--").args(suite.program.split_whitespace());
    if suite.has_tests() {
        command.args(filter);
        command.args(excluded.iter().flat_map(|test| ["--skip", test.test]));
    }
    set_environment(&mut command, root, sanitizer);
    let passed = match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("cargo could not be started: {error}");
            false
        }
    };
    let outcome = if passed { "passed" } else { "FAILED" };
    println!("    {name} sanitizer, {}: {outcome} after {:.1} s", suite.name, begin.elapsed().as_secs_f64());
    passed
}

fn set_environment(command: &mut Command, root: &Path, sanitizer: Sanitizer) {
    command.current_dir(root).env("RUSTFLAGS", sanitizer.flags());
    // The caller's options come last, so they take precedence.
    let (variable, options) = sanitizer.options(root);
    let options = env::var(variable).map_or(options.clone(), |more| format!("{options} {more}"));
    command.env(variable, options);
    // The standard library guards its backtrace data with a lock that the sanitizer does not see.
    command.env("RUST_BACKTRACE", "0");
    // Stack frames are larger under a sanitizer.
    command.env("RUST_MIN_STACK", (16 << 20).to_string());
    if env::var_os("RAY_TEST_OPS").is_none() {
        command.env("RAY_TEST_OPS", OPERATIONS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A suppression hides reports, so none may name a part of the engine.
    #[test]
    fn no_suppression_names_the_engine() {
        let list = include_str!("sanitize/thread.supp");
        for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (kind, pattern) = line.split_once(':').expect("a kind and a pattern");
            assert_eq!(kind, "race", "{line}");
            let foreign = ["std::", "test::", "<alloc::"].iter().any(|begin| pattern.starts_with(begin));
            assert!(foreign && !pattern.contains("ray"), "{line}");
        }
    }

    #[test]
    fn a_suite_can_be_run_alone() {
        let suites = |arguments: &[&str]| {
            let selection = Selection::parse(arguments).expect("valid arguments");
            let names: Vec<_> = selection.suites.iter().map(|suite| suite.name).collect();
            (selection.sanitizers.len(), names, selection.filter.map(String::from))
        };
        assert_eq!(suites(&[]), (2, vec!["core", "it", "chaos"], None));
        assert_eq!(suites(&["thread", "chaos"]), (1, vec!["chaos"], None));
        assert_eq!(suites(&["address", "it", "races::"]), (1, vec!["it"], Some("races::".into())));
        assert_eq!(suites(&["races"]), (2, vec!["core", "it"], Some("races".into())));
        for refused in [&["chaos", "races"][..], &["--all"], &["it", "races", "waiting"]] {
            assert!(Selection::parse(refused).is_none(), "{refused:?}");
        }
    }

    #[test]
    fn every_exclusion_has_a_reason() {
        assert!(EXCLUDED.iter().all(|test| test.why.len() > 20 && !test.test.is_empty()));
    }
}
