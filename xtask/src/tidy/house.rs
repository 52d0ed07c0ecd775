//! Checks names and sizes of files, the places of unsafe code, sleeps in tests, and paths of a developer's machine.

use super::source::Source;
use super::{File, Problem};

/// The maximum number of lines of a file. A longer file usually has more than one subject.
const LINES: usize = 500;

/// Files that may be longer, each with a comment that gives the reason.
const LONGER: &[&str] = &[];

/// The files that implement protocols with `unsafe` code. The module doc of each states the rules of the protocol, and its
/// states if it has any.
const PROTOCOLS: &[&str] = &[
    "ray-core/src/actor/cell.rs",
    "ray-core/src/actor/head.rs",
    "ray-core/src/actor/mailbox.rs",
    "ray-core/src/collective/kernel.rs",
    "ray-core/src/collective/local.rs",
    "ray-core/src/object/future_waiter.rs",
    "ray-core/src/engine/callbacks.rs",
    "ray-core/src/object/entry.rs",
    "ray-core/src/object/region.rs",
    "ray-core/src/object/waiter.rs",
    "ray-core/src/task/children.rs",
    "ray-core/src/task/edges.rs",
    "ray-core/src/api/wait/set.rs",
];

/// The other files with `unsafe` code. Those of the engine access entries and actors by their addresses, under the rules of
/// a protocol.
const UNSAFE: &[&str] = &[
    "ray-bench/src/memory.rs",
    "ray-cluster/src/channel.rs",
    "ray-core/src/actor/any.rs",
    "ray-core/src/actor/async_constructor.rs",
    "ray-core/src/actor/backlog.rs",
    "ray-core/src/actor/call.rs",
    "ray-core/src/actor/call_cell.rs",
    "ray-core/src/actor/checkpoint.rs",
    "ray-core/src/actor/class.rs",
    "ray-core/src/actor/concurrent.rs",
    "ray-core/src/actor/construct.rs",
    "ray-core/src/actor/create.rs",
    "ray-core/src/actor/creation.rs",
    "ray-core/src/actor/execution.rs",
    "ray-core/src/actor/handle.rs",
    "ray-core/src/actor/instance.rs",
    "ray-core/src/actor/host.rs",
    "ray-core/src/actor/interrupt.rs",
    "ray-core/src/actor/lifecycle.rs",
    "ray-core/src/actor/living.rs",
    "ray-core/src/actor/remote.rs",
    "ray-core/src/actor/run.rs",
    "ray-core/src/actor/schedule.rs",
    "ray-core/src/actor/send.rs",
    "ray-core/src/actor/steal.rs",
    "ray-core/src/actor/weak_handle.rs",
    "ray-core/src/engine/blocking/awaiting.rs",
    "ray-core/src/api/get.rs",
    "ray-core/src/engine/blocking/inline.rs",
    "ray-core/src/engine/blocking/last_resort.rs",
    "ray-core/src/base/os.rs",
    "ray-core/src/engine/blocking/park.rs",
    "ray-core/src/api/several.rs",
    "ray-core/src/collective/group.rs",
    "ray-core/src/collective/element.rs",
    "ray-core/src/object/object_ref.rs",
    "ray-core/src/object/any.rs",
    "ray-core/src/api/future.rs",
    "ray-core/src/api/put.rs",
    "ray-core/src/engine/free_job.rs",
    "ray-core/src/actor/kinds.rs",
    "ray-core/src/engine/shutdown.rs",
    "ray-core/src/task/runner.rs",
    "ray-core/src/task/abort.rs",
    "ray-core/src/task/dependency.rs",
    "ray-core/src/engine/thread_state.rs",
    "ray-core/src/engine/threads.rs",
    "ray-core/src/engine/execute.rs",
    "ray-core/src/engine/submit.rs",
    "ray-core/src/object/block.rs",
    "ray-core/src/object/events.rs",
    "ray-core/src/object/task_table.rs",
    "ray-core/src/object/depot.rs",
    "ray-core/src/base/sync.rs",
    "ray-core/src/task/head.rs",
    "ray-core/src/engine/task_cell.rs",
    "ray-core/src/engine/future.rs",
    "ray-core/src/object/part.rs",
    "ray-core/src/object/release.rs",
    "ray-core/src/object/remote.rs",
    "ray-core/src/object/parts.rs",
    "ray-core/src/engine/thread.rs",
    "ray-core/src/api/wait.rs",
    "ray-core/src/engine/worker.rs",
    "ray-train/src/model/mlp/product.rs",
    "ray-train/src/trainer/interrupt.rs",
    "ray-train/tests/trainer/signal.rs",
    "tests/it/forks.rs",
    "tests/it/processes/child.rs",
    "tests/it/processes/tests.rs",
    "tests/it/processes/worker.rs",
    "tests/it/no_threads.rs",
    "tests/it/awaits.rs",
    "tests/it/dump.rs",
];

/// Names that a file must not have, with the advice.
const NAMES: &[(&str, &str)] = &[
    ("mod.rs", "the file of a module `name` is `name.rs`, and its children are in `name/`"),
    ("utils.rs", "name it after its subject"),
    ("helper.rs", "name it after its subject"),
    ("helpers.rs", "name it after its subject"),
];

/// Paths of a developer's machine, each in two parts, so that this file does not contain them.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/tmp/", "probe")];

