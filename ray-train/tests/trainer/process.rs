//! Tests in a process of their own: this binary again, with the one test. A watchdog kills a process that hangs, and the test
//! fails with its output. The tests of models have this file too.
#![allow(dead_code, reason = "the tests of models use a part of it")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

const CHILD: &str = "RAY_TRAIN_TEST_CHILD";

/// How long a process may live, on a busy machine too.
const WATCHDOG: Duration = Duration::from_secs(240);

/// How often a process is asked whether it has ended, once it has closed its output.
const AGAIN: Duration = Duration::from_millis(1);

/// The command that runs one test of this binary in a process of its own.
pub(crate) fn child(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads", "1"]).env(CHILD, name);
    command
}

/// Whether this is that process.
pub(crate) fn is_child(name: &str) -> bool {
    std::env::var(CHILD).is_ok_and(|child| child == name)
}

/// Runs one test of this binary by a command, and fails unless the test passed.
pub(crate) fn passes(command: &mut Command) {
    let (status, output) = Process::start(command, WATCHDOG).end();
    assert!(status.success() && output.contains("1 passed"), "{command:?} ended with {status}:\n{output}");
}

/// A process under way. It does not outlive the test.
pub(crate) struct Process {
    child: Child,
    /// Each line of its output as it comes, until both of its pipes are closed.
    lines: mpsc::Receiver<String>,
    output: Arc<Mutex<String>>,
    longest: Duration,
    deadline: Instant,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// Starts a process that may live for `longest`.
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

    /// The next line of its output; none at the end of it.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => self.hangs(),
        }
    }

    /// Reads up to a line with that text.
    pub(crate) fn await_line(&mut self, text: &str) {
        while let Some(line) = self.next_line() {
            if line.contains(text) {
                return;
            }
        }
        panic!("no line with `{text}`:\n{}", self.output());
    }

    /// Whether it has ended, and how.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.child.try_wait().unwrap();
        if status.is_none() && Instant::now() >= self.deadline {
            self.hangs();
        }
        status
    }

    /// Waits for its end: how it ended, and all of its output.
    pub(crate) fn end(mut self) -> (ExitStatus, String) {
        while self.next_line().is_some() {}
        loop {
            if let Some(status) = self.ended() {
                return (status, self.output());
            }
            thread::park_timeout(AGAIN);
        }
    }

    /// Kills it, on Unix as `kill -9` does.
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

/// Reads a pipe to its end, on a thread of its own, so that the process never waits for its reader.
fn read(from: impl Read + Send + 'static, output: Arc<Mutex<String>>, lines: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.push_str(&line);
            output.push('\n');
            drop(output);
            // The test may have its line, and be waiting for nothing more.
            let _ = lines.send(line);
        }
    });
}

/// Each kind of wait for a process that hangs ends with its output, and the process is gone.
#[cfg(unix)]
#[test]
fn a_process_that_hangs_is_killed() {
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
        assert!(!alive.success(), "it lives on");
    };
    caught(|process| drop(process.end()));
    caught(|mut process| process.await_line("no such line"));
    caught(|mut process| while process.ended().is_none() {});
}
