//! The names of the tests, for the documents that name tests as evidence.

use std::collections::HashSet;

use super::source::{Source, Token};

/// The folders with tests. Those of the crates are beside the code, too.
const FOLDERS: &[&str] = &["tests/", "ray-cluster/", "ray-core/", "ray-macros/", "ray-train/"];

/// The folder whose programs check their own results.
const PROGRAMS: &str = "ray-examples/";

/// The names of all tests: each alone, with its file (`get::time_outs`), and with its folder and its file
/// (`cluster::nodes::errors_of_both`). A program of the examples is the function `main` of its file. A case of the UI tests has the
/// name `ui/` and the name of its file.
pub(super) fn names(sources: &[Source<'_>]) -> HashSet<String> {
    let mut names = HashSet::new();
    for Source { file, tokens, .. } in sources {
        let mut path = file.path.trim_end_matches(".rs").rsplit('/');
        let (stem, folder) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
        if file.path.starts_with("tests/ui/") {
            names.insert(format!("ui/{stem}"));
            continue;
        }
        let is_program = file.path.starts_with(PROGRAMS);
        if !is_program && !FOLDERS.iter().any(|folder| file.path.starts_with(folder)) {
            continue;
        }
        for (at, pair) in tokens.windows(2).enumerate().filter(|(_, pair)| pair[0].text == "fn") {
            let name = &pair[1].text;
            let counts = if is_program { name == "main" } else { is_test(&tokens[..at]) };
            if counts {
                names.extend([name.clone(), format!("{stem}::{name}"), format!("{folder}::{stem}::{name}")]);
            }
        }
    }
    names
}

/// Whether one of the attributes at the end of these tokens, which stand before a function, is `#[test]`.
fn is_test(before: &[Token]) -> bool {
    let words: Vec<&str> = before.iter().rev().map(|token| token.text.as_str()).collect();
    let mut rest = words.as_slice();
    // The words are in reverse order, and an attribute contains no other one.
    while let ["]", inside @ ..] = rest {
        if inside.starts_with(&["test", "[", "#"]) {
            return true;
        }
        let Some(end) = inside.iter().position(|word| *word == "#") else { return false };
        rest = &inside[end + 1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::File;

    #[test]
    fn only_tests_and_programs_have_names() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let files = [
            file(
                "tests/it/cluster/nodes.rs",
                "#[test] #[should_panic(expected = \"x\")] fn far() { fn inner() {} } fn helper() {}",
            ),
            file(
                "ray-core/src/base/os.rs",
                "#[cfg(test)] mod tests { #[cfg(unix)] #[test] fn near() {} #[inline] fn fast() {} }",
            ),
            file("ray-examples/src/programs/counter.rs", "pub fn main() {} fn help() {}"),
            file("xtask/src/main.rs", "#[test] fn of_xtask() {}"),
            file("tests/ui/fail/wrong.rs", "fn main() {}"),
        ];
        let sources: Vec<Source<'_>> = files.iter().filter_map(|file| Source::read(file).ok()).collect();
        let mut found: Vec<String> = names(&sources).into_iter().collect();
        found.sort_unstable();
        let of = |folder: &str, stem: &str, name: &str| {
            [format!("{folder}::{stem}::{name}"), format!("{stem}::{name}"), name.to_owned()]
        };
        let mut expected = [of("cluster", "nodes", "far"), of("base", "os", "near"), of("programs", "counter", "main")].concat();
        expected.push("ui/wrong".to_owned());
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
