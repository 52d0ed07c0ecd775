//! Runs a test in a child process: this binary again, with that test only. A watchdog kills a process that hangs, and the test fails
//! with its output. The tests of models share this file.
#![allow(dead_code, reason = "the tests of models use only a part of it")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const CHILD: &str = "RAY_TRAIN_TEST_CHILD";

/// The time limit of a process, long enough for a busy machine.
const WATCHDOG: Duration = Duration::from_secs(240);

/// The interval of the checks whether a process has ended, after it has closed its output.
const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// The command that runs one test of this binary in a child process.
pub(crate) fn child(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads", "1"]).env(CHILD, name);
    command
}

/// Whether this process is the child process of that test.
pub(crate) fn is_child(name: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|child| child == name)
}

/// Runs a command of [`child`], and fails unless the test in it passes.
pub(crate) fn passes(command: &mut Command) {
    let (status, output) = Process::start(command, WATCHDOG).end();
    assert!(status.success() && output.contains("1 passed"), "{command:?} ended with {status}:\n{output}");
}

/// A running process. It is killed when this is dropped.
pub(crate) struct Process {
    child: Child,
    /// The lines of its output, until both of its pipes are closed.
    lines: mpsc::Receiver<String>,
    output: Arc<Mutex<String>>,
    longest: Duration,
    deadline: Instant,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both calls fail if the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a process that may run for `longest`.
    pub(crate) fn start(command: &mut Command, longest: Duration) -> Process {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let (line, lines) = mpsc::channel();
        read(child.stdout.take().unwrap(), Arc::clone(&output), line.clone());
        read(child.stderr.take().unwrap(), Arc::clone(&output), line);
        Process { child, lines, output, longest, deadline: Instant::now() + longest }
    }

    /// Starts one test of this binary.
    pub(crate) fn of(command: &mut Command) -> Process {
        Process::start(command, WATCHDOG)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its output; none at the end of the output.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => self.hangs(),
        }
    }

    /// Reads lines up to one that contains the text.
    pub(crate) fn await_line(&mut self, text: &str) {
        while let Some(line) = self.next_line() {
            if line.contains(text) {
                return;
            }
        }
        panic!("no line with `{text}`:\n{}", self.output());
    }

    /// The exit status, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap();
        if status.is_none() && Instant::now() >= self.deadline {
            self.hangs();
        }
        status
    }

    /// Waits until it ends. Returns its exit status and its whole output.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        while self.next_line().is_some() {}
        loop {
            if let Some(status) = self.ended() {
                return (status, self.output());
            }
            thread::park_timeout(POLL_INTERVAL);
        }
    }

    /// Kills it, on Unix with the signal of `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn output(&self) -> String {
        self.output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn hangs(&mut self) -> ! {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        panic!("the process has hung for {:?} and was killed:\n{}", self.longest, self.output());
    }
}

/// Reads a pipe to its end on a separate thread, so that the process never waits for its reader.
fn read(from: impl Read + Send + 'static, output: Arc<Mutex<String>>, lines: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.push_str(&line);
            output.push('\n');
            drop(output);
            // The test may have dropped the receiver after the line that it needed.
            let _ = lines.send(line);
        }
    });
}

/// Each way to wait for a hanging process panics with its output, and kills the process.
#[cfg(unix)]
#[test]
fn a_hanging_process_is_killed() {
    let hangs = || {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo under way; exec sleep 1000"]);
        Process::start(&mut shell, Duration::from_millis(500))
    };
    let caught = |wait: fn(Process)| {
        let process = hangs();
        let id = process.id();
        let panic = thread::spawn(move || wait(process)).join().unwrap_err();
        let text = panic.downcast_ref::<String>().unwrap();
        assert!(text.contains("has hung for 500ms and was killed:\nunder way"), "{text}");
        let alive = Command::new("kill").args(["-0", &id.to_string()]).stderr(Stdio::null()).status().unwrap();
        assert!(!alive.success(), "the process still runs");
    };
    caught(|process| drop(process.end()));
    caught(|mut process| process.await_line("no such line"));
    caught(|mut process| while process.ended().is_none() {});
}
