//! `cargo xtask compare`: compares the cost of the engine's operations in this tree with their cost in an earlier commit.
//!
//! A small program, `ray-bench/compare/probe.rs`, is built with both trees; the earlier one is a worktree below `target`.
//! Callgrind counts the instructions of each case twice, and again if the two counts differ because the threads met in
//! another order. If no two counts agree, they are printed but not compared with the limit. Times are measured in pairs of
//! processes, one of each tree, in alternating order. The ratio is the median of the ratios of all pairs, so a slow phase
//! of the machine affects both trees.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The commit to compare with, unless the command line names another one.
const BASE: &str = "469ada4";
/// The default number of pairs of processes.
const PAIRS: usize = 9;
/// The largest relative difference of two counts that agree.
const REPEATS: f64 = 0.01;
/// The maximum number of counts of a case.
const COUNTS: usize = 5;
/// The limit of the ratio of instructions, this tree to the earlier one.
const INSTRUCTIONS: f64 = 1.02;
/// The limit of the ratio of times and of memory.
const TIME: f64 = 1.05;

type Result<T> = std::result::Result<T, String>;

/// A case, and the parameters of its measurement.
struct Case {
    name: &'static str,
    /// The size of a round under callgrind, and the rounds of a shorter and a longer run, whose difference does not contain
    /// the cost of the start. A larger size makes counts of racing threads agree more often. If the shorter run has 0
    /// rounds, it is a program that does not start the engine.
    counted: Option<(u64, [usize; 2])>,
    /// The size of a round in the measurement, the rounds of a process, and the processes of a sample.
    timed: (u64, usize, usize),
    unit: &'static str,
    limit: f64,
}

const fn case(name: &'static str, counted: Option<(u64, [usize; 2])>, timed: (u64, usize, usize), unit: &'static str) -> Case {
    Case { name, counted, timed, unit, limit: TIME }
}

const CASES: &[Case] = &[
    case("rt", Some((5_000, [1, 3])), (20_000, 40, 1), "ns"),
    case("tasks", Some((50_000, [1, 3])), (100_000, 15, 1), "ns"),
    case("ask", Some((5_000, [1, 3])), (20_000, 40, 1), "ns"),
    case("pipe", Some((20_000, [1, 3])), (100_000, 15, 1), "ns"),
    case("tell", Some((100_000, [1, 3])), (200_000, 15, 1), "ns"),
    case("many", Some((250, [1, 3])), (500, 9, 1), "ns"),
    case("spawnstop", Some((10_000, [1, 3])), (20_000, 15, 1), "ns"),
    case("mem", Some((10_000, [1, 3])), (100_000, 1, 1), "bytes"),
    case("wait1000", Some((3, [1, 3])), (20, 15, 1), "ns"),
    case("fib25", Some((21, [1, 3])), (25, 5, 1), "ns"),
    case("par20", Some((100, [1, 3])), (2_000, 9, 1), "ns"),
    case("chain1000", Some((3, [1, 3])), (20, 15, 1), "ns"),
    case("start", Some((1, [0, 1])), (1, 1, 9), "ns"),
    case("idle", Some((1, [0, 1])), (1, 1, 9), "KiB"),
    // Callgrind cannot run so many deep stacks. The limit of this case is a ratio of 2.
    Case { limit: 2.0, ..case("nest10k", None, (10_000, 1, 3), "ns") },
];

/// The parsed command line.
struct Plan {
    base: String,
    pairs: usize,
    cases: Vec<&'static Case>,
}

/// Compares the trees and prints the table. Returns true if no ratio exceeds its limit.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> bool {
    match parse(arguments).and_then(|plan| compare(root, &plan)) {
        Ok(within) => within,
        Err(error) => {
            eprintln!("cargo xtask compare: {error}");
            false
        }
    }
}

fn parse(arguments: &[&str]) -> Result<Plan> {
    let mut plan = Plan { base: BASE.into(), pairs: PAIRS, cases: Vec::new() };
    let mut rest = arguments.iter();
    while let Some(&argument) = rest.next() {
        match argument {
            "--base" => plan.base = (*rest.next().ok_or("--base needs a commit")?).into(),
            "--pairs" => {
                let pairs = rest.next().and_then(|number| number.parse().ok()).filter(|pairs| *pairs > 0);
                plan.pairs = pairs.ok_or("--pairs needs a number, at least 1")?;
            }
            name => match CASES.iter().find(|case| case.name == name) {
                Some(case) => plan.cases.push(case),
                None => {
                    let names: Vec<&str> = CASES.iter().map(|case| case.name).collect();
                    return Err(format!("there is no case `{name}`; the cases are {}", names.join(" ")));
                }
            },
        }
    }
    if plan.cases.is_empty() {
        plan.cases = CASES.iter().collect();
    }
    Ok(plan)
}

