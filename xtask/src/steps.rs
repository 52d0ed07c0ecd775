//! `cargo xtask test`: the steps, in the order in which they fail cheapest.

use std::env;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::tidy;

/// How much of it is run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Quick,
    Full,
}

/// One command line: what is set in its environment, then what cargo is told.
struct Step {
    name: &'static str,
    extent: Extent,
    environment: Vec<(&'static str, String)>,
    cargo: Vec<String>,
    /// Its filter must match a test: one that matches none passes too, and checks nothing.
    must_match: bool,
}

impl Step {
    fn new(name: &'static str, extent: Extent, cargo: &str) -> Self {
        Step {
            name,
            extent,
            environment: Vec::new(),
            cargo: cargo.split_whitespace().map(String::from).collect(),
            must_match: false,
        }
    }

    fn set(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((variable, value.into()));
        self
    }

    /// Sets a variable that the caller may already have set otherwise.
    fn default(self, variable: &'static str, value: &str) -> Self {
        match env::var(variable) {
            Ok(chosen) => self.set(variable, chosen),
            Err(_) => self.set(variable, value),
        }
    }

    fn must_match(self) -> Self {
        Step { must_match: true, ..self }
    }

    fn command(&self, root: &Path) -> Command {
        // The cargo that runs us, so that `cargo +toolchain xtask test` is one toolchain
        // throughout.
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(&self.cargo).envs(self.environment.iter().map(|(variable, value)| (variable, value))).current_dir(root);
        command
    }

    fn passes(&self, root: &Path) -> bool {
        if self.must_match && !self.matches(root) {
            eprintln!("the filter matches no test");
            return false;
        }
        match self.command(root).stdin(Stdio::null()).status() {
            Ok(status) => status.success(),
            Err(error) => {
                eprintln!("cargo could not be started: {error}");
                false
            }
        }
    }

    /// Compiles the tests, runs none, and tells whether there are any. What does not compile is for
    /// the run to say.
    fn matches(&self, root: &Path) -> bool {
        let list = self.command(root).arg("--list").stderr(Stdio::inherit()).output();
        list.is_ok_and(|list| !list.status.success() || String::from_utf8_lossy(&list.stdout).contains(": test"))
    }
}

/// The line that a shell takes to run this step alone.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (variable, value) in &self.environment {
            write!(f, "{variable}={} ", quoted(value))?;
        }
        write!(f, "cargo")?;
        self.cargo.iter().try_for_each(|word| write!(f, " {}", quoted(word)))
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// What is compiled: every crate but the bench, which alone needs the peers that it measures
/// against.
const ALL: &str = "--workspace --exclude ray-bench";

fn steps() -> Vec<Step> {
    use Extent::{Full, Quick};

    // Two profiles in the ordinary target folder, dev for all that is tested and release for what
    // is timed; loom's
    // `cfg` would invalidate both, so it has a folder of its own.
    vec![
        Step::new("fmt", Quick, "fmt --all --check"),
        Step::new("clippy", Quick, &format!("clippy {ALL} --all-targets -- -D warnings")),
        // Who brings a model of his own builds ray-train without burn.
        Step::new("clippy, no burn", Full, "clippy --package ray-train --no-default-features --all-targets -- -D warnings"),
        Step::new("tests", Quick, &format!("test {ALL} --tests")),
        // Every value through the MessagePack glue: what a cluster would refuse fails here.
        Step::new("tests, strict", Full, "test --package ray-remote --test it").set("RAY_STRICT", "1"),
        // The corpora, then a minute of mutations, all targets together; compiled by "tests" above.
        Step::new("fuzz targets", Full, &format!("test {ALL} --test fuzz -- --nocapture"))
            .default("RAY_FUZZ_SECONDS", "60")
            .must_match(),
        Step::new("doc tests", Full, &format!("test {ALL} --doc")),
        // With the examples, so that dependencies have the features that they have for clippy, and none is checked again: burn is large.
        Step::new("docs, no burn", Full, "doc --package ray-train --no-default-features --no-deps --lib --examples")
            .set("RUSTDOCFLAGS", "-D warnings"),
        Step::new("docs", Full, &format!("doc {ALL} --no-deps --lib --bins --examples")).set("RUSTDOCFLAGS", "-D warnings"),
        Step::new("examples", Full, "run --release --package ray-examples"),
        // In a target folder of its own, for it compiles what was packaged.
        Step::new("packages", Full, "xtask package"),
        Step::new("chaos", Full, &format!("{CHAOS} --ops 400000 --seeds 2 --cpus 1,2,8 --minutes 1")),
        Step::new("chaos, strict", Full, &format!("{CHAOS} --ops 200000 --cpus 2 --strict --minutes 0.5")),
        Step::new("loom models", Full, "test --release --package ray-core --lib --target-dir target/loom -- loom")
            .set("RUSTFLAGS", "--cfg loom")
            .default("LOOM_MAX_PREEMPTIONS", "2")
            .must_match(),
    ]
}

