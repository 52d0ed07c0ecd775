//! Helpers of the tests: the shared engine, child processes, gates and tallies.

use std::collections::HashMap;
use std::future::Future;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once, mpsc};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

// parking_lot instead of the standard library's locks: the standard library is not compiled with the sanitizers, so
// ThreadSanitizer would not see how its locks order memory accesses.
use parking_lot::{Condvar, Mutex};
use ray::__private::Encoded;
use serde::{Deserialize, Serialize};

/// A test fails when something that should happen at once takes longer than this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// How long a gate or a tally is waited for: longer where each body needs a process.
fn patience() -> Duration {
    calls(2 * PATIENCE, PATIENCE)
}

/// A child process that takes longer than this is killed, and its test fails.
const WATCHDOG: Duration = Duration::from_secs(180);

pub(crate) const MARK: &str = "RAY_TEST_CHILD";
const DONE: &str = "<the body of the child has ended>";

/// Starts the engine that the tests of this process share. It has more CPUs than the concurrent tests can block.
pub(crate) fn engine() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let config = ray::Config::new().num_cpus(32).tips(false).ignore_reinit_error(true);
        let started = if crate::cluster::wanted() { crate::cluster::start_shared(config) } else { init_with(config) };
        started.expect("the engine of this process starts");
    });
    if crate::cluster::wanted() {
        crate::cluster::note();
    }
}

/// Starts the engine of this process, with the executor on which the tests run.
pub(crate) fn init_with(config: ray::Config) -> ray::Result<ray::Context> {
    if crate::processes::wanted() {
        crate::processes::start(config)
    } else if crate::cluster::wanted() {
        crate::cluster::start(config)
    } else {
        ray::init_with(config)
    }
}

/// Whether every value is serialised and so loses its identity: in strict mode, and on a cluster.
pub(crate) fn strict() -> bool {
    crate::cluster::wanted() || std::env::var("RAY_STRICT").is_ok_and(|value| value == "1")
}

/// The exit status and the output of a child process.
#[derive(Debug)]
#[allow(dead_code, reason = "not every test reads every field")]
pub(crate) struct ChildOutput {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `body` in a child process, and returns the output of the child in the parent. The child is this test binary, started
/// with the single test `name` (exactly `module::function`). Fails when the body panics, or after [`WATCHDOG`].
pub(crate) fn in_child(name: &str, body: impl FnOnce()) -> ChildOutput {
    in_child_with(name, &[], body)
}

/// Like [`in_child`], with environment variables; an empty value removes a variable.
pub(crate) fn in_child_with(name: &str, environment: &[(&str, &str)], body: impl FnOnce()) -> ChildOutput {
    let said = child(name, environment, body);
    assert!(said.success, "{name} failed in its child process\n{}\n{}", said.stdout, said.stderr);
    assert!(said.stdout.contains(DONE), "there is no test {name}:\n{}\n{}", said.stdout, said.stderr);
    said
}

/// Whether this process is that of a single test.
pub(crate) fn is_child() -> bool {
    std::env::var_os(MARK).is_some()
}

/// Like [`in_child_with`], but does not check how the child ended: for a body that ends the process itself.
pub(crate) fn child(name: &str, environment: &[(&str, &str)], body: impl FnOnce()) -> ChildOutput {
    if std::env::var(MARK).is_ok_and(|marked| marked == name) {
        if crate::processes::wanted() {
            init_with(ray::Config::new().tips(false).ignore_reinit_error(true)).expect("the engine starts");
        }
        body();
        println!("\n{DONE}");
        std::process::exit(0);
    }
    let mut command = Command::new(std::env::current_exe().expect("the test binary's path"));
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(MARK, name);
    for variable in ["RAY_ADDRESS", "RAY_TIPS", "RAY_IGNORE_UNHANDLED_ERRORS"] {
        command.env_remove(variable);
    }
    for (variable, value) in environment {
        if value.is_empty() {
            command.env_remove(variable)
        } else {
            command.env(variable, value)
        };
    }
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the test binary runs again");
    let (ended, end) = mpsc::channel();
    let stdout = drain(child.stdout.take().expect("piped"), ended.clone());
    let stderr = drain(child.stderr.take().expect("piped"), ended);
    let deadline = Instant::now() + WATCHDOG;
    let in_time = (0..2).all(|_| end.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_ok());
    if !in_time {
        // The error is ignored: the child may have ended by now.
        let _ = child.kill();
    }
    let status = child.wait().expect("a child can be waited for");
    let text = |bytes: &Mutex<Vec<u8>>| String::from_utf8_lossy(&bytes.lock()).into_owned();
    let said = ChildOutput { success: status.success(), stdout: text(&stdout), stderr: text(&stderr) };
    assert!(in_time, "{name} hung in its child process\n{}\n{}", said.stdout, said.stderr);
    said
}

/// Reads `from` to its end on a separate thread, so that the output before a hang is available.
fn drain(mut from: impl Read + Send + 'static, ended: mpsc::Sender<()>) -> Arc<Mutex<Vec<u8>>> {
    let into = Arc::new(Mutex::new(Vec::new()));
    let bytes = into.clone();
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut chunk) {
            bytes.lock().extend_from_slice(&chunk[..count]);
        }
        let _ = ended.send(());
    });
    into
}

