//! Names, sizes, unsafe code, and what has no place in a test.

use super::code::{tokens, without_comments_and_literals};
use super::{File, Problem};

/// Beyond this a file is about more than one thing.
const LINES: usize = 500;

/// Files that may be longer, each with the reason above it.
const LONGER: &[&str] = &[];

/// Files that may hold `unsafe`: the hot path's. Each says at its head which states there are and
/// by which rules they are left, under headings that name them so.
const UNSAFE: &[&str] = &[];

/// What a file must not be called, and why.
const NAMES: &[(&str, &str)] = &[
    ("mod.rs", "a module `name` lies in `name.rs`, its children in `name/`"),
    ("utils.rs", "name it after the one thing that it is about"),
    ("helper.rs", "name it after the one thing that it is about"),
    ("helpers.rs", "name it after the one thing that it is about"),
];

/// Paths of a developer's machine, in two parts so that this file does not hold them.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/tmp/", "probe")];

pub(super) fn check(files: &[File]) -> Vec<Problem> {
    let mut problems = stale(files);
    for file in files {
        names(file, &mut problems);
        machine_paths(file, &mut problems);
        if file.is_rust() {
            size(file, &mut problems);
            unsafety(file, &mut problems);
            sleeps(file, &mut problems);
        }
    }
    problems
}

fn names(file: &File, problems: &mut Vec<Problem>) {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if let Some((_, why)) = NAMES.iter().find(|(banned, _)| *banned == name) {
        problems.push(file.problem(0, format!("no file is called `{name}`: {why}")));
    }
}

fn machine_paths(file: &File, problems: &mut Vec<Problem>) {
    for (number, line) in file.text.lines().enumerate() {
        if let Some(path) = MACHINE_PATHS.iter().find(|path| line.contains(**path)) {
            problems.push(file.problem(number + 1, format!("`{path}` exists on one machine only")));
        }
    }
}

fn size(file: &File, problems: &mut Vec<Problem>) {
    let lines = file.text.lines().count();
    if lines > LINES && !LONGER.contains(&file.path.as_str()) {
        let what = format!("{lines} lines, and {LINES} are the limit: which part of it is a thing of its own?");
        problems.push(file.problem(0, what));
    }
}

fn unsafety(file: &File, problems: &mut Vec<Problem>) {
    let code = without_comments_and_literals(&file.text);
    let Some(token) = tokens(&code).into_iter().find(|token| token.text == "unsafe") else {
        return;
    };
    if !UNSAFE.contains(&file.path.as_str()) {
        let what = "unsafe code lies only in the files that xtask/src/tidy/house.rs lists";
        problems.push(file.problem(token.line, what));
        return;
    }
    let head: String = file.text.lines().take_while(|line| line.starts_with("//!")).collect();
    let head = head.to_lowercase();
    if !head.contains("state") || !head.contains("rule") {
        let what = "a file with unsafe code begins with a module doc that says its states and its rules";
        problems.push(file.problem(1, what));
    }
}

/// A test that sleeps is slow, or fails on a busy machine, or both; the body of a task may, and
/// says so.
fn sleeps(file: &File, problems: &mut Vec<Problem>) {
    if !(file.path.starts_with("tests/") || file.path.contains("/tests/")) {
        return;
    }
    let lines: Vec<&str> = file.text.lines().collect();
    let code = without_comments_and_literals(&file.text);
    for pair in tokens(&code).windows(2) {
        let line = pair[0].line;
        let said = lines[line - 1].contains("// body:") || (line > 1 && lines[line - 2].trim().starts_with("// body:"));
        if pair[0].text == "sleep" && pair[1].text == "(" && !said {
            let what = "no sleep in a test (a task's body may, and says so: `// body: why`)";
            problems.push(file.problem(line, what));
        }
    }
}

/// An entry of a list that no longer needs to be there.
fn stale(files: &[File]) -> Vec<Problem> {
    let find = |path: &str| files.iter().find(|file| file.path == path);
    let entry = |path: &&str, what: &str| Problem {
        path: "xtask/src/tidy/house.rs".into(),
        line: 0,
        what: format!("`{path}` {what}: take it off the list"),
    };
    let short = LONGER
        .iter()
        .filter(|path| find(path).is_none_or(|file| file.text.lines().count() <= LINES))
        .map(|path| entry(path, "is short enough, or gone"));
    let safe = UNSAFE
        .iter()
        .filter(|path| {
            find(path).is_none_or(|file| {
                let code = without_comments_and_literals(&file.text);
                tokens(&code).iter().all(|token| token.text != "unsafe")
            })
        })
        .map(|path| entry(path, "holds no unsafe code, or is gone"));
    short.chain(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(path: &str, text: &str) -> Vec<String> {
        let file = File { path: path.into(), text: text.into() };
        let stale = stale(&[]).len();
        check(&[file]).into_iter().skip(stale).map(|problem| problem.to_string()).collect()
    }

    #[test]
    fn a_sleep_in_a_test_says_that_it_is_the_body_of_a_task() {
        assert!(wrong("tests/it/a.rs", "thread::sleep(d); // body: holds its CPU").is_empty());
        assert!(wrong("tests/it/a.rs", "// body: holds its CPU\n    thread::sleep(d);").is_empty());
        assert!(wrong("src/a.rs", "thread::sleep(d);").is_empty());
        assert_eq!(wrong("tests/it/a.rs", "\nthread::sleep(d);").len(), 1);
    }

    #[test]
    fn unsafe_code_is_found_in_code_only() {
        assert!(wrong("src/a.rs", "// unsafe\nconst A: &str = \"unsafe\";").is_empty());
        assert_eq!(wrong("src/a.rs", "\nunsafe fn f() {}").len(), 1);
    }

    #[test]
    fn names_sizes_and_paths() {
        assert_eq!(wrong("src/a/mod.rs", "").len(), 1);
        assert_eq!(wrong("src/a.rs", &"\n".repeat(LINES + 1)).len(), 1);
        assert_eq!(wrong("README.md", &format!("{}x", MACHINE_PATHS[0])).len(), 1);
    }
}