/// Builds the random programs, with the assertions of a debug build and the speed of a release, and runs them.
const CHAOS: &str = "run --quiet --profile chaos --package ray-chaos --";

/// `cargo xtask chaos`: hands the options on.
pub(crate) fn chaos(root: &Path, options: &[&str]) -> bool {
    let mut step = Step::new("chaos", Extent::Full, CHAOS);
    step.cargo.extend(options.iter().map(|option| (*option).to_owned()));
    step.passes(root)
}

/// Runs the steps; the first that fails ends it, with the line that runs that step alone.
pub(crate) fn run(root: &Path, extent: Extent) -> bool {
    let begin = Instant::now();
    let mut times = Vec::new();

    headline("tidy");
    let start = Instant::now();
    if !tidy::run(root, tidy::Details::default()) {
        return failed("tidy", "cargo xtask tidy");
    }
    times.push(("tidy", start.elapsed()));

    for step in steps() {
        if step.extent == Extent::Full && extent == Extent::Quick {
            continue;
        }
        headline(&format!("{}: {step}", step.name));
        let start = Instant::now();
        if !step.passes(root) {
            return failed(step.name, &step.to_string());
        }
        times.push((step.name, start.elapsed()));
        println!("    {} passed in {}", step.name, seconds(start.elapsed()));
    }

    headline("all passed");
    for (name, time) in times {
        println!("    {name:<16}{:>10}", seconds(time));
    }
    println!("    {:<16}{:>10}", "in all", seconds(begin.elapsed()));
    true
}

fn headline(text: &str) {
    println!("==> {text}");
}

fn failed(name: &str, line: &str) -> bool {
    eprintln!("\n{name} failed. To run it alone:\n\n    {line}\n");
    false
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_prints_the_line_that_a_shell_takes() {
        let step = Step::new("loom", Extent::Full, "test -- loom").set("RUSTFLAGS", "--cfg loom");
        assert_eq!(step.to_string(), "RUSTFLAGS='--cfg loom' cargo test -- loom");
    }

    #[test]
    fn the_bench_is_compiled_by_no_step() {
        for step in steps() {
            let line = step.to_string();
            assert!(!line.contains("--workspace") || line.contains("--exclude ray-bench"), "{line}");
        }
    }

    /// burn takes minutes to build: only who asks for ray-train waits for it.
    #[test]
    fn a_plain_build_and_the_tour_leave_training_out() {
        let workspace = include_str!("../../Cargo.toml");
        let default = workspace.lines().find(|line| line.starts_with("default-members")).unwrap();
        assert!(!default.contains("ray-train"), "{default}");
        let dependencies = workspace.split("\n[package]").nth(1).unwrap();
        for manifest in [dependencies, include_str!("../../ray-core/Cargo.toml"), include_str!("../../ray-examples/Cargo.toml")] {
            assert!(!manifest.contains("ray-train"), "{manifest}");
        }
    }
}
