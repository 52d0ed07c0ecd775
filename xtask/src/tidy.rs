//! The rules of the house that no compiler knows. Each is a function from the sources to what is
//! wrong with them. Beside them, figures: circles of imports, unsafe code.

mod circles;
mod facade;
mod graph;
mod house;
mod layers;
mod macros;
mod modules;
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

/// A file of the repository, its path from the root with `/`; without text where it is no text.
struct File {
    path: String,
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

/// What is wrong, where (line 0: the file as a whole), and what to do about it.
struct Problem {
    path: String,
    line: usize,
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

/// What is printed beside what is wrong.
#[derive(Clone, Copy, Default)]
pub(crate) struct Details {
    /// The files of each circle of imports.
    circles: bool,
    /// What the files of a circle name of each other.
    edges: bool,
    /// Unsafe code by file.
    unsafety: bool,
}

impl Details {
    /// Of the options of the command; none if there is no such option.
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

/// Reads the repository and prints what is wrong with it; true if nothing is.
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
        None => problems.push(Problem { path: layers::ROOT.into(), line: 0, what: "there is no graph to check".into() }),
    }
    problems.extend(facade::check(&sources));
    problems.extend(semantics::check(&files, &sources));
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
                continue; // a file, where this is not the first working tree
            }
            if entry.file_type()?.is_dir() {
                if name != "target" && name != "wip" {
                    folders.push(entry.path());
                }
            } else {
                let path = entry.path();
                let text = fs::read_to_string(&path).unwrap_or_default();
                let path = path.strip_prefix(root).expect("found below the root");
                let path = path.to_string_lossy().replace('\\', "/");
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
