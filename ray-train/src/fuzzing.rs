//! Parsers of untrusted files, as functions of bytes. They are for the fuzz targets only.

use std::fs;
use std::path::Path;

use crate::checkpoint::manifest;
use crate::data::idx;
use crate::run_directory;

/// Parses a file of images or of labels, gzipped or not.
pub fn idx(bytes: &[u8]) {
    idx::parse(bytes);
}

/// Parses the manifest of a checkpoint, in a directory that holds the other files.
pub fn manifest(directory: &Path, bytes: &[u8]) {
    fs::write(directory.join(manifest::MANIFEST), bytes).expect("a temporary directory can be written");
    let _ = manifest::verify(directory, manifest::Expected { run: "run", report: 1, time: None });
}

/// Parses the metadata of a checkpoint.
pub fn metadata(directory: &Path, bytes: &[u8]) {
    fs::write(directory.join(crate::checkpoint::METADATA), bytes).expect("a temporary directory can be written");
    let _ = crate::Checkpoint::from_directory(directory).metadata::<std::collections::BTreeMap<String, f64>>();
}

/// Parses the two lists of a run: its checkpoints and its reports.
pub fn lists(directory: &Path, record: &[u8], reports: &[u8]) {
    run_directory::read_lists(directory, record, reports);
}
