//! Fuzz targets: every decoder of untrusted bytes, as a `fn(&[u8])` that must return without a panic.
//!
//! The targets are run in two ways. `tests/fuzz.rs` runs the inputs of the corpora and mutations of them for some seconds,
//! with the stable toolchain and in CI. The crate in `fuzz/` runs them by `cargo fuzz`. Both use the corpora in
//! `fuzz/corpus`.
//!
//! A target panics only if a decoder has a bug. `tests/fuzz.rs` also limits the memory and the time of each input.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use ray::{ActorHandle, ObjectRef, remote};
use ray_train::model::StateDict;
use serde::{Deserialize, Serialize};

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
    Target { name: "idx", run: idx },
    Target { name: "gzip", run: gzip },
    Target { name: "manifest", run: manifest },
    Target { name: "metadata", run: metadata },
    Target { name: "state", run: state },
    Target { name: "lists", run: lists },
];

/// A type that contains the kinds of types that serde distinguishes.
#[derive(Debug, Serialize, Deserialize)]
struct Everything {
    flag: bool,
    small: (u8, i8, i64, u64, i128),
    number: (f32, f64),
    letter: char,
    text: String,
    list: Vec<Option<u16>>,
    units: Vec<()>,
    map: HashMap<String, BTreeMap<i32, Vec<u8>>>,
    shape: Shape,
}

#[derive(Debug, Serialize, Deserialize)]
enum Shape {
    Nothing,
    One(Box<str>),
    Two(u32, [f32; 2]),
    Fields { x: Option<Box<Shape>>, y: () },
}

/// A type of any depth; the bytes determine the depth.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Nested {
    inner: Option<Box<Nested>>,
    next: Vec<Nested>,
}

#[remote]
fn everything(value: Everything) -> Everything {
    value
}

#[remote]
fn nested(value: Nested) -> Nested {
    value
}

#[remote]
fn sums(numbers: Vec<f64>, shared: &[u8], text: &str) -> (f64, usize) {
    (numbers.iter().sum(), shared.len() + text.len())
}

#[remote]
fn reference(object: Option<ObjectRef<i64>>) -> bool {
    object.is_some()
}

#[remote]
async fn waits(first: u8, second: String) -> String {
    format!("{first}{second}")
}

#[remote]
struct Idle;

#[remote]
#[allow(unreachable_pub, clippy::new_without_default, reason = "`pub` is how the constructor of an actor is exported")]
impl Idle {
    pub fn new() -> Self {
        Idle
    }
}

#[remote]
fn handle(actor: Option<ActorHandle<Idle>>) -> bool {
    actor.is_some()
}

/// The registered functions. The first byte of an input of [`invoke`] selects one of them.
const FUNCTIONS: &[&str] = &["everything", "nested", "sums", "reference", "waits", "handle", "Idle"];

/// Passes encoded arguments to a registered function, as a worker of a cluster would. If the function accepts them, its
/// encoded result must not be empty, and `everything` and `nested` must accept their own result.
fn call(function: &str, documents: Vec<Vec<u8>>) {
    let path = format!("{}::{function}", module_path!());
    let registered = ray::__private::lookup(&path).expect("a function of this crate");
    let Ok(bytes) = registered.invoke(documents) else { return };
    match function {
        "everything" | "nested" => {
            let again = registered.invoke(vec![bytes]).expect("an encoded value can be decoded");
            assert!(!again.is_empty(), "an encoded value is not empty");
        }
        _ => assert!(!bytes.is_empty(), "an encoded value is not empty"),
    }
}

/// Decodes the bytes as one MessagePack document: as a value of each kind of type, as a nested value, as a reference, and
/// as the handle of an actor.
pub fn value(bytes: &[u8]) {
    call("everything", vec![bytes.to_vec()]);
    call("nested", vec![bytes.to_vec()]);
    call("reference", vec![bytes.to_vec()]);
    call("handle", vec![bytes.to_vec()]);
}

/// Calls the function that the first byte selects. Each argument is a byte with the length of a document, and then the
/// document.
pub fn invoke(bytes: &[u8]) {
    let Some((which, mut rest)) = bytes.split_first() else { return };
    let mut documents = Vec::new();
    while let Some((length, behind)) = rest.split_first() {
        let (document, behind) = behind.split_at(behind.len().min((*length).into()));
        documents.push(document.to_vec());
        rest = behind;
    }
    call(FUNCTIONS[usize::from(*which) % FUNCTIONS.len()], documents);
}

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
