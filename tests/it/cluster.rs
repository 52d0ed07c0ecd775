//! Runs the tests on a Ray cluster.
//!
//! With `RAY_TEST_EXECUTOR=cluster` the shared engine (`support::engine`) joins the cluster of `RAY_TEST_ADDRESS`. The workers start
//! this binary with the single test [`entry_of_workers`]. The tallies of the tests are in the process of the tests, which workers
//! reach through a socket. Its path is among the arguments of the workers, where it is a filter that fits no test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::OnceLock;

const TALLIES: &str = "tallies=";

/// Whether the tests of this process run on a cluster.
pub(crate) fn wanted() -> bool {
    std::env::var("RAY_TEST_EXECUTOR").is_ok_and(|value| value == "cluster")
}

/// The path of the socket of the tallies, in a worker.
fn socket() -> Option<String> {
    std::env::args().find_map(|argument| argument.strip_prefix(TALLIES).map(ToOwned::to_owned))
}

/// Whether this process was started by a worker.
pub(crate) fn is_worker() -> bool {
    std::env::var_os("RAY_RUST_WORKER").is_some()
}

/// Joins the cluster.
pub(crate) fn start(config: ray::Config) -> ray::Result<ray::Context> {
    let path = serve_tallies();
    let arguments = ["cluster::entry_of_workers", "--exact", "--nocapture", "--test-threads=1"];
    let mut arguments: Vec<std::ffi::OsString> = arguments.map(Into::into).into();
    arguments.push(format!("{TALLIES}{path}").into());
    ray::__private_cluster::set_worker_arguments(arguments);
    let address = std::env::var("RAY_TEST_ADDRESS").expect("the address of the cluster is in RAY_TEST_ADDRESS");
    ray::init_with(config.address(address))
}

/// Serves the tallies to the workers; returns the path of the socket.
fn serve_tallies() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("ray-test-{}.sock", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).expect("a socket for the tallies");
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.expect("a worker connects");
                std::thread::spawn(move || answer(stream));
            }
        });
        path.to_str().expect("the path of a temporary folder is text").to_owned()
    })
}

/// Answers one operation: a line with its length, then its bytes.
fn answer(stream: UnixStream) {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() {
        return;
    }
    let Ok(length) = line.trim().parse::<usize>() else { return };
    let mut operation = vec![0; length];
    if reader.read_exact(&mut operation).is_ok() {
        let _ = (&stream).write_all(&crate::support::serve(&operation));
    }
}

/// Has the process of the tests do an operation on a tally, if this process was started by a worker.
pub(crate) fn support(operation: &[u8]) -> Option<Vec<u8>> {
    if !is_worker() {
        return None;
    }
    let mut stream = UnixStream::connect(socket()?).expect("the process of the tests listens");
    writeln!(stream, "{}", operation.len()).expect("the process of the tests reads");
    stream.write_all(operation).expect("the process of the tests reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the process of the tests answers");
    Some(answer)
}

/// The entry of the workers; in another process it does nothing.
#[test]
fn entry_of_workers() {
    if is_worker() {
        let _ = ray::init();
    }
}
