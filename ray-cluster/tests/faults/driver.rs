//! The driver of a test: this binary with the single test.

use std::ffi::OsString;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::space::Space;

const MARK: &str = "RAY_FAULT_DRIVER";
const ENTRY: &str = "RAY_FAULT_ENTRY";

/// A driver that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(120);

/// Whether this process was started by a worker.
pub(crate) fn is_worker() -> bool {
    std::env::var_os("RAY_RUST_WORKER").is_some()
}

/// What a driver has done.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) output: String,
}

/// The driver of one test.
pub(crate) struct Driver {
    pub(crate) command: Command,
}

/// Runs the body, if this process is the driver of a test; it does not return then. Otherwise returns nothing.
pub(crate) fn body(run: impl FnOnce()) {
    if std::env::var_os(MARK).is_some() {
        let entry = std::env::var(ENTRY).unwrap_or_else(|_| "entry_of_workers".to_owned());
        let arguments = [&entry, "--exact", "--nocapture", "--test-threads=1"].map(OsString::from);
        ray::__private_cluster::set_worker_arguments(arguments.into());
        run();
        std::process::exit(0);
    }
}

impl Driver {
    /// The driver of the test of this name, in these namespaces.
    pub(crate) fn new(space: &Space, test: &str) -> Self {
        Self::with(space, test, &[])
    }

    /// A driver that `around`, a command, starts.
    pub(crate) fn with(space: &Space, test: &str, around: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = match around {
            [] => space.command(program),
            [first, rest @ ..] => {
                let mut command = space.command(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(MARK, "1").env("RUST_BACKTRACE", "0");
        Self { command }
    }

    pub(crate) fn address(self, address: &str) -> Self {
        self.env("RAY_ADDRESS", address)
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// The test with which the workers start this binary.
    pub(crate) fn entry(self, test: &str) -> Self {
        self.env(ENTRY, test)
    }

    /// Runs the driver to its end.
    pub(crate) fn run(mut self) -> Ran {
        let start = Instant::now();
        let (mut reader, writer) = std::io::pipe().expect("a pipe");
        self.command.stdout(writer.try_clone().expect("a file descriptor")).stderr(writer).stdin(Stdio::null());
        let mut child = self.command.spawn().expect("the driver starts");
        drop(self.command);
        // The pipe ends with the last process that has it, which may be a process of Ray.
        let (sent, output) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sent.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let mut bytes = Vec::new();
        let status = loop {
            bytes.extend(output.recv_timeout(Duration::from_millis(20)).unwrap_or_default());
            if let Some(status) = child.try_wait().expect("the driver can be waited for") {
                break status;
            }
            assert!(start.elapsed() < PATIENCE, "the driver hangs:\n{}", String::from_utf8_lossy(&bytes));
        };
        while let Ok(more) = output.recv_timeout(Duration::from_millis(50)) {
            bytes.extend(more);
        }
        Ran { status, output: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// Runs the driver, which is killed, and leaves nothing.
    pub(crate) fn expect_killed(self, space: &Space) {
        let _turn = space.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = space.contents();
        let ran = self.run();
        // `nsenter` ends as its child does.
        const SIGKILL: i32 = nix::sys::signal::Signal::SIGKILL as i32;
        let killed = ran.status.signal() == Some(SIGKILL) || ran.status.code() == Some(128 + SIGKILL);
        assert!(killed, "the driver was not killed ({}):\n{}", ran.status, ran.output);
        space.expect_nothing_left(&before);
    }

    /// Runs the driver, which succeeds, and leaves nothing.
    pub(crate) fn succeed(self, space: &Space) -> Ran {
        let _turn = space.turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let before = space.contents();
        let ran = self.run();
        assert!(ran.status.success(), "the driver has failed ({}):\n{}", ran.status, ran.output);
        space.expect_nothing_left(&before);
        ran
    }
}

/// Fails unless the text has all these parts.
#[track_caller]
pub(crate) fn says(text: &impl ToString, parts: &[&str]) {
    let text = text.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in: {text}");
    }
}
