//! Checks that the paths of files that the documents mention exist.
//!
//! A word in backquotes is a path if it contains a `/` or ends like a file name. A path may leave out its first folders
//! (`object/entry` for `ray-core/src/object/entry.rs`), and a module may leave out `.rs`.

use std::collections::HashSet;

use super::{File, Problem};

const DOCUMENTS: &[&str] = &["ARCHITECTURE.md", "docs/contributing.md"];

const ENDINGS: &[&str] = &[".rs", ".md", ".toml", ".lock", ".sh", ".svg"];

pub(super) fn check(files: &[File]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let documents: Vec<&File> = files.iter().filter(|file| DOCUMENTS.contains(&file.path.as_str())).collect();
    if documents.is_empty() {
        return problems;
    }
    let there = ends(files);
    for document in documents {
        for (number, line) in prose(&document.text) {
            for path in line.split('`').skip(1).step_by(2).filter(|word| is_path(word)) {
                if !there.contains(path.trim_end_matches('/')) {
                    problems.push(document.problem(number, format!("there is no `{path}`")));
                }
            }
        }
    }
    problems
}

/// The lines outside of code blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        (!code && !fence).then_some((at + 1, line))
    })
}

fn is_path(word: &str) -> bool {
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c));
    let generated = ["target/", "/", "."].iter().any(|begin| word.starts_with(begin));
    plain && !generated && (word.contains('/') || ENDINGS.iter().any(|ending| word.ends_with(ending)))
}

/// For each file and each folder, its path and all ends of its path; for a Rust file, each with and without `.rs`.
fn ends(files: &[File]) -> HashSet<&str> {
    let mut ends = HashSet::new();
    for file in files {
        let mut path = file.path.as_str();
        loop {
            let mut end = path;
            loop {
                ends.insert(end);
                ends.insert(end.trim_end_matches(".rs"));
                match end.split_once('/') {
                    Some((_, rest)) => end = rest,
                    None => break,
                }
            }
            match path.rsplit_once('/') {
                Some((folder, _)) => path = folder,
                None => break,
            }
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_missing_files_are_found() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let text = "`ray-core/src/object/entry.rs` `object/entry` `object/` `entry.rs` `core`\n`a::b` `f(x/y)` `target/x`
```\n`gone/in_code.rs`\n```\n`store/gone` `gone.rs` and `ray-core/store`";
        let files = [file("ARCHITECTURE.md", text), file("ray-core/src/object/entry.rs", "")];
        let problems: Vec<String> = check(&files).iter().map(Problem::to_string).collect();
        let gone = ["`store/gone`", "`gone.rs`", "`ray-core/store`"];
        assert_eq!(problems, gone.map(|path| format!("ARCHITECTURE.md:6: there is no {path}")));
    }
}
