//! What a checkpoint consists of: written when it is, compared before anything goes on from it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use crate::Metrics;
use crate::faults::Damaged;

/// The file that lists the others. Its being there, and whole, says that the checkpoint is.
pub(crate) const MANIFEST: &str = ".manifest.json";

/// The first word of what we write, and the version of it that this is.
pub(crate) const FORMAT: &str = "ray-train checkpoint 1";

/// One file.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) crc32: u32,
    /// The rank that it is from.
    pub(crate) rank: usize,
}

/// All of them, and the report that they came with: enough to enter the checkpoint into a run's list again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: String,
    pub(crate) run: String,
    pub(crate) report: u64,
    pub(crate) time: String,
    pub(crate) metrics: Metrics,
    pub(crate) files: Vec<Entry>,
    /// The states of the ranks' generators; none in a checkpoint of a version that did not write them.
    #[serde(default)]
    pub(crate) generators: Vec<u64>,
}

/// The checkpoint that a directory should hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) run: &'a str,
    pub(crate) report: u64,
    /// The time in the line of the report, unless the lines are lost.
    pub(crate) time: Option<&'a str>,
}

/// Reads the list of a checkpoint's directory, checks that it is the expected one, and compares every file with the list.
pub(crate) fn verify(directory: &Path, expected: Expected<'_>) -> Result<Manifest, Damaged> {
    let path = directory.join(MANIFEST);
    let damaged = |why: String| Damaged { path: directory.to_owned(), why };
    if !directory.is_dir() {
        return Err(damaged("the checkpoint is gone".to_owned()));
    }
    if !path.exists() {
        return Err(damaged(format!("it has no {MANIFEST}, so it is no checkpoint that ray-train has finished")));
    }
    let manifest: Manifest = files::read_json(&path)?;
    if manifest.format != FORMAT {
        return Err(damaged(format!("its format is `{}`, and this version reads `{FORMAT}`", manifest.format)));
    }
    let Expected { run, report, time } = expected;
    if manifest.run != run {
        let there = &manifest.run;
        return Err(damaged(format!("it is a checkpoint of the run `{there}`, and one of the run `{run}` should be here")));
    }
    if manifest.report != report {
        let there = manifest.report;
        return Err(damaged(format!("it is the checkpoint of report {there}, and that of report {report} should be here")));
    }
    if let Some(time) = time
        && manifest.time != time
    {
        let there = &manifest.time;
        return Err(damaged(format!(
            "it was reported at {there}, and this run made report {report} at {time}: it is of another run of the same name"
        )));
    }
    for entry in &manifest.files {
        let path = directory.join(&entry.name);
        let name = &entry.name;
        if !files::is_below(name) {
            return Err(damaged(format!("its {MANIFEST} lists `{name}`, which is not below its directory")));
        }
        let (bytes, crc32) = files::sum(&path).map_err(|error| damaged(format!("`{name}` cannot be read: {error}")))?;
        if bytes != entry.bytes {
            return Err(damaged(format!("`{name}` has {bytes} bytes, and was written with {}", entry.bytes)));
        }
        if crc32 != entry.crc32 {
            return Err(damaged(format!(
                "`{name}` is not as it was written: its CRC-32 is {crc32:08x}, not {:08x}",
                entry.crc32
            )));
        }
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `verify` says of a manifest that lists one file.
    fn verified(directory: &Path, name: &str) -> String {
        let text = format!(
            r#"{{"format":"{FORMAT}","run":"r","report":1,"time":"","metrics":{{}},
                "files":[{{"name":"{name}","bytes":1,"crc32":0,"rank":0}}]}}"#
        );
        std::fs::write(directory.join(MANIFEST), text).unwrap();
        verify(directory, Expected { run: "r", report: 1, time: None }).unwrap_err().why
    }

    /// A list from outside leads neither out of its directory nor to a file that never ends.
    #[test]
    fn a_list_leads_to_regular_files_below_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["/dev/zero", "../other", "a/../../other", "..", "/", ""] {
            let why = verified(directory.path(), name);
            assert!(why.contains("not below its directory"), "{name}: {why}");
        }
        std::fs::create_dir(directory.path().join("folder")).unwrap();
        assert!(verified(directory.path(), "folder").contains("no regular file"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/dev/zero", directory.path().join("endless")).unwrap();
            assert!(verified(directory.path(), "endless").contains("no regular file"));
        }
    }
}
