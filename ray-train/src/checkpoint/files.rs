//! The file system, with errors that name the path, and writes that are there after a crash.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::faults::{Damaged, failed};

/// What the names of files begin with that are not whole yet.
pub(crate) const WRITING: &str = ".writing-";

/// What the file system said, with the path and, where it is known, what to do.
pub(crate) fn at(what: &str, path: &Path, error: &io::Error) -> ray::Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": free some space, or keep fewer checkpoints (CheckpointConfig::num_to_keep)"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ": take a storage that may be written (RunConfig::storage)"
        }
        _ => "",
    };
    failed(format!("{what}: {}: {error}{advice}", path.display()))
}

/// The files below a directory, by their paths from it, sorted, so that every machine goes through them in one order.
pub(crate) fn list(root: &Path) -> ray::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let here = root.join(&folder);
        let entries = fs::read_dir(&here).map_err(|error| at("the directory of a checkpoint cannot be read", &here, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| at("the directory of a checkpoint cannot be read", &here, &error))?;
            let path = folder.join(entry.file_name());
            // Of a link, what it leads to.
            let metadata =
                fs::metadata(entry.path()).map_err(|error| at("a file of a checkpoint cannot be read", &entry.path(), &error))?;
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() {
                files.push(path);
            } else {
                // A pipe, which nobody may ever write to.
                return Err(failed(format!("{} is no file, which alone a checkpoint can hold", entry.path().display())));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a name that a list gives leads to a place below the list's own directory: plain names alone, no `..`, no root.
pub(crate) fn is_below(name: &str) -> bool {
    let mut parts = Path::new(name).components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

/// Copies a file; the directories above it are made.
pub(crate) fn copy(from: &Path, to: &Path) -> ray::Result<()> {
    make_parent(to)?;
    fs::copy(from, to).map_err(|error| at(&format!("{} cannot be copied", from.display()), to, &error))?;
    Ok(())
}

/// Moves a file, within the file system if it can be.
pub(crate) fn relocate(from: &Path, to: &Path) -> ray::Result<()> {
    make_parent(to)?;
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(from, to),
        Err(error) => Err(at(&format!("{} cannot be moved", from.display()), to, &error)),
        Ok(()) => Ok(()),
    }
}

fn make_parent(path: &Path) -> ray::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|error| at("the directory of a checkpoint cannot be made", parent, &error))
}

/// Length and CRC-32 of a file.
///
/// # Errors
/// What the system says; that it is no regular file: a pipe or a device may never end.
pub(crate) fn sum(path: &Path) -> io::Result<(u64, u32)> {
    // Before it is opened, since opening a pipe waits for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file"));
    }
    let mut file = File::open(path)?;
    let mut hasher = crc32fast::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((length, hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
        length += read as u64;
    }
}

/// Has the system write a file or a directory to the disk.
pub(crate) fn sync(path: &Path) -> ray::Result<()> {
    if cfg!(not(unix)) && path.is_dir() {
        // Elsewhere directories are not files, and a rename is the system's affair.
        return Ok(());
    }
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| at("not everything could be written to the disk", path, &error))
}

/// Writes a file beside its place and renames it: at every moment there is the old one or the new one, whole.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> ray::Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| failed(format!("{}: {error}", path.display())))?;
    replace(path, &text)
}

/// As [`write_json`], with bytes.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> ray::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut beside = tempfile::Builder::new();
        beside.prefix(WRITING);
        // As any file that a program makes; tempfile's own are for nobody else to read.
        #[cfg(unix)]
        beside.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = beside.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| at("a file cannot be written", path, &error))?;
    sync(folder)
}

/// Reads what [`write_json`] wrote.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Damaged> {
    let damaged = |why: String| Damaged { path: path.to_owned(), why };
    let bytes = fs::read(path).map_err(|error| damaged(format!("it cannot be read: {error}")))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let what = if error.is_eof() { "it is cut short" } else { "it is not what ray-train writes" };
        damaged(format!("{what}: {error}"))
    })
}
