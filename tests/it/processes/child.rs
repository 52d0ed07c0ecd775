//! A child process, as its parent has it.

use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::Mutex;

use super::link::{Handles, Link};

/// A child process.
pub(super) struct Child {
    pub(super) link: Arc<Link>,
    pub(super) process: Mutex<std::process::Child>,
    /// The actor that the child is.
    pub(super) actor: Option<u64>,
}

impl Child {
    /// Starts a child: this binary, with the one test that is its entry. Also the end of the socket to read from.
    pub(super) fn start(actor: Option<u64>, handles: Arc<dyn Handles>) -> (Arc<Child>, UnixStream) {
        if let Ok(log) = std::env::var("RAY_TEST_STARTED") {
            // For the list of tests that run on this executor: such a test starts a child.
            let _ = std::fs::write(log, "a child was started");
        }
        let (mine, other) = UnixStream::pair().expect("a pair of sockets");
        let socket = other.as_raw_fd();
        let mut command = Command::new(std::env::current_exe().expect("the path of this binary"));
        command.args(["processes::entry_of_children", "--exact", "--nocapture", "--test-threads=1"]);
        static NEXT: AtomicU32 = AtomicU32::new(1);
        command.env(super::NUMBER, NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        command.env(super::SOCKET, "3").env_remove("RAY_TEST_CHILD").stdin(Stdio::null()).stdout(Stdio::null());
        // SAFETY: between fork and exec only functions that are safe in a signal handler are called. `dup2` clears the flag that
        // would close the socket, unless it is number 3 already.
        unsafe {
            command.pre_exec(move || {
                let done = if socket == 3 { libc::fcntl(3, libc::F_SETFD, 0) } else { libc::dup2(socket, 3) };
                if done < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
            });
        }
        let process = command.spawn().expect("the test binary starts again");
        drop(other);
        let reader = mine.try_clone().expect("a socket can be cloned");
        let link = Link::new(mine, handles, format!("child {}", process.id()));
        let child = Arc::new(Child { link, process: Mutex::new(process), actor });
        (child, reader)
    }

    pub(super) fn kill(&self) {
        let _ = self.process.lock().kill();
    }
}