fn compare(root: &Path, plan: &Plan) -> Result<bool> {
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return Err("valgrind, which counts instructions, is missing: install it (Debian and Ubuntu: `apt-get install \
                    valgrind`, Fedora: `dnf install valgrind`), then run this again"
            .into());
    }
    let commit = output(git(root).args(["rev-parse", "--verify", "--quiet", &format!("{}^{{commit}}", plan.base)]))
        .map_err(|_| format!("`{}` is not a commit of this repository", plan.base))?;
    let folder = root.join("target/compare");
    let tree = worktree(root, &folder, commit.trim())?;
    let trees = [Probe::build(root, &folder, "base", &tree)?, Probe::build(root, &folder, "here", root)?];

    println!("{} and this tree: instructions by callgrind, other ratios as medians of {} pairs", plan.base, plan.pairs);
    println!("{:<10} {:>12} {:>12} {:>7}  {:>12} {:>12} {:>7}", "", "instructions", "here", "ratio", "measured", "here", "ratio");
    let mut within = true;
    for case in &plan.cases {
        let counts = case.counted.map(|(size, rounds)| count_both(&trees, case.name, size, rounds)).transpose()?;
        let measured = measure_pairs(&trees, case, plan.pairs)?;
        let (line, passed) = line(case, counts, measured);
        println!("{line}");
        within &= passed;
    }
    Ok(within)
}

/// Creates a worktree of the commit, or returns the existing one.
fn worktree(root: &Path, folder: &Path, commit: &str) -> Result<PathBuf> {
    let tree = folder.join(commit);
    if !tree.join("Cargo.toml").exists() {
        // A worktree whose folder was deleted is still registered.
        output(git(root).args(["worktree", "prune"]))?;
        output(git(root).args(["worktree", "add", "--detach", "--force"]).arg(&tree).arg(commit))?;
    }
    Ok(tree)
}

/// The name of the facade's package, which was `ray` in earlier commits.
fn facade(tree: &Path) -> Result<&'static str> {
    let path = tree.join("Cargo.toml");
    let manifest = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(if manifest.lines().any(|line| line == "name = \"ray-remote\"") { "ray-remote" } else { "ray" })
}

fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(root);
    command
}

/// The program that runs the cases, built with one tree.
struct Probe {
    program: PathBuf,
}

impl Probe {
    /// Builds the program with a manifest of its own below `folder` and the lock file of the tree.
    fn build(root: &Path, folder: &Path, name: &str, tree: &Path) -> Result<Self> {
        let package = folder.join(format!("probe-{name}"));
        let source = root.join("ray-bench/compare/probe.rs");
        let facade = facade(tree)?;
        let manifest = format!(
            "# Written by `cargo xtask compare`.\n\
             [package]\nname = \"probe-{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n\n\
             [[bin]]\nname = \"probe-{name}\"\npath = {source:?}\n\n\
             [dependencies]\nray = {{ package = {facade:?}, path = {tree:?} }}\n\n\
             [profile.release]\ndebug = \"line-tables-only\"\n\n\
             [workspace]\n"
        );
        let failed = |error| format!("{}: {error}", package.display());
        fs::create_dir_all(&package).map_err(failed)?;
        fs::write(package.join("Cargo.toml"), manifest).map_err(failed)?;
        fs::copy(tree.join("Cargo.lock"), package.join("Cargo.lock")).map_err(failed)?;
        let target = folder.join("build");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        let built = cargo.args(["build", "--release", "--quiet"]).current_dir(&package).env("CARGO_TARGET_DIR", &target).status();
        match built {
            Ok(status) if status.success() => Ok(Probe { program: target.join(format!("release/probe-{name}")) }),
            Ok(_) => Err(format!("the probe does not build with the tree at {}", tree.display())),
            Err(error) => Err(format!("cargo could not be started: {error}")),
        }
    }

