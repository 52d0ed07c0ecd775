//! Counts unsafe code, and checks its SAFETY notes.
//!
//! The numbers of blocks, impls and functions are exact, also in macros. The number of operations is an estimate.

mod operations;

use std::collections::BTreeMap;
use std::ops::{Add, Sub};

use quote::ToTokens;
use syn::visit::Visit;

use super::Problem;
use super::source::{Source, Token, tokens};
use operations::Known;

/// The beginnings of notes that only refer to a reason elsewhere. A note with more words than [`EMPTY_NOTE_WORDS`] adds a
/// reason.
const EMPTY_NOTES: &[&str] =
    &["as above", "as before", "as in ", "as for ", "see above", "the same", "the caller's promise", "by the caller's promise"];

const EMPTY_NOTE_WORDS: usize = 6;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    files: usize,
    blocks: usize,
    impls: usize,
    functions: usize,
    operations: usize,
}

impl Counts {
    fn map(self, other: Self, with: impl Fn(usize, usize) -> usize) -> Self {
        Counts {
            files: with(self.files, other.files),
            blocks: with(self.blocks, other.blocks),
            impls: with(self.impls, other.impls),
            functions: with(self.functions, other.functions),
            operations: with(self.operations, other.operations),
        }
    }

    fn row(self, name: &str) -> String {
        let Counts { files, blocks, impls, functions, operations } = self;
        format!("{name:<44}{files:>7}{blocks:>8}{impls:>7}{functions:>11}{operations:>12}")
    }
}

impl Add for Counts {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.map(other, usize::wrapping_add)
    }
}

impl Sub for Counts {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.map(other, usize::saturating_sub)
    }
}

pub(super) struct Report {
    /// The counts of each crate and file, without tests.
    code: BTreeMap<String, BTreeMap<String, Counts>>,
    /// The counts of tests and loom models, by file.
    tests: BTreeMap<String, Counts>,
    /// Notes without a reason: file, line, text.
    empty: Vec<(String, usize, String)>,
    pub(super) problems: Vec<Problem>,
}