pub(super) fn check(files: &[File], sources: &[Source<'_>]) -> Vec<Problem> {
    let mut problems = stale(sources);
    for file in files {
        names(file, &mut problems);
        machine_paths(file, &mut problems);
        if file.is_rust() {
            size(file, &mut problems);
        }
    }
    for source in sources {
        unsafety(source, &mut problems);
        sleeps(source, &mut problems);
    }
    problems
}

fn names(file: &File, problems: &mut Vec<Problem>) {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if let Some((_, why)) = NAMES.iter().find(|(banned, _)| *banned == name) {
        problems.push(file.problem(0, format!("a file cannot have the name `{name}`: {why}")));
    }
}

fn machine_paths(file: &File, problems: &mut Vec<Problem>) {
    for (number, line) in file.text.lines().enumerate() {
        if let Some(path) = MACHINE_PATHS.iter().find(|path| line.contains(**path)) {
            problems.push(file.problem(number + 1, format!("`{path}` is a path of one machine")));
        }
    }
}

fn size(file: &File, problems: &mut Vec<Problem>) {
    let lines = file.text.lines().count();
    if lines > LINES && !LONGER.contains(&file.path.as_str()) {
        let what =
            format!("the file has {lines} lines, more than {LINES}: move a part with a subject of its own to another file");
        problems.push(file.problem(0, what));
    }
}

fn unsafety(Source { file, tokens, .. }: &Source<'_>, problems: &mut Vec<Problem>) {
    let Some(token) = tokens.iter().find(|token| token.text == "unsafe") else {
        return;
    };
    let path = file.path.as_str();
    if PROTOCOLS.contains(&path) {
        let head: String = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
        if !head.to_lowercase().contains("rule") {
            problems.push(file.problem(1, "the module doc of a protocol must state its rules (and its states)"));
        }
    } else if !UNSAFE.contains(&path) && !path.starts_with("tests/ui/fail/") && !path.contains("/loom/") {
        let what = "unsafe code is allowed only in the files that xtask/src/tidy/house.rs lists";
        problems.push(file.problem(token.line, what));
    }
}

/// Finds sleeps in tests. A test that sleeps to wait for something is slow, and fails on a busy machine. The body of a task
/// may sleep, with a comment that says why.
fn sleeps(Source { file, tokens, .. }: &Source<'_>, problems: &mut Vec<Problem>) {
    if !(file.path.starts_with("tests/") || file.path.contains("/tests/")) {
        return;
    }
    let lines: Vec<&str> = file.text.lines().collect();
    for pair in tokens.windows(2) {
        let line = pair[0].line;
        let explained = lines[line - 1].contains("// body:") || (line > 1 && lines[line - 2].trim().starts_with("// body:"));
        if pair[0].text == "sleep" && pair[1].text == "(" && !explained {
            let what = "a test must not sleep (the body of a task may, with a comment `// body: why`)";
            problems.push(file.problem(line, what));
        }
    }
}

/// Finds entries of the lists that are no longer needed.
fn stale(sources: &[Source<'_>]) -> Vec<Problem> {
    let find = |path: &str| sources.iter().find(|source| source.file.path == path);
    let entry = |path: &&str, what: &str| Problem {
        path: "xtask/src/tidy/house.rs".into(),
        line: 0,
        what: format!("`{path}` {what}: remove it from the list"),
    };
    let short = LONGER
        .iter()
        .filter(|path| find(path).is_none_or(|source| source.file.text.lines().count() <= LINES))
        .map(|path| entry(path, "does not exceed the limit, or does not exist"));
    let safe = PROTOCOLS
        .iter()
        .chain(UNSAFE)
        .filter(|path| find(path).is_none_or(|source| source.tokens.iter().all(|token| token.text != "unsafe")))
        .map(|path| entry(path, "has no unsafe code, or does not exist"));
    short.chain(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.into(), text: text.into() };
        let stale = stale(&[]).len();
        let files = [file];
        let sources: Vec<Source<'_>> = files.iter().filter_map(|file| Source::read(file).ok()).collect();
        check(&files, &sources).into_iter().skip(stale).map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn only_explained_sleeps_of_task_bodies_are_allowed() {
        assert!(wrong("tests/it/a.rs", "fn f() { thread::sleep(d); // body: holds its CPU\n}").is_empty());
        assert!(wrong("tests/it/a.rs", "fn f() {\n// body: holds its CPU\n    thread::sleep(d); }").is_empty());
        assert!(wrong("src/a.rs", "fn f() { thread::sleep(d); }").is_empty());
        assert_eq!(wrong("tests/it/a.rs", "\nfn f() { thread::sleep(d); }").len(), 1);
    }

    #[test]
    fn unsafe_code_is_found_in_code_only() {
        assert!(wrong("src/a.rs", "// unsafe\nconst A: &str = \"unsafe\";").is_empty());
        assert_eq!(wrong("src/a.rs", "\nunsafe fn f() {}").len(), 1);
    }

    #[test]
    fn wrong_names_sizes_and_paths_are_found() {
        assert_eq!(wrong("src/a/mod.rs", "").len(), 1);
        assert_eq!(wrong("src/a.rs", &"\n".repeat(LINES + 1)).len(), 1);
        assert_eq!(wrong("README.md", &format!("{}x", MACHINE_PATHS[0])).len(), 1);
    }
}