    /// Runs the program, and returns the number of operations of a round and the sample of all rounds.
    fn sample(&self, case: &str, size: u64, rounds: usize) -> Result<(f64, f64)> {
        let text = output(&mut self.start(Command::new(&self.program), case, size, rounds))?;
        let mut numbers = text.split_whitespace().map(|word| word.parse().ok());
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(operations), Some(sample)) => Ok((operations, sample)),
            _ => Err(format!("the probe of {case} printed `{}`", text.trim())),
        }
    }

    /// Runs the program under callgrind, and returns its instructions on all threads and the number of operations of a
    /// round.
    fn count(&self, case: &str, size: u64, rounds: usize) -> Result<(f64, f64)> {
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(&self.program);
        let run = self
            .start(valgrind, case, size, rounds)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("valgrind could not be started: {error}"))?;
        let (words, log) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
        let operations = words.split_whitespace().next().and_then(|word| word.parse().ok());
        match (run.status.success(), collected(&log), operations) {
            (true, Some(count), Some(operations)) => Ok((count, operations)),
            _ => Err(format!("callgrind gave no count of {case}, {}:\n{log}", run.status)),
        }
    }

    /// The command with the arguments of the case, without the environment variables of the engine.
    fn start(&self, mut command: Command, case: &str, size: u64, rounds: usize) -> Command {
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RAY_")) {
            command.env_remove(name);
        }
        command.args([case, &size.to_string(), &rounds.to_string()]);
        command
    }
}

/// The number in callgrind's line `==pid== Collected : number`.
fn collected(log: &str) -> Option<f64> {
    let (_, number) = log.lines().find_map(|line| line.split_once("Collected :"))?;
    number.trim().parse().ok()
}

/// Runs a command and returns its standard output. An error contains its standard error.
fn output(command: &mut Command) -> Result<String> {
    let run = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if run.status.success() {
        Ok(String::from_utf8_lossy(&run.stdout).into_owned())
    } else {
        Err(format!("{command:?}, {}: {}", run.status, String::from_utf8_lossy(&run.stderr).trim()))
    }
}

/// The instructions of an operation: the two smallest counts.
#[derive(Clone, Copy, Debug)]
struct Counts([f64; 2]);

impl Counts {
    /// Counts twice, and again while the two smallest counts differ and the maximum number of counts is not reached.
    fn of(mut once: impl FnMut() -> Result<f64>) -> Result<Self> {
        let mut all = vec![once()?];
        loop {
            all.push(once()?);
            all.sort_by(f64::total_cmp);
            let least = Counts([all[0], all[1]]);
            if least.repeat() || all.len() == COUNTS {
                return Ok(least);
            }
        }
    }

    fn mean(self) -> f64 {
        f64::midpoint(self.0[0], self.0[1])
    }

    fn repeat(self) -> bool {
        (self.0[0] - self.0[1]).abs() <= REPEATS * self.mean().abs()
    }
}

fn count_both(trees: &[Probe; 2], case: &str, size: u64, rounds: [usize; 2]) -> Result<[Counts; 2]> {
    let once = |probe: &Probe| -> Result<f64> {
        let [fewer, more] = rounds;
        let (least, _) = if fewer == 0 { probe.count("empty", 1, 1)? } else { probe.count(case, size, fewer)? };
        let (most, operations) = probe.count(case, size, more)?;
        Ok((most - least) / (operations * (more - fewer) as f64))
    };
    let counts = |probe: &Probe| Counts::of(|| once(probe));
    Ok([counts(&trees[0])?, counts(&trees[1])?])
}

/// The result of the measurement in pairs: the median of each tree, and the median of the ratios of the pairs.
#[derive(Clone, Copy, Debug)]
struct Measured {
    medians: [f64; 2],
    ratio: f64,
}

fn measure_pairs(trees: &[Probe; 2], case: &Case, pairs: usize) -> Result<Measured> {
    let (size, rounds, processes) = case.timed;
    let sample = |probe: &Probe| -> Result<f64> {
        let samples: Result<Vec<f64>> =
            (0..processes).map(|_| probe.sample(case.name, size, rounds).map(|(_, sample)| sample)).collect();
        Ok(median(samples?))
    };
    let mut samples = [Vec::new(), Vec::new()];
    for pair in 0..pairs {
        for turn in 0..2 {
            let tree = (pair + turn) % 2;
            samples[tree].push(sample(&trees[tree])?);
        }
    }
    let ratios = samples[0].iter().zip(&samples[1]).map(|(base, here)| here / base).collect();
    let [base, here] = samples;
    Ok(Measured { medians: [median(base), median(here)], ratio: median(ratios) })
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len() % 2 == 1 { samples[middle] } else { f64::midpoint(samples[middle - 1], samples[middle]) }
}

