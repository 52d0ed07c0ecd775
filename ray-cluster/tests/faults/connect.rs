//! What can be wrong before a program has joined a cluster.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use ray::Error;

use crate::driver::{Driver, body, says};
use crate::space::{HEAD, Space, python};

/// All stages together, for a fault that is found before Ray joins. An idle machine needs less than 10 s, a busy one more.
const FOUND: Duration = Duration::from_secs(25);

fn init_fails() -> Error {
    let start = Instant::now();
    let error = ray::init().expect_err("the cluster cannot be joined");
    assert!(start.elapsed() < FOUND, "the error came after {:?}: {error}", start.elapsed());
    println!("{error}");
    error
}

/// The error of `init`: the cluster is unavailable, with these texts.
fn unavailable(parts: &[&str]) {
    let error = init_fails();
    assert!(error.is_cluster_unavailable(), "{error:?}");
    says(&error, parts);
}

#[test]
fn no_python() {
    body(|| unavailable(&["no Python with Ray was found", "pip install", "RAY_PYTHON"]));
    let Some(space) = Space::without_ray() else { return };
    let around = ["/usr/bin/env", "PATH=/nonexistent"];
    Driver::with(space, "connect::no_python", &around).address("local").env_remove("RAY_PYTHON").succeed(space);
}

#[test]
fn python_that_does_not_exist() {
    body(|| unavailable(&["`/nonexistent/python` cannot be started", "set RAY_PYTHON"]));
    let Some(space) = Space::without_ray() else { return };
    let driver = Driver::new(space, "connect::python_that_does_not_exist");
    driver.address("local").env("RAY_PYTHON", "/nonexistent/python").succeed(space);
}

#[test]
fn python_without_ray() {
    body(|| unavailable(&["has no Ray", "No module named", "pip install", "RAY_PYTHON"]));
    let Some(space) = Space::without_ray() else { return };
    // Without `site`, the folder with Ray is not in the search path.
    space.script("/tmp/test/without-ray", &format!("#!/bin/sh\nexec {} -S \"$@\"\n", space.python.display()));
    let driver = Driver::new(space, "connect::python_without_ray");
    driver.address("local").env("RAY_PYTHON", "/tmp/test/without-ray").succeed(space);
}

#[test]
fn python_that_is_none() {
    body(|| unavailable(&["has ended before it joined (exit status: 0)", "RAY_PYTHON must be a Python"]));
    let Some(space) = Space::without_ray() else { return };
    Driver::new(space, "connect::python_that_is_none").address("local").env("RAY_PYTHON", "/bin/true").succeed(space);
}

#[test]
fn nobody_listens() {
    body(|| unavailable(&["nobody answers at `127.0.0.1:1234`", "Connection refused", "ray status"]));
    let Some(space) = Space::without_ray() else { return };
    Driver::new(space, "connect::nobody_listens").address("127.0.0.1:1234").succeed(space);
}

#[test]
fn addresses_that_are_none() {
    body(|| {
        for (address, part) in [
            ("ray://127.0.0.1:10001", "ray job submit"),
            ("http://127.0.0.1:8265", "write `auto`, `local` or `host:port`"),
            ("nonsense", "write `auto`, `local` or `host:port`"),
            ("127.0.0.1:99999", "write `auto`, `local` or `host:port`"),
        ] {
            let error = ray::init_with(ray::Config::new().address(address)).expect_err("it is no address");
            assert!(error.is_cluster_unavailable(), "{error:?}");
            says(&error, &[address, part]);
        }
    });
    let Some(space) = Space::without_ray() else { return };
    Driver::new(space, "connect::addresses_that_are_none").succeed(space);
}

/// Listens, and answers each connection with these bytes.
fn serve(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            std::thread::spawn(move || {
                let _ = stream.write_all(answer);
                while stream.read(&mut [0; 1024]).is_ok_and(|count| count > 0) {}
            });
        }
    });
    address
}

fn is_refused(answer: &'static [u8], parts: &[&str]) {
    let start = Instant::now();
    let error = ray::init_with(ray::Config::new().address(serve(answer))).expect_err("it is no head");
    assert!(start.elapsed() < FOUND, "the error came after {:?}: {error}", start.elapsed());
    assert!(error.is_cluster_unavailable(), "{error:?}");
    says(&error, parts);
}

#[test]
fn address_of_another_program() {
    body(|| {
        let parts = ["it is not the head of a Ray cluster", "6379"];
        is_refused(b"HTTP/1.1 400 Bad Request\r\n\r\n", &parts);
        is_refused(b"", &parts);
    });
    let Some(space) = Space::without_ray() else { return };
    Driver::new(space, "connect::address_of_another_program").succeed(space);
}

#[test]
fn server_of_http_2_that_is_no_head() {
    body(|| is_refused(b"\0\0\0\x04\0\0\0\0\0", &["does not answer", "within 5 s", "6379"]));
    let Some(space) = Space::without_ray() else { return };
    Driver::new(space, "connect::server_of_http_2_that_is_no_head").env_remove("RAY_AUTH_MODE").succeed(space);
}

