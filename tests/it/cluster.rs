//! Runs the tests on a Ray cluster.
//!
//! With `RAY_TEST_EXECUTOR=cluster` the engines of the tests join the clusters of `RAY_TEST_HEADS`, a list of `cpus=address`. The
//! shared engine (`support::engine`), and a test that chooses no CPUs, join the first one. A test that starts an engine with some
//! number of CPUs joins the smallest cluster that has so many, or the largest one, alone: a lock on a file in the folder of
//! `RAY_TEST_FILES` lets one process at a time join it.
//!
//! The workers start this binary with the single test [`entry_of_workers`]. The tallies of the tests are in the process of the
//! tests, which workers reach through the socket of the variable `RAY_TEST_TALLIES`.

mod differs;
mod differs_calls;
mod differs_ends;
mod nodes;

use std::fs::{File, TryLockError};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Once, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

const TALLIES: &str = "RAY_TEST_TALLIES";

/// The folder for the locks and the sockets of the tests. The temporary folder has only the files of the engine, which must be gone
/// at the end of a run.
fn files() -> PathBuf {
    std::env::var_os("RAY_TEST_FILES").expect("RAY_TEST_FILES has the folder for the files of the tests").into()
}

/// How long a test in a process of its own may take.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Whether the tests of this process run on a cluster.
pub(crate) fn wanted() -> bool {
    std::env::var("RAY_TEST_EXECUTOR").is_ok_and(|value| value == "cluster")
}

/// Whether this process was started by a worker.
pub(crate) fn is_worker() -> bool {
    std::env::var_os("RAY_RUST_WORKER").is_some()
}

/// The clusters: their CPUs and addresses.
fn heads() -> Vec<(usize, String)> {
    let heads = std::env::var("RAY_TEST_HEADS").expect("RAY_TEST_HEADS has the addresses of the clusters");
    let head = |head: &str| {
        let (cpus, address) = head.split_once('=')?;
        Some((cpus.parse().ok()?, address.to_owned()))
    };
    heads.split_whitespace().map(|text| head(text).unwrap_or_else(|| panic!("`{text}` is not `cpus=address`"))).collect()
}

/// Locks a cluster with so many CPUs for this process; returns its address.
fn alone_on(cpus: usize) -> String {
    static LOCKED: Mutex<Vec<(usize, String, File)>> = Mutex::new(Vec::new());
    let mut locked = LOCKED.lock();
    let heads: Vec<_> = heads().into_iter().skip(1).collect();
    let enough = heads.iter().map(|(has, _)| *has).filter(|has| *has >= cpus).min();
    let most = heads.iter().map(|(has, _)| *has).max().expect("RAY_TEST_HEADS has a cluster beside the shared one");
    let chosen = enough.unwrap_or(most);
    if let Some((_, address, _)) = locked.iter().find(|(has, ..)| *has == chosen) {
        return address.clone();
    }
    loop {
        for (_, address) in heads.iter().filter(|(has, _)| *has == chosen) {
            let path = files().join(format!("{}.lock", address.replace(':', "-")));
            let file = File::create(path).expect("a file for the lock of a cluster");
            match file.try_lock() {
                Ok(()) => {
                    locked.push((chosen, address.clone(), file));
                    return address.clone();
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => panic!("a file cannot be locked: {error}"),
            }
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// Joins a cluster.
pub(crate) fn start(mut config: ray::Config) -> ray::Result<ray::Context> {
    let cpus = config.take_node().num_cpus;
    let address = cpus.map_or_else(|| heads()[0].1.clone(), alone_on);
    join(config.address(address))
}

/// Joins the cluster that many tests share.
pub(crate) fn start_shared(mut config: ray::Config) -> ray::Result<ray::Context> {
    config.take_node();
    join(config.address(heads()[0].1.clone()))
}

/// Notes that the test of this thread, or of this process, uses a cluster. A test that is listed as one that runs on a cluster must.
pub(crate) fn note() {
    let of_process = std::env::var(crate::support::MARK).ok();
    let Some(name) = of_process.or_else(|| std::thread::current().name().map(ToOwned::to_owned)) else { return };
    let file = File::options().append(true).create(true).open(files().join("joined"));
    let noted = file.and_then(|mut file| file.write_all(format!("{name}\n").as_bytes()));
    noted.expect("the file of the tests that use a cluster can be written");
}

fn join(config: ray::Config) -> ray::Result<ray::Context> {
    note();
    if crate::support::is_child() {
        static WATCHED: Once = Once::new();
        WATCHED.call_once(end_late);
    }
    let arguments = ["cluster::entry_of_workers", "--exact", "--nocapture", "--test-threads=1"];
    ray::__private_cluster::set_worker_arguments(arguments.map(Into::into).into());
    ray::__private_cluster::set_worker_variables(vec![(TALLIES.to_owned(), serve_tallies().to_owned())]);
    ray::init_with(config)
}

/// Ends the process of one test when the test takes too long. The time for which it has waited for its cluster does not count.
fn end_late() {
    std::thread::spawn(|| {
        std::thread::park_timeout(WATCHDOG);
        eprintln!("the test has not ended {} s after it has joined its cluster", WATCHDOG.as_secs());
        std::process::exit(1);
    });
}

/// Serves the tallies to the workers; returns the path of the socket.
fn serve_tallies() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = files().join(format!("{}.sock", std::process::id()));
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
    let mut stream = UnixStream::connect(std::env::var_os(TALLIES)?).expect("the process of the tests listens");
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
