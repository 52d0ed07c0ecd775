//! The folder that a driver ships to the workers: the Python package, the program and its arguments.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// The name of the package, and so of its folder.
const PACKAGE: &str = "ray_rust";

/// The files of the Python package.
const FILES: [(&str, &str); 8] = [
    ("__init__.py", include_str!("../python/ray_rust/__init__.py")),
    ("bridge.py", include_str!("../python/ray_rust/bridge.py")),
    ("definitions.py", include_str!("../python/ray_rust/definitions.py")),
    ("frames.py", include_str!("../python/ray_rust/frames.py")),
    ("link.py", include_str!("../python/ray_rust/link.py")),
    ("options.py", include_str!("../python/ray_rust/options.py")),
    ("values.py", include_str!("../python/ray_rust/values.py")),
    ("worker.py", include_str!("../python/ray_rust/worker.py")),
];

/// Writes the folder. The bridge removes it when the driver has ended; the drop removes it if no bridge was started.
///
/// # Errors
/// Those of the file system.
pub(crate) fn write(arguments: &[OsString]) -> io::Result<TempDir> {
    let folder = tempfile::Builder::new().prefix("ray-rust-").tempdir()?;
    let package = folder.path().join(PACKAGE);
    fs::create_dir(&package)?;
    for (name, text) in FILES {
        fs::write(package.join(name), text)?;
    }
    copy_program(&package.join("program"))?;
    let arguments: Vec<&[u8]> = arguments.iter().map(|argument| argument.as_bytes()).collect();
    fs::write(package.join("arguments"), arguments.join(&b'\0'))?;
    Ok(folder)
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
    let test = "import importlib.util, sys; sys.exit(importlib.util.find_spec('ray') is None)";
    let mut command = Command::new(python);
    command.args(["-c", test]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
