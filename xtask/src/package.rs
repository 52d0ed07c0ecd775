//! `cargo xtask package`: tests the published crates by programs that use their packages alone.
//!
//! The command packages and unpacks the crates, and writes a workspace whose programs depend on the unpacked packages. The
//! programs are the first examples of the READMEs, and two that rename the dependency. Each program must print the text in
//! its comments. The folder is always `target/published`, so that dependencies from the registry are compiled once;
//! everything else in it is written anew.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The published crates, in the order of publication: a crate comes after its dependencies.
const PUBLISHED: [&str; 5] = ["ray-core", "ray-macros", "ray-cluster", "ray-remote", "ray-train"];

type Result<T> = std::result::Result<T, String>;

/// Returns true if every program prints the expected text.
pub(crate) fn run(root: &Path) -> bool {
    match check(root) {
        Ok(()) => true,
        Err(error) => {
            eprintln!("cargo xtask package: {error}");
            false
        }
    }
}

fn check(root: &Path) -> Result<()> {
    let folder = root.join("target/published");
    for stale in ["package", "crates", "programs"] {
        let stale = folder.join(stale);
        if stale.exists() {
            fs::remove_dir_all(&stale).map_err(at(&stale))?;
        }
    }
    package(root, &folder)?;
    let crates = folder.join("crates");
    for name in PUBLISHED {
        unpack(&folder.join("package").join(versioned(name) + ".crate"), &crates)?;
        links_lead_somewhere(&crates.join(versioned(name)))?;
    }

    let programs = programs(root)?;
    let workspace = folder.join("programs");
    write_workspace(&workspace, &crates, &programs)?;
    fs::copy(root.join("Cargo.lock"), workspace.join("Cargo.lock")).map_err(at(&workspace))?;
    for program in &programs {
        let mut cargo = cargo();
        cargo.args(["run", "--quiet", "--package", program.name]).current_dir(&workspace);
        let printed = output(cargo.env("CARGO_TARGET_DIR", folder.join("build")))?;
        if printed != program.prints {
            return Err(format!("the program {} prints\n\n{printed}\nand should print\n\n{}", program.name, program.prints));
        }
        println!("    {} prints the expected text", program.name);
    }
    Ok(())
}

/// Packages the crates with the current contents of their folders, including uncommitted changes.
fn package(root: &Path, folder: &Path) -> Result<()> {
    let mut cargo = cargo();
    // `--no-verify`, because the programs compile the packages. The check of cargo would compile them, and burn, in a new
    // folder each time.
    cargo.args(["package", "--quiet", "--no-verify", "--allow-dirty", "--target-dir"]).arg(folder).current_dir(root);
    for name in PUBLISHED {
        cargo.args(["--package", name]);
    }
    output(&mut cargo).map(drop)
}

/// The name of a package and of its folder: the name of the crate and the version.
fn versioned(name: &str) -> String {
    // All crates of the workspace have one version.
    format!("{name}-{}", env!("CARGO_PKG_VERSION"))
}

fn unpack(archive: &Path, into: &Path) -> Result<()> {
    fs::create_dir_all(into).map_err(at(into))?;
    // All files in a package have the same fixed time. `-m` ignores it, because cargo would not notice a changed file
    // otherwise.
    output(Command::new("tar").arg("-xzmf").arg(archive).arg("-C").arg(into)).map(drop)
}

/// Checks that every file that the package's README links to is in the package.
fn links_lead_somewhere(unpacked: &Path) -> Result<()> {
    let readme = read(&unpacked.join("README.md"))?;
    match links(&readme).find(|link| !unpacked.join(link).exists()) {
        Some(link) => Err(format!("the README of {} links to `{link}`, which is not in the package", unpacked.display())),
        None => Ok(()),
    }
}

/// The targets of the links that are relative paths.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.starts_with('#') && !target.contains("://"))
}

/// A program that depends on the packages alone.
struct Program {
    name: &'static str,
    /// The lines of `[dependencies]` in its manifest.
    dependencies: String,
    source: String,
    /// The expected output.
    prints: String,
}

impl Program {
    fn new(name: &'static str, dependencies: impl Into<String>, source: impl Into<String>) -> Self {
        let source = source.into();
        Program { name, dependencies: dependencies.into(), prints: promised(&source), source }
    }
}

fn programs(root: &Path) -> Result<Vec<Program>> {
    let readme = read(&root.join("README.md"))?;
    let training = read(&root.join("ray-train/README.md"))?;
    let (first, lines) = (block(&readme, "rust")?, block(&readme, "toml")?);
    let (loops, training_lines) = (block(&training, "rust")?, block(&training, "toml")?);
    // burn takes minutes to build.
    let without_burn =
        training_lines.replace("ray-train = \"0.1\"", "ray-train = { version = \"0.1\", default-features = false }");
    if without_burn == training_lines {
        return Err("the README of ray-train has no line `ray-train = \"0.1\"`".into());
    }
    let section = |text: &str| text.replace("[dependencies]\n", "");
    Ok(vec![
        Program::new("first-example", section(lines), first),
        Program::new("renamed", "engine = { package = \"ray-remote\", version = \"0.1\" }\n", RENAMED),
        Program::new("renamed-at-the-root", "engine = { package = \"ray-remote\", version = \"0.1\" }\n", RENAMED_AT_THE_ROOT),
        Program::new("training", section(&without_burn), loops),
    ])
}

/// A program that renames the dependency, and gives the path of the library in each attribute.
const RENAMED: &str = r#"use engine::remote;