#[test]
fn auto_without_a_cluster() {
    body(|| unavailable(&["no Ray cluster runs on this machine", "ray start --head", "`local`"]));
    let Some(space) = Space::without_ray() else { return };
    Driver::new(space, "connect::auto_without_a_cluster").address("auto").succeed(space);
}

#[test]
fn another_version_of_ray() {
    body(|| unavailable(&["has Ray 2.1.0 and Python", "the cluster `127.0.0.1:6379` has Ray", "set RAY_PYTHON", "pip install"]));
    let Some(space) = Space::with_ray() else { return };
    space.script("/tmp/test/other/sitecustomize.py", "import ray\nray.__version__ = '2.1.0'\n");
    let driver = Driver::new(space, "connect::another_version_of_ray");
    driver.address(HEAD).env("PYTHONPATH", "/tmp/test/other").succeed(space);
}

#[test]
fn another_version_of_python() {
    body(|| unavailable(&["and Python 3.99.1", "set RAY_PYTHON"]));
    let Some(space) = Space::with_ray() else { return };
    space.script("/tmp/test/python/sitecustomize.py", "import ray\nimport sys\nsys.version = '3.99.1 (main)'\n");
    let driver = Driver::new(space, "connect::another_version_of_python");
    driver.address(HEAD).env("PYTHONPATH", "/tmp/test/python").succeed(space);
}

/// A `ray_rust` that was installed, of another version, hides the one of the program.
#[test]
fn another_version_of_the_package() {
    body(|| unavailable(&["the driver brings the Python package ray_rust", "has ray_rust", "pip uninstall ray-rust"]));
    let Some(space) = Space::without_ray() else { return };
    let install = "import os, shutil, sys\n\
        for folder in filter(lambda folder: os.path.isdir(os.path.join(folder, 'ray_rust')), list(sys.path)):\n\
        \x20   shutil.copytree(os.path.join(folder, 'ray_rust'), '/tmp/test/installed/ray_rust', dirs_exist_ok=True)\n\
        \x20   open('/tmp/test/installed/ray_rust/errors.py', 'a').write('# another version')\n\
        sys.path.insert(0, '/tmp/test/installed')\n";
    space.script("/tmp/test/before/sitecustomize.py", install);
    let driver = Driver::new(space, "connect::another_version_of_the_package");
    driver.address("local").env("PYTHONPATH", "/tmp/test/before").succeed(space);
}

/// A token that the cluster refuses, and its value, which no text may contain.
const WRONG: &str = "fedcba9876543210fedcba9876543210";

fn unauthenticated() {
    let error = init_fails();
    assert!(error.is_authentication(), "{error:?}");
    says(&error, &["refuses the token", "RAY_AUTH_TOKEN_PATH"]);
}

#[test]
fn wrong_token() {
    body(unauthenticated);
    let Some(space) = Space::with_ray() else { return };
    space.script("/tmp/test/wrong", WRONG);
    let driver = Driver::new(space, "connect::wrong_token").address(HEAD).env("RAY_AUTH_TOKEN_PATH", "/tmp/test/wrong");
    let ran = driver.succeed(space);
    assert!(!ran.output.contains(WRONG), "the token was printed: {}", ran.output);
}

#[test]
fn no_token() {
    body(unauthenticated);
    let Some(space) = Space::with_ray() else { return };
    let driver = Driver::new(space, "connect::no_token").address(HEAD);
    driver.env_remove("RAY_AUTH_MODE").env_remove("RAY_AUTH_TOKEN_PATH").succeed(space);
}

#[test]
fn file_without_a_token() {
    body(|| {
        let error = init_fails();
        assert!(error.is_authentication(), "{error:?}");
        says(&error, &["RAY_AUTH_TOKEN_PATH"]);
    });
    let Some(space) = Space::with_ray() else { return };
    space.script("/tmp/test/empty", "\n");
    for file in ["/tmp/test/empty", "/tmp/test/nothing"] {
        let driver = Driver::new(space, "connect::file_without_a_token").address(HEAD);
        driver.env("RAY_AUTH_TOKEN_PATH", file).succeed(space);
    }
}

#[test]
fn machine_without_a_node() {
    body(|| unavailable(&["has no node on this machine", "ray job submit", "ray start --address=127.0.0.1:6379"]));
    let Some(space) = Space::with_ray() else { return };
    // The same network, and processes of its own: as on another machine, no raylet is seen.
    let around = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
    Driver::with(space, "connect::machine_without_a_node", &around).address(HEAD).succeed(space);
}

/// A skip is loud; the test itself is that this compiles into the list of tests, and fails with `REQUIRE_CLUSTER=1`.
#[test]
fn python_is_there() {
    if let Some(python) = python() {
        assert!(python.is_file(), "RAY_PYTHON is {}", python.display());
    }
}
