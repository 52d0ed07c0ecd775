//! The Python that has Ray, in a virtual environment below the target folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version of Ray on which the tests run.
const RAY: &str = "ray[default]==2.60.0";

/// The Python of the environment, which is made first if there is none.
pub(super) fn python(root: &Path) -> Result<PathBuf, String> {
    let folder = root.join("target/cluster/venv");
    let python = folder.join("bin/python");
    let has_ray = "import ray, sys; sys.exit(ray.__version__ != sys.argv[1])";
    let version = RAY.rsplit('=').next().expect("the requirement has a version");
    let test = Command::new(&python).args(["-c", has_ray, version]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    if test.is_ok_and(|status| status.success()) {
        return Ok(python);
    }
    println!("installing {RAY} in {}", folder.display());
    let run = |command: &mut Command| match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} has failed: {status}")),
        Err(error) => Err(format!("{command:?} cannot be started: {error}")),
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", RAY]))?;
    Ok(python)
}
