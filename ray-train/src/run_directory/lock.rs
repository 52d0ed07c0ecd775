//! The lock of a run: a lock of the operating system on a file. The system releases it when the process ends, also after a crash.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::checkpoint::files;
use crate::error::InProgress;

/// The lock of a run, held while this lives.
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Explicitly: a child process that another thread is starting may still share the file, and the lock would stay until the child
        // closes it.
        let _ = self.0.unlock();
    }
}

impl Lock {
    /// Takes the lock of the run in this directory.
    ///
    /// # Errors
    /// [`InProgress`] with the holder's description of itself; errors of the file system.
    pub(super) fn acquire(run: &Path) -> ray::Result<Lock> {
        let path = run.join(".lock");
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = opened.map_err(|error| files::io_error("the lock file of the run cannot be opened", &path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                if holder.is_empty() {
                    holder.push_str("a process that has just started the run");
                }
                return Err(ray::Error::other(InProgress { path: run.to_owned(), holder: holder.trim().to_owned() }));
            }
            Err(TryLockError::Error(error)) => return Err(files::io_error("the run cannot be locked", &path, &error)),
        }
        let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC");
        let holder = format!("process {} since {now}\n", std::process::id());
        // The text is only for error messages, so a failed write does no harm.
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        Ok(Lock(file))
    }
}
