//! The folder that a driver ships to the workers: the Python package, the program and its arguments.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use ray_core::__private::Encoded;

use crate::identity::Identity;

/// The name of the package, and so of its folder.
const PACKAGE: &str = "ray_rust";

/// The files of the Python package.
const FILES: [(&str, &str); 16] = [
    ("__init__.py", include_str!("../python/ray_rust/__init__.py")),
    ("actors.py", include_str!("../python/ray_rust/actors.py")),
    ("answers.py", include_str!("../python/ray_rust/answers.py")),
    ("bridge.py", include_str!("../python/ray_rust/bridge.py")),
    ("calls.py", include_str!("../python/ray_rust/calls.py")),
    ("definitions.py", include_str!("../python/ray_rust/definitions.py")),
    ("errors.py", include_str!("../python/ray_rust/errors.py")),
    ("frames.py", include_str!("../python/ray_rust/frames.py")),
    ("identity.py", include_str!("../python/ray_rust/identity.py")),
    ("interrupts.py", include_str!("../python/ray_rust/interrupts.py")),
    ("link.py", include_str!("../python/ray_rust/link.py")),
    ("options.py", include_str!("../python/ray_rust/options.py")),
    ("submission.py", include_str!("../python/ray_rust/submission.py")),
    ("tables.py", include_str!("../python/ray_rust/tables.py")),
    ("values.py", include_str!("../python/ray_rust/values.py")),
    ("worker.py", include_str!("../python/ray_rust/worker.py")),
];

/// How the name of a driver's folder begins.
const PREFIX: &str = "ray-rust-";
/// The file in the folder that the driver and its bridge have locked as long as they run.
const LOCK: &str = "lock";
/// A folder without a lock that is older than this was left behind while it was removed.
const AGE: Duration = Duration::from_secs(60);
/// How long the processes of a private Ray may take to end when the bridge was killed.
const ENDS: Duration = Duration::from_secs(3);
/// How long a Python may take to tell whether it has Ray.
const PROBE: Duration = Duration::from_secs(10);
/// The temporary folder of a private Ray may have a path of this length: Ray makes sockets below it, whose paths are limited.
const LONGEST: usize = 30;

/// The folder of this driver, in use. The bridge removes it when the driver has ended; the drop removes it if the bridge was killed.
#[derive(Debug)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// The identity of the driver, as a document.
    pub(crate) identity: Vec<u8>,
    _lock: Flock<File>,
}

/// The folder that contains the folders of drivers.
fn base(is_local: bool) -> PathBuf {
    let chosen = env::temp_dir();
    let short = Path::new("/tmp");
    if is_local && chosen.as_os_str().len() > LONGEST && short.is_dir() { short.to_owned() } else { chosen }
}

/// Writes the folder.
///
/// # Errors
/// Those of the file system.
pub(crate) fn write(arguments: &[OsString], is_local: bool) -> io::Result<Folder> {
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(base(is_local))?;
    let lock = File::create(folder.path().join(LOCK))?;
    let lock = Flock::lock(lock, FlockArg::LockSharedNonblock).map_err(|(_, error)| io::Error::from(error))?;
    let package = folder.path().join(PACKAGE);
    fs::create_dir(&package)?;
    for (name, text) in FILES {
        fs::write(package.join(name), text)?;
    }
    let program = package.join("program");
    copy_program(&program)?;
    let identity = Encoded::of(&Identity::of_driver(&program, &FILES)?).map_err(io::Error::other)?.bytes;
    fs::write(package.join("identity"), &identity)?;
    let arguments: Vec<u8> = arguments.iter().flat_map(|argument| [argument.as_bytes(), &[0]].concat()).collect();
    fs::write(package.join("arguments"), arguments)?;
    Ok(Folder { path: folder.keep(), identity, _lock: lock })
}

impl Drop for Folder {
    /// Processes of a private Ray that are about to end may still write into the folder.
    fn drop(&mut self) {
        let deadline = Instant::now() + ENDS;
        while self.path.exists() {
            end_processes(&self.path);
            let _ = fs::remove_dir_all(&self.path);
            if Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Removes the folders of drivers that were killed together with their bridges.
pub(crate) fn sweep(is_local: bool) {
    let Ok(folders) = fs::read_dir(base(is_local)) else { return };
    for folder in folders.flatten() {
        if folder.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) && is_left(&folder.path()) {
            end_processes(&folder.path());
            let _ = fs::remove_dir_all(folder.path());
        }
    }
}

/// Kills the processes of a private Ray whose bridge was killed. The head and the raylet end with the bridge, but the agents of the
/// raylet first try for a minute to reach the head. They are known by their logs, which are open files in Ray's folder.
fn end_processes(folder: &Path) {
    let logs = folder.join("ray");
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = process.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // Of a process of another user nothing can be read.
        let files = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        let mut files = files.filter_map(|file| fs::read_link(file.path()).ok());
        if files.any(|file| file.starts_with(&logs)) && number != std::process::id().cast_signed() {
            let _ = kill(Pid::from_raw(number), Signal::SIGKILL);
        }
    }
}

/// Whether this is the folder of a driver of this user that has ended, and so has its bridge.
fn is_left(folder: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(folder) else { return false };
    if !found.is_dir() || found.uid() != nix::unistd::geteuid().as_raw() {
        return false;
    }
    match File::open(folder.join(LOCK)) {
        Ok(lock) => Flock::lock(lock, FlockArg::LockExclusiveNonblock).is_ok(),
        Err(_) => found.modified().is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > AGE)),
    }
}

/// Copies this program without its debug information, which can be most of it. Without `strip` it is copied whole.
fn copy_program(to: &Path) -> io::Result<()> {
    let program = env::current_exe()?;
    let strip = Command::new("strip")
        .arg("--strip-all")
        .arg("-o")
        .arg(to)
        .arg(&program)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !strip.is_ok_and(|status| status.success()) {
        fs::copy(&program, to)?;
    }
    Ok(())
}

/// The Python for the bridge: that of `RAY_PYTHON`, or the first one in the path that has Ray. `None`: there is none.
pub(crate) fn python() -> Option<PathBuf> {
    if let Some(chosen) = env::var_os("RAY_PYTHON").filter(|chosen| !chosen.is_empty()) {
        return Some(chosen.into());
    }
    let path = env::var_os("PATH")?;
    let candidates = env::split_paths(&path).flat_map(|folder| ["python3", "python"].map(|name| folder.join(name)));
    candidates.filter(|candidate| candidate.is_file()).find(|candidate| has_ray(candidate))
}

fn has_ray(python: &Path) -> bool {
    // Not the folder `ray` that the program may have been started beside.
    let test = "import importlib.util, sys; sys.path = [folder for folder in sys.path if folder]; \
                found = importlib.util.find_spec('ray'); sys.exit(found is None or found.origin is None)";
    let mut command = Command::new(python);
    command.args(["-c", test]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut probe) = command.spawn() else { return false };
    let deadline = Instant::now() + PROBE;
    while Instant::now() < deadline {
        match probe.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            ended => return ended.is_ok_and(|status| status.is_some_and(|status| status.success())),
        }
    }
    let _ = probe.kill();
    let _ = probe.wait();
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_of_the_package_are_shipped() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/ray_rust");
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut files: Vec<_> = files.filter(|name| Path::new(name).extension().is_some_and(|end| end == "py")).collect();
        files.sort_unstable();
        assert_eq!(files, FILES.map(|(name, _)| name));
    }
}
