//! Fuzz targets: every decoder of untrusted bytes, as a `fn(&[u8])` that must return without a panic.
//!
//! The targets are run in two ways. `tests/fuzz.rs` runs the inputs of the corpora and mutations of them for some seconds,
//! with the stable toolchain and in CI. The crate in `fuzz/` runs them by `cargo fuzz`. Both use the corpora in
//! `fuzz/corpus`.
//!
//! A target panics only if a decoder has a bug. `tests/fuzz.rs` also limits the memory and the time of each input.

mod actor;
mod calls;
mod failures;

use std::cell::RefCell;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use ray_train::model::StateDict;

pub use actor::actor;
pub use calls::{invoke, value};
pub use failures::error;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the target and of the folder of its corpus.
    pub name: &'static str,
    /// Decodes the bytes.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "value", run: value },
    Target { name: "invoke", run: invoke },
    Target { name: "actor", run: actor },
    Target { name: "error", run: error },
    Target { name: "idx", run: idx },
    Target { name: "gzip", run: gzip },
    Target { name: "manifest", run: manifest },
    Target { name: "metadata", run: metadata },
    Target { name: "state", run: state },
    Target { name: "lists", run: lists },
    Target { name: "frames", run: frames },
];

/// Parses a file of images or labels.
pub fn idx(bytes: &[u8]) {
    ray_train::fuzzing::idx(bytes);
}

/// Parses a gzipped file of images or labels, in two ways: the bytes follow the magic number of gzip, and the bytes are the
/// contents of a valid gzip file.
pub fn gzip(bytes: &[u8]) {
    ray_train::fuzzing::idx(&[&[0x1f, 0x8b], bytes].concat());
    let mut whole = GzEncoder::new(Vec::new(), Compression::fast());
    whole.write_all(bytes).expect("a write to a vector succeeds");
    ray_train::fuzzing::idx(&whole.finish().expect("a write to a vector succeeds"));
}

/// Parses the manifest of a checkpoint.
pub fn manifest(bytes: &[u8]) {
    in_directory(|directory| ray_train::fuzzing::manifest(directory, bytes));
}

/// Parses the metadata of a checkpoint.
pub fn metadata(bytes: &[u8]) {
    in_directory(|directory| ray_train::fuzzing::metadata(directory, bytes));
}

/// Parses the parameters of a model, a safetensors file. If they are accepted, they must be equal after they are written
/// and read again.
pub fn state(bytes: &[u8]) {
    let Ok(state) = StateDict::from_bytes(bytes) else { return };
    let again = StateDict::from_bytes(&state.to_bytes()).expect("a written state can be read");
    assert!(state == again, "a state has the same bits after it is written and read");
}

/// Parses the lists of a run: the list of checkpoints, a zero byte, and the list of reports.
pub fn lists(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (record, reports) = bytes.split_at(end);
    in_directory(|directory| ray_train::fuzzing::lists(directory, record, reports.strip_prefix(&[0]).unwrap_or(reports)));
}

/// Reads what a Python process sends to a program of a cluster: frames, with the values, errors, documents and answers in them.
pub fn frames(bytes: &[u8]) {
    ray_cluster::fuzzing::frames(bytes);
}

/// Calls `run` with a temporary directory of this thread, which contains a file that a manifest may name.
fn in_directory(run: impl FnOnce(&Path)) {
    thread_local! {
        static DIRECTORY: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
    }
    DIRECTORY.with_borrow_mut(|directory| {
        let directory = directory.get_or_insert_with(|| {
            let created = tempfile::tempdir().expect("a temporary directory can be created");
            std::fs::write(created.path().join("model"), "weights").expect("a temporary directory can be written");
            created
        });
        run(directory.path());
    });
}