/// The line of a case in the table, and whether no ratio in it exceeds its limit.
fn line(case: &Case, counts: Option<[Counts; 2]>, measured: Measured) -> (String, bool) {
    let mut remarks = Vec::new();
    let mut within = true;
    let mut text = format!("{:<10}", case.name);
    match counts {
        Some([base, here]) => {
            let ratio = here.mean() / base.mean();
            text += &format!(" {:>12.0} {:>12.0} {ratio:>7.3}", base.mean(), here.mean());
            if !base.repeat() || !here.repeat() {
                remarks.push("the counts do not agree, so their ratio is not checked".to_owned());
            } else if ratio > INSTRUCTIONS {
                within = false;
                remarks.push(beyond("instructions", INSTRUCTIONS));
            }
        }
        None => text += &format!(" {:>12} {:>12} {:>7}", "-", "-", "-"),
    }
    let [base, here] = measured.medians;
    text += &format!("  {:>12.1} {:>12.1} {:>7.3} {}", base, here, measured.ratio, case.unit);
    if measured.ratio > case.limit {
        within = false;
        remarks.push(beyond(case.unit, case.limit));
    }
    if !remarks.is_empty() {
        text += &format!("  {}", remarks.join("; "));
    }
    (text, within)
}

fn beyond(what: &str, limit: f64) -> String {
    format!("OVER THE LIMIT of {:.0} %, {what}", (limit - 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_has_every_case() {
        let probe = include_str!("../../ray-bench/compare/probe.rs");
        for case in CASES {
            assert!(probe.contains(&format!("(\"{}\", ", case.name)), "{}", case.name);
        }
    }

    #[test]
    fn the_command_line_names_the_base_the_pairs_and_the_cases() {
        let plan = parse(&["--base", "v1", "ask", "--pairs", "3", "rt"]).ok().unwrap();
        let names: Vec<_> = plan.cases.iter().map(|case| case.name).collect();
        assert_eq!((plan.base.as_str(), plan.pairs, names), ("v1", 3, vec!["ask", "rt"]));
        assert_eq!(parse(&[]).ok().unwrap().cases.len(), CASES.len());
        for wrong in [&["--pairs", "0"][..], &["--pairs"], &["--base"], &["nothing"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn ratios_over_the_limit_are_marked_unless_the_counts_do_not_agree() {
        let rt = &CASES[0];
        let same = Measured { medians: [10.0, 10.0], ratio: 1.0 };
        let counts = |base: [f64; 2], here: [f64; 2]| Some([Counts(base), Counts(here)]);
        assert!(line(rt, counts([100.0, 100.5], [101.0, 101.0]), same).1);
        let (text, within) = line(rt, counts([100.0, 100.0], [103.0, 103.0]), same);
        assert!(!within && text.contains("OVER THE LIMIT of 2 %, instructions"), "{text}");
        let (text, within) = line(rt, counts([100.0, 100.0], [100.0, 150.0]), same);
        assert!(within && text.contains("do not agree"), "{text}");
        let (text, within) = line(rt, None, Measured { medians: [10.0, 11.0], ratio: 1.06 });
        assert!(!within && text.contains("OVER THE LIMIT of 5 %, ns"), "{text}");
    }

    #[test]
    fn counting_is_repeated_until_two_counts_agree() {
        let mut given = [150.0, 100.0, 130.0, 100.5, 0.0].into_iter();
        let counts = Counts::of(|| given.next().ok_or_else(String::new)).unwrap();
        assert!(counts.repeat());
        assert_eq!((counts.0, given.len()), ([100.0, 100.5], 1));

        let mut given = 0..;
        let counts = Counts::of(|| Ok(f64::from(given.next().unwrap()))).unwrap();
        assert!(!counts.repeat());
        assert_eq!(given.next(), Some(COUNTS as i32));
    }

    #[test]
    fn callgrinds_count_is_read() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 123456\n"), Some(123_456.0));
        assert_eq!(collected("==7== nothing"), None);
    }
}
