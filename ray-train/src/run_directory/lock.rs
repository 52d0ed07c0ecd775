//! One run of a name at a time: a lock of the system's on a file, which the end of a process takes away however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use crate::checkpoint::files;
use crate::faults::InProgress;

/// The lock of a run, held for as long as this lives.
pub(super) struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // By name: to close the file is not enough while a process that another thread is about to start still has it.
        let _ = self.0.unlock();
    }
}

/// Takes the lock of a run.
///
/// # Errors
/// [`InProgress`] with what the holder wrote of itself; what the file system says.
pub(super) fn take(run: &Path) -> ray::Result<Lock> {
    let path = run.join(".lock");
    let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = opened.map_err(|error| files::at("the run's lock cannot be opened", &path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            if holder.is_empty() {
                holder.push_str("a process that has just begun");
            }
            return Err(ray::Error::other(InProgress { path: run.to_owned(), holder: holder.trim().to_owned() }));
        }
        Err(TryLockError::Error(error)) => return Err(files::at("the run cannot be locked", &path, &error)),
    }
    let who = format!("process {} since {}\n", std::process::id(), jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC"));
    // For people; the lock itself is the system's.
    let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(who.as_bytes()));
    Ok(Lock(file))
}
