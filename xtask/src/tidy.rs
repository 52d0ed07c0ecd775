//! `cargo xtask tidy`: checks the project's rules that the compiler does not check. Each check takes the sources and
//! returns the problems in them. It also prints two figures: the import cycles, and the amount of unsafe code.

mod circles;
mod evidence;
mod facade;
mod graph;
mod house;
mod layers;
mod macros;
mod modules;
mod parity;
mod paths;
mod scc;
mod semantics;
mod source;
mod unsafety;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use source::Source;

/// A file of the repository.
struct File {
    /// The path from the root, with `/` as the separator.
    path: String,
    /// The contents; empty if they are not UTF-8.
    text: String,
}

impl File {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn problem(&self, line: usize, what: impl Into<String>) -> Problem {
        Problem { path: self.path.clone(), line, what: what.into() }
    }
}

/// A violation of a rule.
struct Problem {
    path: String,
    /// The line, or 0 if the problem concerns the whole file.
    line: usize,
    /// The description of the problem, and the advice what to do about it.
    what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// The lists that are printed beside the problems.
#[derive(Clone, Copy, Default)]
pub(crate) struct Details {
    /// The files of each import cycle.
    circles: bool,
    /// The imports between the files of each cycle.
    edges: bool,
    /// The unsafe code of each file.
    unsafety: bool,
}

impl Details {
    /// Parses the options of the command. Returns none if an option is unknown.
    pub(crate) fn parse(options: &[&str]) -> Option<Self> {
        let mut details = Details::default();
        for option in options {
            match *option {
                "--circles" => details.circles = true,
                "--edges" => details.edges = true,
                "--unsafe" => details.unsafety = true,
                _ => return None,
            }
        }
        Some(details)
    }
}

/// Reads the repository and prints the problems. Returns true if there are none.
pub(crate) fn run(root: &Path, details: Details) -> bool {
    let files = match read(root) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("the sources could not be read: {error}");
            return false;
        }
    };
    let mut problems = Vec::new();
    let mut sources = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        match Source::read(file) {
            Ok(source) => sources.push(source),
            Err(problem) => problems.push(problem),
        }
    }
    let graphs = circles::graphs(&sources);
    let unsafety = unsafety::report(&sources);
    print!("{}", circles::report(&graphs, &sources, details.circles, details.edges));
    println!("{}", unsafety.summary());
    if details.unsafety {
        println!("{}", unsafety.table());
    }

    problems.extend(house::check(&files, &sources));
    match graphs.iter().find(|graph| graph.root == layers::ROOT) {
        Some(graph) => problems.extend(layers::check(graph)),
        None => problems.push(Problem {
            path: layers::ROOT.into(),
            line: 0,
            what: "the file that should be the root of the engine is missing".into(),
        }),
    }
    problems.extend(facade::check(&sources));
    problems.extend(semantics::check(&files, &sources));
    problems.extend(parity::check(&files, &sources));
    problems.extend(paths::check(&files));
    problems.extend(unsafety.problems);
    for problem in &problems {
        eprintln!("{problem}");
    }
    problems.is_empty()
}

fn read(root: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name();
            if name == ".git" {
                continue; // a folder, or a file in a linked worktree
            }
            if entry.file_type()?.is_dir() {
                if name != "target" && name != "wip" {
                    folders.push(entry.path());
                }
            } else {
                let path = entry.path();
                let text = fs::read_to_string(&path).unwrap_or_default();
                let path = path.strip_prefix(root).expect("the path is below the root");
                let path = path.to_string_lossy().replace('\\', "/");
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