pub(super) fn report(sources: &[Source<'_>]) -> Report {
    let mut known = Known::default();
    sources.iter().for_each(|source| known.visit_file(&source.whole));
    let mut report = Report { code: BTreeMap::new(), tests: BTreeMap::new(), empty: Vec::new(), problems: Vec::new() };
    for source in sources.iter().filter(|source| source.tokens.iter().any(|token| token.text == "unsafe")) {
        let path = &source.file.path;
        let whole = count(&known, &source.whole, &source.tokens);
        if is_test_path(path) {
            report.tests.insert(path.clone(), whole);
            continue;
        }
        let code_tokens = tokens(source.code.to_token_stream());
        let code = count(&known, &source.code, &code_tokens);
        if code.files > 0 {
            let krate = if path.starts_with("src/") { "ray-remote" } else { path.split('/').next().unwrap_or_default() };
            report.code.entry(krate.to_owned()).or_default().insert(path.clone(), code);
            report.notes(source, &code_tokens);
        }
        // A file with code and tests counts as a file once, above.
        let tests = whole - code;
        if tests != Counts::default() {
            report.tests.insert(path.clone(), tests);
        }
    }
    report
}

impl Report {
    fn notes(&mut self, source: &Source<'_>, tokens: &[Token]) {
        let lines: Vec<&str> = source.file.text.lines().collect();
        let noted = tokens.windows(2).filter(|pair| pair[0].text == "unsafe" && matches!(pair[1].text.as_str(), "{" | "impl"));
        for line in noted.map(|pair| pair[0].line) {
            match note(&lines, line) {
                None => self.problems.push(source.file.problem(line, "unsafe code needs a note above it: `// SAFETY: why`")),
                Some(text) if is_empty(&text) => self.empty.push((source.file.path.clone(), line, text)),
                Some(_) => {}
            }
        }
    }

    pub(super) fn summary(&self) -> String {
        let total = |counts: &BTreeMap<String, Counts>| counts.values().fold(Counts::default(), |sum, one| sum + *one);
        let crates: Vec<String> = self.code.iter().map(|(name, counts)| format!("{name} {}", text(total(counts)))).collect();
        let sum = self.code.values().fold(Counts::default(), |sum, counts| sum + total(counts));
        let Report { empty, tests, .. } = self;
        format!(
            "unsafe: {} ({}); tests and models {}; {} notes give no reason",
            text(sum),
            crates.join("; "),
            text(total(tests)),
            empty.len()
        )
    }

    pub(super) fn table(&self) -> String {
        let mut rows =
            vec![format!("{:<44}{:>7}{:>8}{:>7}{:>11}{:>12}", "", "files", "blocks", "impls", "functions", "operations")];
        let mut sum = Counts::default();
        for (name, files) in
            self.code.iter().map(|(name, files)| (name.as_str(), files)).chain([("tests and models", &self.tests)])
        {
            let total = files.values().fold(Counts::default(), |sum, one| sum + *one);
            sum = sum + total;
            rows.push(total.row(name));
            rows.extend(files.iter().map(|(path, counts)| counts.row(&format!("  {path}"))));
        }
        rows.push(sum.row("total"));
        rows.push("notes that give no reason:".to_owned());
        rows.extend(self.empty.iter().map(|(path, line, text)| format!("  {path}:{line}: {text}")));
        rows.join("\n")
    }
}

fn text(Counts { files, blocks, impls, functions, operations }: Counts) -> String {
    format!("{files} files, {blocks} blocks, {impls} impls, {functions} fns, {operations} operations")
}

/// Whether a file contains only tests or loom models, judged by its path.
fn is_test_path(path: &str) -> bool {
    path.starts_with("tests/") || ["/tests/", "/loom/", "/loom.rs"].iter().any(|part| path.contains(part))
}

fn count(known: &Known, syntax: &syn::File, tokens: &[Token]) -> Counts {
    let mut counts = Counts::default();
    for at in (0..tokens.len()).filter(|at| tokens[*at].text == "unsafe") {
        let text = |after: usize| tokens.get(at + after).map_or("", |token| token.text.as_str());
        let after = if text(1) == "extern" { 2 } else { 1 };
        counts.files = 1;
        match (text(after), text(after + 1)) {
            ("{", _) if after == 1 => counts.blocks += 1,
            ("impl", _) => counts.impls += 1,
            // Without a name it is the type of a function pointer.
            ("fn", name) if name != "(" => counts.functions += 1,
            _ => {}
        }
    }
    let (seen, found) = operations::count(known, syntax);
    // Blocks in the tokens of unknown macros are not visited; each counts as one operation.
    counts.operations = found + counts.blocks.saturating_sub(seen);
    counts
}

/// The SAFETY note of the unsafe code on a line: in a comment on or above that line, or above the statement that contains
/// it.
fn note(lines: &[&str], line: usize) -> Option<String> {
    let mut at = line - 1;
    if let Some((_, note)) = lines.get(at)?.split_once("SAFETY:") {
        return Some(note.trim().to_owned());
    }
    while at > 0 {
        at -= 1;
        let text = lines[at].trim();
        if text.starts_with("//") {
            let begin = (0..=at).rev().take_while(|at| lines[*at].trim().starts_with("//")).last()?;
            let comment: Vec<&str> = lines[begin..=at].iter().map(|line| line.trim().trim_start_matches('/').trim()).collect();
            let comment = comment.join(" ");
            return comment.split_once("SAFETY:").map(|(_, note)| note.trim().to_owned());
        }
        let code = text.split(" //").next().unwrap_or_default().trim_end();
        if code.is_empty() || (code.ends_with([';', '{', '}']) && !code.starts_with('#')) {
            return None;
        }
    }
    None
}

/// Whether a note only refers to a reason elsewhere.
fn is_empty(note: &str) -> bool {
    let note = note.to_lowercase();
    note.split_whitespace().count() <= EMPTY_NOTE_WORDS && EMPTY_NOTES.iter().any(|begin| note.starts_with(begin))
}

#[cfg(test)]
mod tests {
    use super::super::File;
    use super::*;

    fn of(text: &str) -> Report {
        let files = [File { path: "ray-core/src/a.rs".into(), text: text.into() }];
        let sources: Vec<Source<'_>> =
            files.iter().map(|file| Source::read(file).unwrap_or_else(|problem| panic!("{problem}"))).collect();
        report(&sources)
    }

    fn counts(text: &str) -> [usize; 4] {
        let report = of(text);
        let Counts { blocks, impls, functions, operations, .. } = report.code["ray-core"]["ray-core/src/a.rs"];
        [blocks, impls, functions, operations]
    }

    #[test]
    fn unsafe_code_is_counted_by_kind() {
        let text = "unsafe impl Send for A {} unsafe fn f() {} struct T { call: unsafe fn(u8) }
            impl A { unsafe fn g(&self) {} unsafe extern \"C\" fn h() {} }";
        assert_eq!(counts(text), [0, 1, 3, 0]);
        assert_eq!(counts("macro_rules! m { () => { unsafe { a() } } }"), [1, 0, 0, 1]);
    }

    #[test]
    fn tests_are_counted_separately() {
        let report = of("fn a() { unsafe { f() } } #[cfg(test)] mod tests { fn b() { unsafe { f(); } unsafe { f() } } }");
        assert_eq!(report.code["ray-core"]["ray-core/src/a.rs"].blocks, 1);
        assert_eq!(report.tests["ray-core/src/a.rs"].blocks, 2);
    }

    #[test]
    fn blocks_without_a_note_are_found() {
        let missing = |text: &str| of(text).problems.len();
        assert_eq!(missing("fn a() {\n    unsafe { f() }\n}"), 1);
        assert_eq!(missing("// Not a note.\nunsafe impl Send for A {}"), 1);
        assert_eq!(missing("fn a() {\n    // SAFETY: it is\n    // ours.\n    unsafe { f() }\n}"), 0);
        assert_eq!(missing("fn a() {\n    // SAFETY: it is.\n    let x = f(\n        unsafe { g() },\n    );\n}"), 0);
        assert_eq!(missing("fn a() {\n    // SAFETY: it is.\n    b();\n    unsafe { f() }\n}"), 1);
    }

    #[test]
    fn notes_without_a_reason_are_found() {
        let empty = |note: &str| of(&format!("// SAFETY: {note}\nunsafe impl Send for A {{}}")).empty.len();
        assert_eq!(empty("as above."), 1);
        assert_eq!(empty("The caller's promise."), 1);
        assert_eq!(empty("as in `run`."), 1);
        assert_eq!(empty("the lock is held."), 0);
        assert_eq!(empty("as above, and the lock is held until the caller is done with it."), 0);
    }
}
