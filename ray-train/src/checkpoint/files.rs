//! File operations with errors that name the path, and writes that survive a crash.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Damaged, failed};

/// The prefix of the names of files that are not complete yet.
pub(crate) const TEMPORARY_PREFIX: &str = ".writing-";

/// An error of the file system, with the path and advice if there is any.
pub(crate) fn io_error(what: &str, path: &Path, error: &io::Error) -> ray::Error {
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": free some disk space, or keep fewer checkpoints (CheckpointConfig::num_to_keep)"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            ": choose a storage that this process may write to (RunConfig::storage)"
        }
        _ => "",
    };
    failed(format!("{what}: {}: {error}{advice}", path.display()))
}

/// The files below a directory, by their relative paths. They are sorted, so that the order is the same on every machine.
pub(crate) fn list(root: &Path) -> ray::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let here = root.join(&folder);
        let entries =
            fs::read_dir(&here).map_err(|error| io_error("the directory of a checkpoint cannot be read", &here, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| io_error("the directory of a checkpoint cannot be read", &here, &error))?;
            let path = folder.join(entry.file_name());
            // Follows symbolic links.
            let metadata = fs::metadata(entry.path())
                .map_err(|error| io_error("a file of a checkpoint cannot be read", &entry.path(), &error))?;
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() {
                files.push(path);
            } else {
                // A read of a pipe would wait for a writer.
                return Err(failed(format!(
                    "{} is not a regular file: a checkpoint holds regular files only",
                    entry.path().display()
                )));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// Whether a relative path from a list stays below the directory of the list: it has normal components only, no `..` and no root.
pub(crate) fn is_below(name: &str) -> bool {
    let mut components = Path::new(name).components().peekable();
    components.peek().is_some() && components.all(|component| matches!(component, Component::Normal(_)))
}

/// Copies a file, and creates the directories of the target.
pub(crate) fn copy(from: &Path, to: &Path) -> ray::Result<()> {
    create_parent(to)?;
    fs::copy(from, to).map_err(|error| io_error(&format!("{} cannot be copied", from.display()), to, &error))?;
    Ok(())
}

/// Moves a file, and creates the directories of the target. Between file systems it copies the file.
pub(crate) fn move_file(from: &Path, to: &Path) -> ray::Result<()> {
    create_parent(to)?;
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(from, to),
        Err(error) => Err(io_error(&format!("{} cannot be moved", from.display()), to, &error)),
        Ok(()) => Ok(()),
    }
}

fn create_parent(path: &Path) -> ray::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    fs::create_dir_all(parent).map_err(|error| io_error("the directory of a checkpoint cannot be created", parent, &error))
}

/// The length and the CRC-32 of a file.
///
/// # Errors
/// The file cannot be read, or it is not a regular file: the contents of a pipe or a device may have no end.
pub(crate) fn checksum(path: &Path) -> io::Result<(u64, u32)> {
    // Before the file is opened: opening a pipe waits for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
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

/// Syncs a file or a directory to the disk.
pub(crate) fn sync(path: &Path) -> ray::Result<()> {
    if cfg!(not(unix)) && path.is_dir() {
        // Other systems cannot open a directory as a file.
        return Ok(());
    }
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|error| io_error("it could not be synced to the disk", path, &error))
}

/// Writes a value as JSON. It replaces the file atomically, see [`replace`].
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> ray::Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(|error| failed(format!("{}: {error}", path.display())))?;
    replace(path, &text)
}

/// Replaces a file atomically: it writes a temporary file in the same folder and renames it. At every moment the old or the new
/// file is there, complete. A newline is added to the bytes.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> ray::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(TEMPORARY_PREFIX);
        // The default permissions of a new file; `tempfile` would let only its owner read it.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut file = builder.tempfile_in(folder)?;
        file.write_all(bytes)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| io_error("a file cannot be written", path, &error))?;
    sync(folder)
}

/// Reads a file of [`write_json`].
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Damaged> {
    let damaged = |why: String| Damaged { path: path.to_owned(), why };
    let bytes = fs::read(path).map_err(|error| damaged(format!("it cannot be read: {error}")))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        let kind = if error.is_eof() { "it is truncated" } else { "it does not have the format of ray-train" };
        damaged(format!("{kind}: {error}"))
    })
}
