//! Runs the tests. The tests of a module share a process, which has a time limit. A test that has not passed in it runs again in a
//! process of its own: a test beside it may have used up the time, or the machine. What has passed only then is told.

use std::collections::{BTreeMap, VecDeque};
use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The processes of tests that run at the same time, and the tests that run at the same time in each.
const PROCESSES: usize = 2;
pub(super) const THREADS: usize = 3;

/// The limit of a test that runs alone, and so the least limit of a module.
const LIMIT: Duration = Duration::from_secs(75);
/// What each test adds to the limit of its module.
const EACH: Duration = Duration::from_secs(6);

/// Tests that are not on the list: those of another executor, the entry of the workers, and those of two nodes.
const APART: [&str; 3] = ["processes::", "cluster::entry_of_workers", "cluster::nodes::"];

/// How a test has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    Hung,
}

/// The outcome of a test.
pub(super) struct Ended {
    name: String,
    outcome: Outcome,
    /// Whether this was its second run.
    again: bool,
}

/// Tests that share a process.
struct Batch {
    names: Vec<String>,
    /// Whether they run for the second time.
    again: bool,
}

/// Builds the test binary; returns its path.
pub(super) fn build(root: &Path) -> Result<PathBuf, String> {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--package", "ray-remote", "--test", "it", "--no-run", "--message-format", "json"]);
    let built = command.current_dir(root).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let built = built.map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !built.status.success() {
        return Err("the tests do not compile".into());
    }
    let messages = String::from_utf8_lossy(&built.stdout).into_owned();
    let path = messages.lines().rev().find_map(|line| line.split_once(r#""executable":""#)?.1.split('"').next());
    path.map(PathBuf::from).ok_or_else(|| "cargo does not tell the path of the test binary".into())
}

/// Copies the program without its debug information, which each driver would otherwise remove before it ships the program.
pub(super) fn stripped(program: &Path, to: &Path) -> Result<PathBuf, String> {
    fs::create_dir_all(to.parent().expect("it has a folder")).map_err(|error| error.to_string())?;
    let strip = Command::new("strip").arg("--strip-all").arg("-o").arg(to).arg(program).stdin(Stdio::null()).status();
    if !strip.is_ok_and(|status| status.success()) {
        fs::copy(program, to).map_err(|error| format!("{} cannot be copied: {error}", program.display()))?;
    }
    Ok(to.to_owned())
}

/// The names of the tests of the list.
pub(super) fn names(program: &Path) -> Result<Vec<String>, String> {
    let mut names = all_names(program)?;
    names.retain(|name| !APART.iter().any(|apart| name.starts_with(apart)));
    Ok(names)
}

/// The names of the tests of a module.
pub(super) fn names_in(program: &Path, module: &str) -> Result<Vec<String>, String> {
    let mut names = all_names(program)?;
    names.retain(|name| name.starts_with(module));
    Ok(names)
}

fn all_names(program: &Path) -> Result<Vec<String>, String> {
    let list = Command::new(program).arg("--list").stdin(Stdio::null()).output();
    let list = list.map_err(|error| format!("the tests cannot be listed: {error}"))?;
    let text = String::from_utf8_lossy(&list.stdout).into_owned();
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(ToOwned::to_owned).collect())
}

/// Runs the tests. The output of a process in which a test has not passed goes to a file in the folder `logs`.
pub(super) fn run(program: &Path, environment: &[(String, String)], names: &[String], threads: usize, logs: &Path) -> Vec<Ended> {
    let _ = fs::remove_dir_all(logs);
    fs::create_dir_all(logs).expect("the target folder can be written");
    let mut modules: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for name in names {
        modules.entry(name.split("::").next().unwrap_or_default()).or_default().push(name.clone());
    }
    // Long modules first, so that the last minutes are not spent in one of them.
    let mut modules: Vec<_> = modules.into_values().map(|names| Batch { names, again: false }).collect();
    modules.sort_by_key(|batch| std::cmp::Reverse(batch.names.len()));
    let queue = Mutex::new(VecDeque::from(modules));
    let ended = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..PROCESSES {
            let (queue, ended) = (&queue, &ended);
            let log = logs.join(format!("process{worker}.log"));
            scope.spawn(move || {
                loop {
                    let next = queue.lock().expect("no other thread has panicked").pop_front();
                    let Some(Batch { names, again }) = next else { return };
                    let mut done = batch(program, environment, &names, threads, again, &log);
                    if !again {
                        let (kept, failed): (Vec<_>, Vec<_>) = done.into_iter().partition(|one| one.outcome == Outcome::Passed);
                        let mut queue = queue.lock().expect("no other thread has panicked");
                        queue.extend(failed.into_iter().map(|one| Batch { names: vec![one.name], again: true }));
                        done = kept;
                    }
                    ended.lock().expect("no other thread has panicked").extend(done);
                }
            });
        }
    });
    ended.into_inner().expect("no thread has panicked")
}

