//! What a run must not leave: processes, files in the shared memory, and temporary files of drivers.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long processes may take to end after their cluster.
const PATIENCE: Duration = Duration::from_secs(20);

/// Checks that no process of the run lives and that its drivers have left no file. The process namespace has only processes of the
/// run.
pub(super) fn check(folder: &Path) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let processes = processes();
        if processes.is_empty() {
            break;
        }
        if Instant::now() > deadline {
            return Err(format!("processes are left {} s after the end:\n{}", PATIENCE.as_secs(), processes.join("\n")));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let files = names_in(&folder.join(super::heads::TEMPORARY));
    if files.is_empty() { Ok(()) } else { Err(format!("temporary files are left: {}", files.join(", "))) }
}

/// The processes of the namespace except this one, which is the first.
fn processes() -> Vec<String> {
    let numbers = names_in(Path::new("/proc")).into_iter().filter_map(|name| name.parse::<u32>().ok());
    let lives = |number: &u32| {
        let status = fs::read_to_string(format!("/proc/{number}/status")).unwrap_or_default();
        !status.is_empty() && !status.contains("State:\tZ")
    };
    let command = |number: u32| {
        let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        format!("{number} {}", String::from_utf8_lossy(&line).replace('\0', " "))
    };
    numbers.filter(|number| *number != std::process::id()).filter(lives).map(command).collect()
}

/// The files in the shared memory that were made since the folder.
pub(super) fn in_shared_memory(folder: &Path) -> Vec<String> {
    let made = |path: &Path| fs::metadata(path).and_then(|data| data.modified()).ok();
    let Some(begin) = made(folder) else { return Vec::new() };
    let shared = Path::new("/dev/shm");
    let of_ray = |name: &String| name.contains("plasma") || name.contains("ray");
    names_in(shared).into_iter().filter(of_ray).filter(|name| made(&shared.join(name)) > Some(begin)).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
