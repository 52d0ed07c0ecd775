//! Checks that the tests that `docs/semantics.md` names as evidence exist.
//!
//! A sentence there ends with `[test: name]`, or `[test: name, file::other]` with the name of the test's file. A case of
//! the UI tests is `[test: ui/name]`.

use super::source::Source;
use super::{File, Problem, evidence};

const DOCUMENT: &str = "docs/semantics.md";

pub(super) fn check(files: &[File], sources: &[Source<'_>]) -> Vec<Problem> {
    let Some(document) = files.iter().find(|file| file.path == DOCUMENT) else {
        return Vec::new();
    };
    let tests = evidence::names(sources);
    let mut problems = Vec::new();
    for (name, line) in named(&document.text) {
        if !tests.contains(&name) {
            problems.push(document.problem(line, format!("there is no test `{name}`")));
        }
    }
    problems
}

/// The names between `[test:` and `]`, each with the line of its list. A list may span several lines.
fn named(text: &str) -> Vec<(String, usize)> {
    let mut names = Vec::new();
    for (at, mark) in text.match_indices("[test:") {
        let list = &text[at + mark.len()..];
        let list = &list[..list.find(']').unwrap_or(list.len())];
        let line = text[..at].matches('\n').count() + 1;
        names.extend(list.split(',').map(|name| (name.trim().trim_matches('`').to_owned(), line)));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_tests_are_found() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let files = [
            file(DOCUMENT, "It is so. [test: shown]\nSo is this. [test: a::shown,\n  ui/refused, b::shown, gone]"),
            file("tests/it/a.rs", "#[test] fn shown() {} // fn gone()"),
            file("tests/ui/fail/refused.rs", ""),
        ];
        let sources: Vec<Source<'_>> = files[1..].iter().filter_map(|file| Source::read(file).ok()).collect();
        let problems: Vec<String> = check(&files, &sources).iter().map(Problem::to_string).collect();
        let gone = ["docs/semantics.md:2: there is no test `b::shown`", "docs/semantics.md:2: there is no test `gone`"];
        assert_eq!(problems, gone);
    }
}