/// Runs tests in one process.
fn batch(
    program: &Path,
    environment: &[(String, String)],
    names: &[String],
    threads: usize,
    again: bool,
    log: &Path,
) -> Vec<Ended> {
    let begin = Instant::now();
    let limit = LIMIT + EACH * u32::try_from(names.len() - 1).unwrap_or(u32::MAX);
    // What the test binary says of its tests must not mix with what Ray's workers print.
    let told = log.with_extension("out");
    let output = File::create(&told).expect("the folder of the logs is there");
    let errors = File::create(log).expect("the folder of the logs is there");
    let mut command = Command::new(program);
    command.args(["--exact", &format!("--test-threads={threads}")]).args(names).envs(environment.iter().cloned());
    command.env_remove("RAY_ADDRESS").stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
    let mut process = command.spawn().expect("the test binary starts");
    while begin.elapsed() < limit && process.try_wait().is_ok_and(|status| status.is_none()) {
        std::thread::sleep(Duration::from_millis(20));
    }
    if process.try_wait().is_ok_and(|status| status.is_none()) {
        // The group has the process, its bridge, and the processes of its tests.
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", process.id())]).status();
    }
    let _ = process.wait();
    let text = String::from_utf8_lossy(&fs::read(&told).unwrap_or_default()).into_owned();
    let outcomes = outcomes(&text);
    let outcome = |name: &String| outcomes.get(name.as_str()).copied().unwrap_or(Outcome::Hung);
    let module = names[0].split("::").next().unwrap_or_default();
    let passed = names.iter().filter(|name| outcome(name) == Outcome::Passed).count();
    if passed < names.len() {
        let name = if again { names[0].replace("::", "-") } else { module.to_owned() };
        let errors = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
        let _ = fs::write(log.with_file_name(format!("{name}.log")), format!("{text}\n-- standard error --\n{errors}"));
    }
    let what = if again { &*names[0] } else { module };
    println!("    {what:<20} {passed:>3} of {:>3} passed in {:.0} s", names.len(), begin.elapsed().as_secs_f64());
    names.iter().map(|name| Ended { name: name.clone(), outcome: outcome(name), again }).collect()
}

/// What a test binary says of its tests.
fn outcomes(text: &str) -> BTreeMap<&str, Outcome> {
    let outcome = |text: &str| match text {
        "ok" => Some(Outcome::Passed),
        "FAILED" => Some(Outcome::Failed),
        _ => None,
    };
    let mut found = BTreeMap::new();
    // A test that runs alone prints its name first. If it prints something itself, its outcome stands on a line of its own.
    let mut begun = None;
    for line in text.lines() {
        if let Some((name, rest)) = line.strip_prefix("test ").and_then(|line| line.split_once(" ... ")) {
            let name = name.strip_suffix(" - should panic").unwrap_or(name);
            begun = Some(name);
            found.extend(outcome(rest).map(|outcome| (name, outcome)));
        } else if let (Some(name), Some(outcome)) = (begun, outcome(line)) {
            found.entry(name).or_insert(outcome);
        }
    }
    found
}

/// Prints what failed, and what passed only in its second run; whether nothing failed.
pub(super) fn report(ended: &[Ended], logs: &Path) -> bool {
    for one in ended.iter().filter(|one| one.again && one.outcome == Outcome::Passed) {
        println!("{} has passed when it ran again, alone", one.name);
    }
    let failed: Vec<_> = ended.iter().filter(|one| one.outcome != Outcome::Passed).collect();
    for one in &failed {
        let how =
            if one.outcome == Outcome::Hung { "has not ended in time, or its process has ended before" } else { "has failed" };
        println!("{} {how}", one.name);
    }
    println!("{} of {} tests passed on a cluster", ended.len() - failed.len(), ended.len());
    if !failed.is_empty() {
        println!("the output of those that failed is in {}", logs.display());
    }
    failed.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_of_tests() {
        let text = "running 3 tests\ntest a::d - should panic ... ok\ntest a::b ... ok\n\u{1b}[36m(x pid=1)\u{1b}[0m test c::d ... ok\ntest a::c ... FAILED\n\
                    test e::f ... [2026 W 1] a warning of Ray\nok\ntest g::h ... printed\n";
        let found = outcomes(text);
        assert_eq!(found.get("a::b"), Some(&Outcome::Passed));
        assert_eq!(found.get("a::c"), Some(&Outcome::Failed));
        assert_eq!(found.get("a::d"), Some(&Outcome::Passed));
        assert_eq!(found.get("e::f"), Some(&Outcome::Passed));
        assert_eq!(found.len(), 4, "{found:?}");
    }
}
