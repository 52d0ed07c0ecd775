//! The compiler errors for misuse of `#[remote]`, and correct programs that must compile without warnings.
//!
//! `ui/fail` has programs that must not compile, each with a file of the expected errors. The texts of rustc change between
//! versions, so they are compared only with the pinned version; with any other version the programs must merely fail, and
//! the test prints a note. To accept new texts, run `TRYBUILD=overwrite cargo test --test ui` and check the difference.
//!
//! `ui/pass` has modules that must compile without a warning under the strictest lints. They are part of this binary, so
//! clippy checks them as well.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "ui/pass/corners.rs"]
pub mod corners;
#[path = "ui/pass/shadowed.rs"]
pub mod shadowed;
#[path = "ui/pass/strict.rs"]
pub mod strict;

/// The version of rustc that printed the texts in `ui/fail`.
const PINNED: &str = "1.95";

#[test]
fn expansions_pass_the_strictest_lints() {
    strict::run().expect("the engine runs all calls");
}

#[test]
fn unusual_items_compile() {
    corners::run().expect("the engine runs all calls");
}

#[test]
fn names_of_the_user_do_not_collide() {
    shadowed::run().expect("the engine runs all calls");
}

#[test]
fn misuse_gives_the_expected_errors() {
    let version = rustc_version();
    if version.starts_with(&format!("{PINNED}.")) {
        trybuild::TestCases::new().compile_fail("tests/ui/fail/*.rs");
        return;
    }
    // The test harness hides the output of `eprintln!` in passing tests.
    let aloud = format!("rustc {version} is not {PINNED}: the texts of tests/ui/fail are NOT compared, only that each fails\n");
    std::io::stderr().write_all(aloud.as_bytes()).expect("stderr can be written");
    let copies = copies();
    let status = Command::new(std::env::current_exe().expect("this test has a path"))
        .args(["--exact", "copies_fail", "--ignored"])
        .env("TRYBUILD", "overwrite")
        .env("RAY_UI_COPIES", &copies)
        .status()
        .expect("this test can run itself");
    assert!(status.success(), "a program of tests/ui/fail compiles on rustc {version}");
}

/// `misuse_gives_the_expected_errors` runs this with other compilers, on copies whose expected texts may change.
#[test]
#[ignore = "a part of misuse_gives_the_expected_errors"]
fn copies_fail() {
    if let Some(copies) = std::env::var_os("RAY_UI_COPIES") {
        trybuild::TestCases::new().compile_fail(Path::new(&copies).join("*.rs"));
    }
}

fn rustc_version() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("rustc can be run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().nth(1).unwrap_or_default().to_owned()
}

fn copies() -> PathBuf {
    let copies = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui-copies");
    std::fs::create_dir_all(&copies).expect("the target folder can be written");
    let originals = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui/fail");
    for entry in std::fs::read_dir(originals).expect("tests/ui/fail exists") {
        let path = entry.expect("tests/ui/fail can be read").path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            std::fs::copy(&path, copies.join(path.file_name().expect("a file has a name"))).expect("a file can be copied");
        }
    }
    copies
}
