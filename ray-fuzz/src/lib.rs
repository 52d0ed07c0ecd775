//! Fuzz targets: every decoder of bytes from outside, as a plain `fn(&[u8])` that must return.
//!
//! They are run in two ways: `tests/fuzz.rs` replays the corpora and then mutates them for some seconds, on the stable
//! toolchain and in CI; the crate in `fuzz/` hands them to `cargo fuzz`. Both read the corpora in `fuzz/corpus`.
//!
//! A target panics only where a decoder is wrong. The runner also bounds the memory and the time of each input.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use ray::{ActorHandle, ObjectRef, remote};
use ray_train::model::StateDict;
use serde::{Deserialize, Serialize};

/// A decoder.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Also the name of its corpus.
    pub name: &'static str,
    /// Decodes the bytes.
    pub run: fn(&[u8]),
}

/// All of them.
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

/// A type of every shape that serde knows.
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

/// Nested as deep as the bytes say.
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

/// The registered functions, by the first byte of an input of `invoke`.
const FUNCTIONS: &[&str] = &["everything", "nested", "sums", "reference", "waits", "handle", "Idle"];

/// Sends documents to a registered function, as a worker of a cluster does. What it accepts it must encode again, and the
/// bytes that come back must be a value.
fn call(function: &str, documents: Vec<Vec<u8>>) {
    let path = format!("{}::{function}", module_path!());
    let registered = ray::__private::lookup(&path).expect("a function of this crate");
    let Ok(bytes) = registered.invoke(documents) else { return };
    match function {
        "everything" | "nested" => {
            let again = registered.invoke(vec![bytes]).expect("what was encoded can be decoded");
            assert!(!again.is_empty(), "a value has bytes");
        }
        _ => assert!(!bytes.is_empty(), "a value has bytes"),
    }
}

/// One MessagePack document, as a value of a type with everything in it, and as a deep one.
pub fn value(bytes: &[u8]) {
    call("everything", vec![bytes.to_vec()]);
    call("nested", vec![bytes.to_vec()]);
    call("reference", vec![bytes.to_vec()]);
    call("handle", vec![bytes.to_vec()]);
}

/// A function by the first byte, then documents, each behind a byte with its length.
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

/// A file of images or labels, as it is.
pub fn idx(bytes: &[u8]) {
    ray_train::fuzzing::idx(bytes);
}

/// As [`idx`], the bytes as a gzip stream after its magic number, and as the content of a whole one.
pub fn gzip(bytes: &[u8]) {
    ray_train::fuzzing::idx(&[&[0x1f, 0x8b], bytes].concat());
    let mut whole = GzEncoder::new(Vec::new(), Compression::fast());
    whole.write_all(bytes).expect("a vector takes what is written");
    ray_train::fuzzing::idx(&whole.finish().expect("a vector takes what is written"));
}

/// The manifest of a checkpoint.
pub fn manifest(bytes: &[u8]) {
    in_directory(|directory| ray_train::fuzzing::manifest(directory, bytes));
}

/// The metadata of a checkpoint.
pub fn metadata(bytes: &[u8]) {
    in_directory(|directory| ray_train::fuzzing::metadata(directory, bytes));
}

/// The parameters of a model: a file of safetensors. What is accepted is written and read again, bit by bit.
pub fn state(bytes: &[u8]) {
    let Ok(state) = StateDict::from_bytes(bytes) else { return };
    let again = StateDict::from_bytes(&state.to_bytes()).expect("what was written can be read");
    assert!(state == again, "the same bits");
}

/// The lists of a run: its checkpoints, then, behind a zero, its reports.
pub fn lists(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (record, reports) = bytes.split_at(end);
    in_directory(|directory| ray_train::fuzzing::lists(directory, record, reports.strip_prefix(&[0]).unwrap_or(reports)));
}

/// A directory of this thread's, with a file that a manifest may name.
fn in_directory(run: impl FnOnce(&Path)) {
    thread_local! {
        static DIRECTORY: RefCell<Option<tempfile::TempDir>> = const { RefCell::new(None) };
    }
    DIRECTORY.with_borrow_mut(|directory| {
        let directory = directory.get_or_insert_with(|| {
            let made = tempfile::tempdir().expect("a temporary directory can be made");
            std::fs::write(made.path().join("model"), "weights").expect("a temporary directory can be written");
            made
        });
        run(directory.path());
    });
}