#[remote(crate = ::engine)]
fn square(x: i64) -> i64 {
    x * x
}

#[remote(crate = ::engine)]
struct Counter(i64);

#[remote(crate = ::engine)]
impl Counter {
    pub fn new() -> Self {
        Counter(0)
    }

    pub fn add(&mut self, x: i64) -> i64 {
        self.0 += x;
        self.0
    }
}

fn main() -> engine::Result<()> {
    let counter = Counter::remote();
    println!("{}", engine::get(counter.add.remote(square.remote(3)))?); // 9
    Ok(())
}
"#;

/// A program that renames the dependency, and restores the name `ray` by an `extern crate` at its root.
const RENAMED_AT_THE_ROOT: &str = r#"extern crate engine as ray;

mod tasks {
    #[ray::remote]
    pub fn square(x: i64) -> i64 {
        x * x
    }
}

fn main() -> ray::Result<()> {
    println!("{}", ray::get(tasks::square.remote(3))?); // 9
    Ok(())
}
"#;

/// The first code block of this language.
fn block<'a>(text: &'a str, language: &str) -> Result<&'a str> {
    let fence = format!("```{language}\n");
    let found = text.split_once(&fence).and_then(|(_, rest)| rest.split_once("```"));
    found.map(|(block, _)| block).ok_or_else(|| format!("there is no block that begins with {}", fence.trim_end()))
}

/// The expected output of a program: the comments after its `println!` calls.
fn promised(source: &str) -> String {
    let printed = source.lines().filter(|line| line.contains("println!")).filter_map(|line| line.rsplit_once("// "));
    printed.map(|(_, comment)| format!("{}\n", comment.trim())).collect()
}

fn write_workspace(workspace: &Path, crates: &Path, programs: &[Program]) -> Result<()> {
    let names: Vec<&str> = programs.iter().map(|program| program.name).collect();
    let mut manifest = format!("# Written by `cargo xtask package`.\n[workspace]\nresolver = \"3\"\nmembers = {names:?}\n\n");
    // The packages replace those of the registry.
    manifest.push_str("[patch.crates-io]\n");
    for name in PUBLISHED {
        let path = crates.join(versioned(name));
        manifest.push_str(&format!("{name} = {{ path = {path:?} }}\n"));
    }
    write(&workspace.join("Cargo.toml"), &manifest)?;
    for Program { name, dependencies, source, .. } in programs {
        let package = format!("[package]\nname = {name:?}\nversion = \"0.0.0\"\nedition = \"2024\"\npublish = false\n");
        write(&workspace.join(name).join("Cargo.toml"), &format!("{package}\n[dependencies]\n{dependencies}"))?;
        write(&workspace.join(name).join("src/main.rs"), source)?;
    }
    Ok(())
}

/// The cargo that runs xtask.
fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Runs a command and returns its standard output. Its standard error goes to the terminal.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let done = done.map_err(|error| format!("{name} could not be started: {error}"))?;
    if done.status.success() {
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    } else {
        Err(format!("failed: {command:?}"))
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(at(path))
}

fn write(path: &Path, text: &str) -> Result<()> {
    let folder = path.parent().expect("the path of a file has a parent");
    fs::create_dir_all(folder).map_err(at(folder))?;
    fs::write(path, text).map_err(at(path))
}

fn at(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
    }

    /// The lines of each member's `[package]`.
    fn members() -> Vec<String> {
        let workspace = read(&root().join("Cargo.toml")).unwrap();
        let members = workspace.lines().find_map(|line| line.strip_prefix("members = [")).unwrap();
        let folders = members.trim_end_matches(']').split(", ").map(|quoted| quoted.trim_matches('"'));
        folders.map(|folder| read(&root().join(folder).join("Cargo.toml")).unwrap()).map(|text| section(&text)).collect()
    }

    fn section(manifest: &str) -> String {
        let (_, package) = manifest.split_once("[package]\n").unwrap();
        package.split("\n[").next().unwrap().to_owned()
    }

    fn has(package: &str, key: &str) -> bool {
        package.lines().any(|line| line.split([' ', '.']).next() == Some(key))
    }

    #[test]
    fn crates_that_are_not_published_say_so_in_their_manifest() {
        for package in members() {
            let published = PUBLISHED.iter().any(|name| package.lines().any(|line| line == format!("name = {name:?}")));
            let held_back = package.lines().any(|line| line == "publish = false");
            assert!(published != held_back, "{package}");
        }
    }

    #[test]
    fn published_crates_have_the_keys_for_their_registry_page() {
        let published: Vec<String> = members().into_iter().filter(|package| !has(package, "publish")).collect();
        assert_eq!(published.len(), PUBLISHED.len());
        let keys = ["description", "license", "rust-version", "documentation", "readme", "keywords", "categories", "include"];
        for package in published {
            assert!(keys.iter().all(|key| has(&package, key)), "{package}");
        }
    }

    #[test]
    fn comments_give_the_expected_output() {
        let source = "fn main() {\n    println!(\"{}\", 1);    // 1\n    let x = 2; // two\n    println!(\"{x}\"); // 2\n}\n";
        assert_eq!(promised(source), "1\n2\n");
        for program in programs(root()).unwrap() {
            assert!(!program.prints.is_empty(), "{}", program.name);
        }
    }

    #[test]
    fn paths_are_links_to_files() {
        let text = "[a](docs/a.md), [b](#b), [c](https://example.org/c), [d](LICENSE)";
        assert_eq!(links(text).collect::<Vec<_>>(), ["docs/a.md", "LICENSE"]);
    }
}
