//! Programs that do not run as a worker. What `strip` writes is the program that is shipped, so these tests have a `strip` of their
//! own.

use std::time::{Duration, Instant};

use ray::remote;

use crate::driver::{Driver, body, says};
use crate::space::{HEAD, Space};

#[remote(max_retries = 0)]
fn add(x: i32, y: i32) -> i32 {
    x + y
}

#[remote(max_retries = 0)]
fn function_only_here() -> i32 {
    1
}

/// The error of a task, whose worker cannot run the program.
fn add_fails(parts: &[&str]) {
    ray::init().expect("the cluster is there");
    let start = Instant::now();
    let error = ray::get(add.remote(1, 2)).expect_err("the program does not run");
    println!("{error}");
    says(&error, parts);
    assert!(start.elapsed() < Duration::from_secs(60), "the error came after {:?}", start.elapsed());
}

/// A driver with this `strip`, a script of the shell whose third argument is the file to write, and whose fourth is the program.
fn with_strip(space: &Space, test: &str, name: &str, script: &str) -> Driver {
    let folder = format!("/tmp/test/{name}");
    space.script(&format!("{folder}/strip"), &format!("#!/bin/sh\nset -e\n{script}\n"));
    let path = std::env::var("PATH").unwrap_or_default();
    Driver::new(space, test).address(HEAD).env("PATH", &format!("{folder}:{path}"))
}

/// Strips the program, and replaces bytes of it, of equal length.
fn patched(from: &str, to: &str) -> String {
    format!("/usr/bin/strip --strip-all -o \"$3\" \"$4\"\nLC_ALL=C sed -i 's/{from}/{to}/g' \"$3\"")
}

#[test]
fn another_architecture() {
    body(|| add_fails(&["cannot start the Rust program", "Exec format error", "another architecture", "build it for the nodes"]));
    let Some(space) = Space::with_ray() else { return };
    let strip = patched(r"^\x7fELF\(.\{14\}\)[\x3e\xb7]", r"\x7fELF\1\x08");
    with_strip(space, "programs::another_architecture", "architecture", &strip).succeed(space);
}

#[test]
fn older_c_library() {
    body(|| add_fails(&["C library of this node is older", "GLIBC_9.", "not found", "x86_64-unknown-linux-musl"]));
    let Some(space) = Space::with_ray() else { return };
    let strip = patched("GLIBC_2[.]", "GLIBC_9.");
    with_strip(space, "programs::older_c_library", "glibc", &strip).succeed(space);
}

#[test]
fn missing_library() {
    body(|| add_fails(&["a library is missing on this node", "libgcc_x.so", "install it on all nodes"]));
    let Some(space) = Space::with_ray() else { return };
    let strip = patched("libgcc_s[.]so", "libgcc_x.so");
    with_strip(space, "programs::missing_library", "library", &strip).succeed(space);
}

#[test]
fn main_that_does_not_reach_init() {
    body(|| add_fails(&["before it has called `ray::init()`", "exit status 0", "must stand first in `main`"]));
    let Some(space) = Space::with_ray() else { return };
    Driver::new(space, "programs::main_that_does_not_reach_init").address(HEAD).entry("no_test_has_this_name").succeed(space);
}

#[test]
fn use_before_init_in_a_worker() {
    body(|| add_fails(&["before it has called `ray::init()`", "must stand first in `main`", "it has printed"]));
    let Some(space) = Space::with_ray() else { return };
    let driver = Driver::new(space, "programs::use_before_init_in_a_worker").address(HEAD);
    driver.entry("entry_that_uses_ray_too_early").succeed(space);
}

#[test]
fn use_before_init_in_a_driver() {
    body(|| {
        let error = ray::get(ray::put(1)).expect_err("the program has not joined the cluster yet");
        assert!(error.is_cluster_unavailable(), "{error:?}");
        says(&error, &["ray::init()", "first in `main`"]);
    });
    let Some(space) = Space::without_ray() else { return };
    Driver::new(space, "programs::use_before_init_in_a_driver").address(HEAD).succeed(space);
}

/// The name of a function has another letter in the program that the workers run, so that they would not know the function.
#[test]
fn program_of_another_build() {
    body(|| {
        ray::init().expect("the cluster is there");
        for error in
            [ray::get(add.remote(1, 2)), ray::get(function_only_here.remote())].map(|one| one.expect_err("it is refused"))
        {
            println!("{error}");
            says(&error, &["has other remote functions than that of its driver", "is build", "has shipped build"]);
            says(&error, &["the two must be the same build"]);
        }
    });
    let Some(space) = Space::with_ray() else { return };
    let strip = patched("function_only_here", "function_only_herx");
    with_strip(space, "programs::program_of_another_build", "unknown", &strip).succeed(space);
}

#[test]
fn package_over_the_limit_without_strip() {
    body(|| {
        let error = ray::init().expect_err("the program is too large");
        assert!(error.is_cluster_unavailable(), "{error:?}");
        says(&error, &["exceeds the maximum size", "--release", "`strip`", "RAY_max_grpc_message_size"]);
    });
    let Some(space) = Space::with_ray() else { return };
    let driver = with_strip(space, "programs::package_over_the_limit_without_strip", "none", "exit 1");
    driver.env("RAY_max_grpc_message_size", "2000000").succeed(space);
}

#[test]
fn folder_without_execution() {
    body(|| add_fails(&["cannot start the Rust program", "Permission denied", "noexec", "--temp-dir"]));
    let Some(python) = crate::space::python() else { return };
    let space = Space::new(python);
    let mounted = space.command("mount").args(["-o", "remount,noexec", "/tmp"]).status();
    assert!(mounted.expect("mount starts").success(), "a folder is mounted with noexec");
    Driver::new(&space, "programs::folder_without_execution").address("local").succeed(&space);
}