/// Counters on which bodies and tests synchronise. A handle is only a number, so a gate can be serialised as well.
#[derive(Default)]
struct Counts {
    counts: HashMap<u64, u64>,
    wakers: Vec<Waker>,
    words: HashMap<u64, Vec<String>>,
    /// Of each crowd of bodies in other processes: how many are inside, and the largest number that were.
    crowds: HashMap<String, (i64, i64)>,
}

static COUNTS: Mutex<Option<Counts>> = Mutex::new(None);
static CHANGED: Condvar = Condvar::new();

/// An operation on the counts, as a child of the executor of [`processes`](crate::processes) sends it to its parent: all
/// counts are in the parent.
#[derive(Debug, Serialize, Deserialize)]
enum Operation {
    Number,
    Add(u64),
    Count(u64),
    WaitFor(u64, u64),
    Say(u64, String),
    Said(u64),
    Move(String, i64),
}

/// Does an operation of a child.
pub(crate) fn serve(operation: &[u8]) -> Vec<u8> {
    let operation = Encoded::from(operation.to_vec()).decode().expect("a child sends operations");
    match operation {
        Operation::Number => bytes_of(&number()),
        Operation::Add(tally) => bytes_of(&Tally(tally).add()),
        Operation::Count(tally) => bytes_of(&Tally(tally).count()),
        Operation::WaitFor(tally, count) => bytes_of(&Tally(tally).is_reached(count, patience())),
        Operation::Say(words, word) => bytes_of(&Words(words).say(word)),
        Operation::Said(words) => bytes_of(&Words(words).said()),
        Operation::Move(crowd, by) => bytes_of(&moved(crowd, by)),
    }
}

fn bytes_of<T: Serialize>(value: &T) -> Vec<u8> {
    Encoded::of(value).expect("it can be encoded").bytes
}

/// In a child, has the parent do the operation.
fn in_parent<R: serde::de::DeserializeOwned>(operation: &Operation) -> Option<R> {
    let operation = bytes_of(operation);
    let done = crate::processes::support(&operation).or_else(|| crate::cluster::support(&operation))?;
    Some(Encoded::from(done).decode().expect("the parent sends the result of the operation"))
}

fn number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    in_parent(&Operation::Number).unwrap_or_else(|| NEXT.fetch_add(1, Ordering::Relaxed))
}

fn with_counts<R>(act: impl FnOnce(&mut Counts) -> R) -> R {
    act(COUNTS.lock().get_or_insert_default())
}

/// A counter that threads and async bodies can wait for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Tally(u64);

#[allow(dead_code, reason = "not every module uses every method")]
impl Tally {
    pub(crate) fn new() -> Tally {
        Tally(number())
    }

    /// Adds one, and returns the new count.
    pub(crate) fn add(self) -> u64 {
        if let Some(now) = in_parent(&Operation::Add(self.0)) {
            return now;
        }
        let (now, wakers) = with_counts(|counts| {
            let count = counts.counts.entry(self.0).or_default();
            *count += 1;
            (*count, std::mem::take(&mut counts.wakers))
        });
        CHANGED.notify_all();
        wakers.into_iter().for_each(Waker::wake);
        now
    }

    pub(crate) fn count(self) -> u64 {
        if let Some(count) = in_parent(&Operation::Count(self.0)) {
            return count;
        }
        with_counts(|counts| counts.counts.get(&self.0).copied().unwrap_or(0))
    }

    /// Waits until the count is at least `count`.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    #[track_caller]
    pub(crate) fn wait_for(self, count: u64) {
        assert!(self.is_reached(count, patience()), "{} of {count} after {:?}", self.count(), patience());
    }

