//! Checks `docs/parity.md`, which gives for each feature of Ray its state in this project and the tests that show it.
//!
//! Each table with a column "state" is one group. Its rows have four cells: the feature, its form in Rust, the state and the tests.
//! The state begins with one of [`STATES`]. A test is a word in backquotes, `file::name` or `folder::file::name`; a case of the UI
//! tests is `ui/name`. The summary counts the rows of each group by state.

use super::source::Source;
use super::{File, Problem, evidence};
use crate::cluster::list::{FILE as LIST, Fate, List};

const DOCUMENT: &str = "docs/parity.md";

/// The states, in the order of the summary's columns.
const STATES: [&str; 8] =
    ["works", "not shown on a cluster", "partly", "embedded only", "cluster only", "differs", "not yet", "refused"];

/// The state of a feature that works in one process and on a cluster: one of its tests must have shown the latter.
const WORKS: &str = STATES[0];
/// The states of features that are not there, so no test can show them.
const ABSENT: [&str; 2] = [STATES[6], STATES[7]];

/// The tests that run on a cluster only, and the messages of the compiler, which are the same for both engines.
const ON_A_CLUSTER: [&str; 5] = ["cluster::nodes::", "nodes::placement::", "cluster::differs", "faults::", "ui/"];

/// A row of a table with states.
struct Row {
    line: usize,
    /// The heading above the table.
    group: String,
    state: &'static str,
    tests: Vec<String>,
}

