//! The manifest of a checkpoint: the list of its files with their checksums. It is written last, and verified before a run continues
//! from the checkpoint.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::files;
use crate::Metrics;
use crate::error::Damaged;

/// The file name of the manifest. A checkpoint is complete if its manifest exists and is complete.
pub(crate) const MANIFEST: &str = ".manifest.json";

/// The format of the manifest, with its version.
pub(crate) const FORMAT: &str = "ray-train checkpoint 1";

/// A file of the checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) crc32: u32,
    /// The rank that wrote the file.
    pub(crate) rank: usize,
}

/// The contents of the manifest: the files, and the report of the checkpoint. This is enough to rebuild the lists of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) format: String,
    pub(crate) run: String,
    pub(crate) report: u64,
    pub(crate) time: String,
    pub(crate) metrics: Metrics,
    pub(crate) files: Vec<Entry>,
    /// The states of the ranks' generators; empty in a checkpoint of a version that did not write them.
    #[serde(default)]
    pub(crate) generators: Vec<u64>,
}

/// The checkpoint that a directory is expected to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected<'a> {
    pub(crate) run: &'a str,
    pub(crate) report: u64,
    /// The time in the line of the report; none if the lines are lost.
    pub(crate) time: Option<&'a str>,
}

/// Reads the manifest of a checkpoint, checks that it is the expected checkpoint, and verifies all files.
pub(crate) fn verify(directory: &Path, expected: Expected<'_>) -> Result<Manifest, Damaged> {
    let path = directory.join(MANIFEST);
    let damaged = |why: String| Damaged { path: directory.to_owned(), why };
    if !directory.is_dir() {
        return Err(damaged("the checkpoint is missing".to_owned()));
    }
    if !path.exists() {
        return Err(damaged(format!("it has no {MANIFEST}, so it is not a complete checkpoint of ray-train")));
    }
    let manifest: Manifest = files::read_json(&path)?;
    if manifest.format != FORMAT {
        return Err(damaged(format!("its format is `{}`, and this version reads `{FORMAT}`", manifest.format)));
    }
    let Expected { run, report, time } = expected;
    if manifest.run != run {
        let found = &manifest.run;
        return Err(damaged(format!("it is a checkpoint of the run `{found}`, expected one of the run `{run}`")));
    }
    if manifest.report != report {
        let found = manifest.report;
        return Err(damaged(format!("it is the checkpoint of report {found}, expected that of report {report}")));
    }
    if let Some(time) = time
        && manifest.time != time
    {
        let found = &manifest.time;
        return Err(damaged(format!(
            "it was reported at {found}, but this run made report {report} at {time}: it belongs to another run of the same name"
        )));
    }
    for entry in &manifest.files {
        let path = directory.join(&entry.name);
        let name = &entry.name;
        if !files::is_below(name) {
            return Err(damaged(format!("its {MANIFEST} lists `{name}`, which is not below the directory of the checkpoint")));
        }
        let (bytes, crc32) = files::checksum(&path).map_err(|error| damaged(format!("`{name}` cannot be read: {error}")))?;
        if bytes != entry.bytes {
            return Err(damaged(format!("`{name}` has {bytes} bytes, expected {}", entry.bytes)));
        }
        if crc32 != entry.crc32 {
            return Err(damaged(format!("`{name}` has changed: its CRC-32 is {crc32:08x}, expected {:08x}", entry.crc32)));
        }
    }
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error of `verify` for a manifest that lists one file.
    fn verify_error(directory: &Path, name: &str) -> String {
        let text = format!(
            r#"{{"format":"{FORMAT}","run":"r","report":1,"time":"","metrics":{{}},
                "files":[{{"name":"{name}","bytes":1,"crc32":0,"rank":0}}]}}"#
        );
        std::fs::write(directory.join(MANIFEST), text).unwrap();
        verify(directory, Expected { run: "r", report: 1, time: None }).unwrap_err().why
    }

    /// A manifest from elsewhere cannot name files outside of its directory, or files without an end.
    #[test]
    fn a_manifest_may_only_name_regular_files_below_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["/dev/zero", "../other", "a/../../other", "..", "/", ""] {
            let why = verify_error(directory.path(), name);
            assert!(why.contains("not below the directory"), "{name}: {why}");
        }
        std::fs::create_dir(directory.path().join("folder")).unwrap();
        assert!(verify_error(directory.path(), "folder").contains("not a regular file"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink("/dev/zero", directory.path().join("endless")).unwrap();
            assert!(verify_error(directory.path(), "endless").contains("not a regular file"));
        }
    }
}