    /// Waits until the count is at least `count`; `false`: it is not after `patience`.
    fn is_reached(self, count: u64, patience: Duration) -> bool {
        if let Some(reached) = in_parent(&Operation::WaitFor(self.0, count)) {
            return reached;
        }
        let deadline = Instant::now() + patience;
        let mut counts = COUNTS.lock();
        loop {
            let there = counts.as_ref().and_then(|counts| counts.counts.get(&self.0)).copied().unwrap_or(0);
            if there >= count {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            CHANGED.wait_for(&mut counts, left);
        }
    }

    /// Like [`Tally::wait_for`], for an async body. It never times out: the getter should.
    pub(crate) fn reached(self, count: u64) -> impl Future<Output = ()> + Send {
        let mut asked = false;
        std::future::poll_fn(move |context| {
            if crate::processes::is_child() || crate::cluster::is_worker() {
                if self.count() >= count {
                    return Poll::Ready(());
                }
                if !std::mem::replace(&mut asked, true) {
                    let waker = context.waker().clone();
                    std::thread::spawn(move || {
                        while !self.is_reached(count, patience()) {}
                        waker.wake();
                    });
                }
                return Poll::Pending;
            }
            with_counts(|counts| {
                if counts.counts.get(&self.0).copied().unwrap_or(0) >= count {
                    return Poll::Ready(());
                }
                counts.wakers.push(context.waker().clone());
                Poll::Pending
            })
        })
    }
}

/// A gate that is closed until it is opened: it blocks a body until the test has checked a state.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Gate(Tally);

#[allow(dead_code, reason = "not every module uses every method")]
impl Gate {
    pub(crate) fn new() -> Gate {
        Gate(Tally::new())
    }

    pub(crate) fn open(self) {
        self.0.add();
    }

    pub(crate) fn is_open(self) -> bool {
        self.0.count() > 0
    }

    /// Waits until the gate is open.
    ///
    /// # Panics
    /// After [`PATIENCE`].
    #[track_caller]
    pub(crate) fn wait(self) {
        self.0.wait_for(1);
    }

    /// Like [`Gate::wait`], for an async body. It never times out: the getter should.
    pub(crate) fn opened(self) -> impl Future<Output = ()> + Send {
        self.0.reached(1)
    }
}

/// A list of words in the order in which threads added them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Words(u64);

#[allow(dead_code, reason = "not every module uses every method")]
impl Words {
    pub(crate) fn new() -> Words {
        Words(number())
    }

    pub(crate) fn say(self, word: impl Into<String>) {
        let word = word.into();
        if in_parent::<()>(&Operation::Say(self.0, word.clone())).is_none() {
            with_counts(|counts| counts.words.entry(self.0).or_default().push(word));
        }
    }

    pub(crate) fn said(self) -> Vec<String> {
        if let Some(said) = in_parent(&Operation::Said(self.0)) {
            return said;
        }
        with_counts(|counts| counts.words.get(&self.0).cloned().unwrap_or_default())
    }
}

/// Counts bodies of other processes that enter (1) or leave (-1) a crowd.
fn moved(crowd: String, by: i64) {
    with_counts(|counts| {
        let (now, most) = counts.crowds.entry(crowd).or_default();
        *now += by;
        *most = (*most).max(*now);
    });
}

/// Enters (1) or leaves (-1) a crowd, if the counts are in another process.
pub(crate) fn move_in_parent(crowd: &str, by: i64) -> bool {
    in_parent::<()>(&Operation::Move(crowd.to_owned(), by)).is_some()
}

/// How many bodies of other processes are in a crowd, and the largest number that were.
pub(crate) fn crowd_of_others(crowd: &str) -> (usize, usize) {
    let (now, most) = with_counts(|counts| counts.crowds.get(crowd).copied().unwrap_or_default());
    (usize::try_from(now).unwrap_or(0), usize::try_from(most).unwrap_or(0))
}

/// The number of repetitions of a call: `all`, or `few` where each call goes to another process.
pub(crate) fn calls<T>(few: T, all: T) -> T {
    if crate::cluster::wanted() || crate::cluster::is_worker() { few } else { all }
}

/// Resident memory of this process, in bytes.
pub(crate) fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The number of rounds: `all` with `RAY_TEST_FULL=1`, otherwise `few`.
pub(crate) fn rounds(few: usize, all: usize) -> usize {
    if std::env::var("RAY_TEST_FULL").is_ok_and(|value| value == "1") { all } else { few }
}

/// Runs `round` `rounds` times after a tenth as many for warming up, and fails if the memory grows by `most` bytes or more.
pub(crate) fn flat(what: &str, rounds: usize, most: usize, mut round: impl FnMut()) {
    (0..rounds / 10).for_each(|_| round());
    let before = resident();
    (0..rounds).for_each(|_| round());
    let grown = resident().saturating_sub(before);
    println!("{what}: {rounds} rounds, {grown} bytes");
    assert!(grown < most, "{what}: {grown} bytes more after {rounds} rounds");
}