pub(super) fn check(files: &[File], sources: &[Source<'_>]) -> Vec<Problem> {
    let Some(document) = files.iter().find(|file| file.path == DOCUMENT) else {
        return Vec::new();
    };
    let list = files.iter().find(|file| file.path == LIST).map_or("", |file| file.text.as_str());
    let list = match List::parse(list) {
        Ok(list) => list,
        Err(what) => return vec![document.problem(0, what)],
    };
    let there = evidence::names(sources);
    let mut problems = Vec::new();
    let rows = rows(document, &mut problems);
    for Row { line, state, tests, .. } in &rows {
        for name in tests.iter().filter(|name| !(name.contains("::") || name.starts_with("ui/")) || !there.contains(*name)) {
            problems.push(document.problem(*line, format!("there is no test `{name}`: write `file::name` or `ui/name`")));
        }
        if tests.is_empty() && !ABSENT.contains(state) {
            problems.push(document.problem(*line, format!("no test shows the state `{state}`")));
        }
        let runs =
            |name: &String| ON_A_CLUSTER.iter().any(|begin| name.starts_with(begin)) || list.fate(name) == Some(Fate::Runs);
        if *state == WORKS && !tests.iter().any(runs) {
            let advice = format!("none of the tests runs on a cluster: see {LIST}, or write `{}`", STATES[1]);
            problems.push(document.problem(*line, advice));
        }
    }
    problems.extend(summary(document, &rows));
    problems
}

/// The rows of all tables with states.
fn rows(document: &File, problems: &mut Vec<Problem>) -> Vec<Row> {
    let (mut rows, mut group, mut is_table) = (Vec::new(), "", false);
    for (at, text) in document.text.lines().enumerate() {
        if let Some(heading) = text.strip_prefix("## ") {
            group = heading.trim();
        }
        if !text.starts_with('|') {
            is_table = false;
            continue;
        }
        let cells = cells(text);
        if cells.get(2) == Some(&"state") {
            is_table = true;
        } else if is_table && !text.starts_with("|-") {
            let state = cells.get(2).and_then(|cell| STATES.into_iter().find(|state| cell.starts_with(state)));
            match (state, cells.as_slice()) {
                (Some(state), [_, _, _, tests]) => {
                    let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
                    rows.push(Row { line: at + 1, group: group.to_owned(), state, tests });
                }
                _ => problems.push(document.problem(at + 1, format!("a row has four cells, and a state of {STATES:?}"))),
            }
        }
    }
    rows
}

/// The cells of a row. A `|` inside a cell has a backslash before it.
fn cells(row: &str) -> Vec<&str> {
    let (mut cells, mut begin, mut before) = (Vec::new(), 1, ' ');
    for (at, c) in row.char_indices().skip(1) {
        if c == '|' && before != '\\' {
            cells.push(row[begin..at].trim());
            begin = at + 1;
        }
        before = c;
    }
    cells
}

/// Compares the rows of the summary with the tables.
fn summary(document: &File, rows: &[Row]) -> Vec<Problem> {
    let mut groups: Vec<&str> = rows.iter().map(|row| row.group.as_str()).collect();
    groups.dedup();
    let line_of = |name: &str, is_counted: &dyn Fn(&Row) -> bool| {
        let counted: Vec<&Row> = rows.iter().filter(|row| is_counted(row)).collect();
        let counts = STATES.map(|state| counted.iter().filter(|row| row.state == state).count().to_string());
        format!("| {name} | {} | {} |", counts.join(" | "), counted.len())
    };
    let mut expected = vec![format!("| group | {} | all |", STATES.join(" | "))];
    expected.extend(groups.iter().map(|group| line_of(group, &|row| row.group == *group)));
    expected.push(line_of("all", &|_| true));
    let is_there = |line: &String| document.text.lines().any(|text| text == line);
    let missing = expected.into_iter().filter(|line| !is_there(line));
    missing.map(|line| document.problem(0, format!("the summary must have the line `{line}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(document: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let files = [
            file(DOCUMENT, document),
            file(LIST, "runs get::both\nopen get::here: it was not tried\n"),
            file("tests/it/get.rs", "#[test] fn both() {} #[test] fn here() {} // fn gone()"),
            file("tests/it/cluster/nodes.rs", "#[test] fn far() {}"),
            file("tests/ui/fail/wrong.rs", ""),
        ];
        let sources: Vec<Source<'_>> = files[2..].iter().filter_map(|file| Source::read(file).ok()).collect();
        check(&files, &sources).iter().map(Problem::to_string).collect()
    }

    const SUMMARY: &str = "
| group | works | not shown on a cluster | partly | embedded only | cluster only | differs | not yet | refused | all |
|---|---|---|---|---|---|---|---|---|---|
| Gets | 3 | 1 | 0 | 0 | 0 | 0 | 1 | 0 | 5 |
| all | 3 | 1 | 0 | 0 | 0 | 0 | 1 | 0 | 5 |
";

    const TABLE: &str = "
## Gets

| Ray | here | state | tests |
|---|---|---|---|
| `get` | `get(\\|x\\| x)` | works; fast | `get::both`, `get::here` |
| far | .. | works | `cluster::nodes::far` |
| wrong | .. | works | `ui/wrong` |
| here | .. | not shown on a cluster | `get::here` |
| later | .. | not yet | |
";

    #[test]
    fn a_document_without_problems() {
        assert_eq!(problems(&format!("{SUMMARY}{TABLE}")), Vec::<String>::new());
    }

    #[test]
    fn missing_tests_of_the_parity_document_are_found() {
        let gone = TABLE.replace("`get::both`", "`get::gone`, `both`").replace("`ui/wrong`", "`ui/gone`");
        let said = problems(&format!("{SUMMARY}{gone}"));
        let advice = ": write `file::name` or `ui/name`";
        let missing = |line: u32, name: &str| format!("docs/parity.md:{line}: there is no test `{name}`{advice}");
        assert_eq!(said[..2], [missing(11, "get::gone"), missing(11, "both")]);
        assert!(said[2].contains("none of the tests runs on a cluster"), "{said:?}");
        assert_eq!(said[3..], [missing(13, "ui/gone")]);
    }

    #[test]
    fn rows_without_evidence_and_wrong_counts_are_found() {
        let said = problems(&format!("{SUMMARY}{}", TABLE.replace("| `ui/wrong` |", "| |").replace("not yet", "perhaps")));
        assert!(said[0].starts_with("docs/parity.md:15: a row has four cells, and a state of [\"works\", "), "{said:?}");
        assert_eq!(said[1], "docs/parity.md:13: no test shows the state `works`");
        assert!(said[2].starts_with("docs/parity.md:13: none of the tests runs on a cluster"), "{said:?}");
        assert_eq!(said[3], "docs/parity.md: the summary must have the line `| Gets | 3 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 4 |`");
        assert_eq!(said.len(), 5, "{said:?}");
    }
}
