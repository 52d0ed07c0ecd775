//! `cargo xtask cluster`: runs the tests of `tests/it` on clusters of a real Ray.
//!
//! The clusters run in a network namespace that has only the loopback interface, and in a process namespace, which ends whatever
//! runs in it when the run ends. All their files are below one temporary folder.
//!
//! `tests/it/cluster/list.txt` says of each test whether it runs on a cluster ([`list`]).

mod heads;
mod leftovers;
pub(crate) mod list;
mod nodes;
mod suite;
mod venv;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use list::{Fate, List};

/// The first argument of the process inside the namespaces.
const INSIDE: &str = "--inside";

/// The argument that chooses an older version of Ray.
const OLDER: &str = "--older";

/// The tests that run on an older version: tasks, failures, actors, cancellation, retries and waits.
const SMOKE: [&str; 17] = [
    "actors::an_error_leaves_the_actor_alive",
    "actors::terminate_ends_the_actor_after_its_calls",
    "actors::told_calls_keep_their_order",
    "asynchronous::async_calls_overlap",
    "cancel::cancel_on_drop_and_several_returns",
    "encoded_errors::errors_of_actors_keep_their_causes",
    "errors::an_error_is_a_value",
    "errors::panics_are_errors",
    "objects::on_ready",
    "retry::a_cancel_ends_the_attempts",
    "tasks::a_failed_argument_fails_the_task",
    "tasks::async_functions",
    "tasks::nested_tasks",
    "tasks::plain_calls",
    "tasks::several_returns",
    "wait::as_completed_yields_all_objects_and_failures",
    "wait::time_outs",
];

/// The namespaces of the process that starts Ray. Its end ends all processes in them.
const UNSHARE: [&str; 5] = ["--net", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// Runs the command.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> bool {
    let done = match arguments {
        ["--list"] => show(root),
        [INSIDE, program, python, folder, rest @ ..] => {
            let logs = root.join("target/cluster/log");
            let place = Place { program: program.into(), python: python.into(), folder: folder.into(), logs };
            inside(root, &place, rest)
        }
        rest => outside(root, rest),
    };
    done.unwrap_or_else(|why| {
        eprintln!("{why}");
        false
    })
}

/// Whether this machine can run it; otherwise the reason.
pub(crate) fn missing() -> Option<String> {
    let works = |command: &mut Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if !works(Command::new("python3").args(["-c", "import venv"])) {
        return Some("python3 with the module venv is missing".into());
    }
    if !works(unshare().args(["sh", "-c", "ip link set lo up"])) {
        return Some("`unshare` cannot make the network and process namespaces, or `ip` is missing".into());
    }
    None
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.args(UNSHARE);
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.trim_ascii() == b"0");
    if !is_root {
        command.arg("--map-root-user");
    }
    command
}

/// What the process inside the namespaces uses.
struct Place {
    /// The test binary.
    program: PathBuf,
    python: PathBuf,
    /// The folder for all files.
    folder: PathBuf,
    /// The folder for the output of tests that fail.
    logs: PathBuf,
}

/// Builds what the run needs, and runs it in the namespaces.
fn outside(root: &Path, arguments: &[&str]) -> Result<bool, String> {
    if let Some(why) = missing() {
        return Err(format!("the tests cannot run on a cluster here: {why}"));
    }
    let built = suite::build(root)?;
    let program = suite::stripped(&built, &root.join("target/cluster/it"))?;
    let older = arguments.first() == Some(&OLDER);
    let python = venv::python(root, if older { &venv::OLDER } else { &venv::TESTED })?;
    let folder = env::temp_dir().join(format!("ray-it-{}", std::process::id()));
    std::fs::create_dir(&folder).map_err(|error| format!("{} cannot be made: {error}", folder.display()))?;
    let myself = env::current_exe().map_err(|error| error.to_string())?;
    let mut command = unshare();
    command.args(["sh", "-c", "ip link set lo up && exec \"$@\"", "sh"]);
    command.arg(myself).args(["cluster", INSIDE]).args([&program, &python, &folder]).args(arguments).stdin(Stdio::null());
    let status = command.status();
    let left = leftovers::in_shared_memory(&folder);
    let removed = std::fs::remove_dir_all(&folder);
    let passed = status.map_err(|error| format!("unshare cannot be started: {error}"))?.success();
    removed.map_err(|error| format!("{} cannot be removed: {error}", folder.display()))?;
    if !left.is_empty() {
        return Err(format!("the run has left files in /dev/shm: {}", left.join(", ")));
    }
    Ok(passed)
}

/// Runs the tests, inside the namespaces.
fn inside(root: &Path, place: &Place, arguments: &[&str]) -> Result<bool, String> {
    let begin = Instant::now();
    if arguments == [OLDER] {
        return on_older(place);
    }
    let (tries, filters) = match arguments {
        ["--try", filters @ ..] => (true, filters),
        filters => (false, filters),
    };
    let all = suite::names(&place.program)?;
    let list = List::read(root)?;
    if !tries {
        list.check(&all)?;
    }
    let chosen = |name: &&String| {
        let runs = tries || list.fate(name) == Some(Fate::Runs) || name.starts_with(list::OWN);
        runs && (filters.is_empty() || filters.iter().any(|filter| name.starts_with(filter)))
    };
    let names: Vec<String> = all.iter().filter(chosen).cloned().collect();
    let mut passed = true;
    if !names.is_empty() {
        let heads = heads::Heads::start(&place.python, &place.folder, &heads::SUITE)?;
        println!("{} clusters run after {:.0} s", heads::SUITE.len(), begin.elapsed().as_secs_f64());
        let logs = place.logs.join("suite");
        let outcomes = suite::run(&place.program, &heads.environment(), &names, suite::THREADS, &logs);
        let joined = heads.joined();
        let stopped = heads.stop();
        passed = suite::report(&outcomes, &logs);
        // A test without a cluster shows nothing of one. While tests are tried, this is only told.
        let apart: Vec<&String> = names.iter().filter(|name| !name.starts_with(list::OWN) && !joined.contains(*name)).collect();
        for name in &apart {
            println!("{name} has used no cluster: it does not belong to the tests that run on one");
        }
        passed &= tries || apart.is_empty();
        stopped?;
    }
    if filters.is_empty() && !tries || filters.iter().any(|filter| filter.starts_with(nodes::MODULE)) {
        passed &= nodes::run(place, filters)?;
    }
    leftovers::check(&place.folder)?;
    println!("the cluster's tests took {:.0} s", begin.elapsed().as_secs_f64());
    Ok(passed)
}

/// Runs some of the tests on an older version of Ray.
fn on_older(place: &Place) -> Result<bool, String> {
    let names = suite::names(&place.program)?;
    if let Some(name) = SMOKE.iter().find(|name| !names.iter().any(|there| there == *name)) {
        return Err(format!("there is no test `{name}`"));
    }
    let heads = heads::Heads::start(&place.python, &place.folder, &heads::SUITE[..2])?;
    let names = SMOKE.map(ToOwned::to_owned);
    let logs = place.logs.join("older");
    let outcomes = suite::run(&place.program, &heads.environment(), &names, suite::THREADS, &logs);
    heads.stop()?;
    Ok(suite::report(&outcomes, &logs))
}

/// Prints the list, after a comparison with the tests that there are.
fn show(root: &Path) -> Result<bool, String> {
    let list = List::read(root)?;
    list.check(&suite::names(&suite::build(root)?)?)?;
    print!("{list}");
    Ok(true)
}
