//! The Python that has Ray, in a virtual environment below the target folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A version of Ray, and the folder of its environment.
pub(super) struct Version {
    ray: &'static str,
    folder: &'static str,
}

/// The version on which the tests run.
pub(super) const TESTED: Version = Version { ray: "ray[default]==2.60.0", folder: "venv" };
/// An older version, on which some of the tests run.
pub(super) const OLDER: Version = Version { ray: "ray[default]==2.49.0", folder: "venv-older" };

/// The Python of the environment, which is made first if there is none.
pub(super) fn python(root: &Path, wanted: &Version) -> Result<PathBuf, String> {
    let Version { ray, folder } = wanted;
    let folder = root.join("target/cluster").join(folder);
    let python = folder.join("bin/python");
    let has_ray = "import ray, sys; sys.exit(ray.__version__ != sys.argv[1])";
    let version = ray.rsplit('=').next().expect("the requirement has a version");
    let test = Command::new(&python).args(["-c", has_ray, version]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    if test.is_ok_and(|status| status.success()) {
        return Ok(python);
    }
    println!("installing {ray} in {}", folder.display());
    let run = |command: &mut Command| match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{command:?} has failed: {status}")),
        Err(error) => Err(format!("{command:?} cannot be started: {error}")),
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", ray]))?;
    Ok(python)
}
