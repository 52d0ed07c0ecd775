//! `cargo xtask test`: the steps, ordered so that frequent mistakes are found early.

use std::env;
use std::fmt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{cluster, tidy};

/// Which steps are run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Quick,
    Full,
}

/// One command: the environment variables that it sets, and the arguments of cargo.
struct Step {
    name: &'static str,
    extent: Extent,
    environment: Vec<(&'static str, String)>,
    cargo: Vec<String>,
    /// Whether the filter must match a test. cargo also succeeds if the filter matches none, and has checked nothing then.
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

    /// Sets a variable, unless the caller's environment has a value for it.
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
        // The cargo that runs xtask, so that `cargo +toolchain xtask test` uses one toolchain for all steps.
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

    /// Compiles the tests without running them, and returns whether there is at least one. It also returns true if they do
    /// not compile, because the run that follows reports that.
    fn matches(&self, root: &Path) -> bool {
        let list = self.command(root).arg("--list").stderr(Stdio::inherit()).output();
        list.is_ok_and(|list| !list.status.success() || String::from_utf8_lossy(&list.stdout).contains(": test"))
    }
}

/// The shell command that runs this step alone.
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

/// All crates except ray-bench, whose many dependencies (the libraries that it compares with) no other crate needs.
const ALL: &str = "--workspace --exclude ray-bench";

fn steps() -> Vec<Step> {
    use Extent::{Full, Quick};

    // The steps share the ordinary target folder: tests have the profile dev, and programs whose times matter have the
    // profile release. The `cfg` of loom would invalidate both, so the loom models have a target folder of their own.
    vec![
        Step::new("fmt", Quick, "fmt --all --check"),
        Step::new("clippy", Quick, &format!("clippy {ALL} --all-targets -- -D warnings")),
        // Users with models of their own build ray-train without burn.
        Step::new("clippy, no burn", Full, "clippy --package ray-train --no-default-features --all-targets -- -D warnings"),
        Step::new("tests", Quick, &format!("test {ALL} --tests")),
        // Strict mode encodes every value as MessagePack, so values that a cluster could not send fail here.
        Step::new("tests, strict", Full, "test --package ray-remote --test it").set("RAY_STRICT", "1"),
        // Tests of the embedded engine, on an executor that runs each body in a child process.
        Step::new("tests, processes", Full, &format!("test --package ray-remote --test it -- --exact {}", passing()))
            .set("RAY_TEST_EXECUTOR", "processes")
            .must_match(),
        // The corpora, and then mutations for one minute over all targets. The step "tests" has compiled them.
        Step::new("fuzz targets", Full, &format!("test {ALL} --test fuzz -- --nocapture"))
            .default("RAY_FUZZ_SECONDS", "60")
            .must_match(),
        Step::new("doc tests", Full, &format!("test {ALL} --doc")),
        // With the examples, so that the dependencies have the same features as for clippy and need no second check.
        Step::new("docs, no burn", Full, "doc --package ray-train --no-default-features --no-deps --lib --examples")
            .set("RUSTDOCFLAGS", "-D warnings"),
        Step::new("docs", Full, &format!("doc {ALL} --no-deps --lib --bins --examples")).set("RUSTDOCFLAGS", "-D warnings"),
        Step::new("examples", Full, "run --release --package ray-examples"),
        // This uses a target folder of its own, because it compiles the packages.
        Step::new("packages", Full, "xtask package"),
        Step::new("chaos", Full, &format!("{CHAOS} --ops 400000 --seeds 2 --cpus 1,2,8 --minutes 1 {NEW}")),
        Step::new("chaos, strict", Full, &format!("{CHAOS} --ops 200000 --cpus 2 --strict --minutes 0.5 {NEW}")),
        Step::new("loom models", Full, "test --release --package ray-core --lib --target-dir target/loom -- loom")
            .set("RUSTFLAGS", "--cfg loom")
            .default("LOOM_MAX_PREEMPTIONS", "2")
            .must_match(),
    ]
}

/// The tests that run on the executor of child processes.
fn passing() -> String {
    include_str!("../../tests/it/processes/passing.txt").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Builds and runs the random programs. Their profile has debug assertions and the optimisation of a release build.
const CHAOS: &str = "run --quiet --profile chaos --package ray-chaos --";
/// Kinds that have not run for long enough to decide about the other ones: one of few runs with them has failed.
const NEW: &str = "--without group,group-remove,group-rivals,group-block,stage-group";

/// `cargo xtask chaos`: passes the options to the program.
pub(crate) fn chaos(root: &Path, options: &[&str]) -> bool {
    let mut step = Step::new("chaos", Extent::Full, CHAOS);
    step.cargo.extend(options.iter().map(|option| (*option).to_owned()));
    step.passes(root)
}

/// Runs the steps. After the first step that fails it prints the command that runs this step alone, and returns false.
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

    // The suite on a cluster needs a Python with Ray and takes longer than all other steps, so it runs where it is asked for.
    let required = env::var("REQUIRE_CLUSTER").is_ok_and(|value| value == "1");
    if extent == Extent::Full && required {
        headline("cluster: cargo xtask cluster");
        let start = Instant::now();
        if let Some(why) = cluster::missing() {
            eprintln!("REQUIRE_CLUSTER is set, but the tests cannot run on a cluster: {why}");
            return failed("cluster", "cargo xtask cluster");
        }
        if !cluster::run(root, &[]) {
            return failed("cluster", "cargo xtask cluster");
        }
        times.push(("cluster", start.elapsed()));
    }

    headline("all passed");
    for (name, time) in times {
        println!("    {name:<16}{:>10}", seconds(time));
    }
    println!("    {:<16}{:>10}", "total", seconds(begin.elapsed()));
    if !required {
        println!("\nNOT RUN: the tests on a Ray cluster. `cargo xtask cluster` runs them, and so does REQUIRE_CLUSTER=1\n");
    }
    true
}

fn headline(text: &str) {
    println!("==> {text}");
}

fn failed(name: &str, line: &str) -> bool {
    eprintln!("\n{name} failed. This command runs it alone:\n\n    {line}\n");
    false
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_prints_its_shell_command() {
        let step = Step::new("loom", Extent::Full, "test -- loom").set("RUSTFLAGS", "--cfg loom");
        assert_eq!(step.to_string(), "RUSTFLAGS='--cfg loom' cargo test -- loom");
    }

    #[test]
    fn no_step_compiles_the_bench() {
        for step in steps() {
            let line = step.to_string();
            assert!(!line.contains("--workspace") || line.contains("--exclude ray-bench"), "{line}");
        }
    }

    /// ray-train builds burn, which takes minutes, so a plain `cargo build` and the tour must not need it.
    #[test]
    fn default_members_and_examples_do_not_depend_on_training() {
        let workspace = include_str!("../../Cargo.toml");
        let default = workspace.lines().find(|line| line.starts_with("default-members")).unwrap();
        assert!(!default.contains("ray-train"), "{default}");
        let dependencies = workspace.split("\n[package]").nth(1).unwrap();
        for manifest in [dependencies, include_str!("../../ray-core/Cargo.toml"), include_str!("../../ray-examples/Cargo.toml")] {
            assert!(!manifest.contains("ray-train"), "{manifest}");
        }
    }
}
