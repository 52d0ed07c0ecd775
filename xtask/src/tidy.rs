//! The rules of the house that no compiler knows. Each is a function from the sources to what is
//! wrong with them.

mod code;
mod facade;
mod house;
mod imports;
mod layers;
mod semantics;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// A text file of the repository, its path from the root with `/`.
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

/// Reads the repository and prints what is wrong with it; true if nothing is.
pub(crate) fn run(root: &Path) -> bool {
    let files = match read(root) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("the sources could not be read: {error}");
            return false;
        }
    };
    let problems = [house::check(&files), layers::check(&files), facade::check(&files), semantics::check(&files)];
    let problems: Vec<Problem> = problems.into_iter().flatten().collect();
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
            if entry.file_type()?.is_dir() {
                if name != "target" && name != ".git" && name != "wip" {
                    folders.push(entry.path());
                }
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                let path = entry.path();
                let path = path.strip_prefix(root).expect("found below the root");
                let path = path.to_string_lossy().replace('\\', "/");
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
