//! The targets of values and functions, and what the target of actors shares with them.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use ray::__private::{Carried, CarriedObject, Encoded, EncodedArg, ReferenceArg};
use ray::{ActorHandle, ObjectRef, remote};
use serde::{Deserialize, Serialize};

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
pub(crate) enum Shape {
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
#[allow(dead_code, reason = "it is called by its path")]
fn everything(value: Everything) -> Everything {
    value
}

#[remote]
#[allow(dead_code, reason = "it is called by its path")]
fn nested(value: Nested) -> Nested {
    value
}

#[remote]
#[allow(dead_code, reason = "it is called by its path")]
fn sums(numbers: Vec<f64>, shared: &[u8], text: &str) -> (f64, usize) {
    (numbers.iter().sum(), shared.len() + text.len())
}

#[remote]
#[allow(dead_code, reason = "it is called by its path")]
fn reference(object: Option<ObjectRef<i64>>) -> bool {
    object.is_some_and(|object| ray::get(object).is_ok_and(|number| number == 7))
}

#[remote]
#[allow(dead_code, reason = "it is called by its path")]
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
#[allow(dead_code, reason = "it is called by its path")]
fn handle(actor: Option<ActorHandle<Idle>>) -> bool {
    actor.is_some()
}

/// The registered functions, by the first byte of an input of `invoke`.
const FUNCTIONS: &[&str] = &["everything", "nested", "sums", "reference", "waits", "handle", "Idle"];

/// What travels beside the bytes of each value: references to two types, and a handle.
fn carried() -> &'static [Carried] {
    static CARRIED: OnceLock<Vec<Carried>> = OnceLock::new();
    CARRIED.get_or_init(|| {
        ray::init_with(ray::Config::new().num_cpus(1).ignore_reinit_error(true)).expect("an engine for the references");
        let (number, text) = (ray::put(7i64), ray::put("seven".to_owned()));
        vec![
            Carried::Object(CarriedObject::of(&number)),
            Carried::Object(CarriedObject::of(&text)),
            Carried::Actor(std::sync::Arc::new(Idle::remote().any())),
        ]
    })
}

fn document(bytes: &[u8]) -> EncodedArg {
    Encoded { bytes: bytes.to_vec(), carried: carried().to_vec() }.into()
}

/// Takes the next argument: a document behind a byte with its length, or, behind 0xff, the number of an object that a
/// reference in place of the value is to.
pub(crate) fn argument(rest: &mut &[u8]) -> Option<EncodedArg> {
    let (length, behind) = rest.split_first()?;
    let length = if *length == u8::MAX { 1 } else { usize::from(*length) };
    let (taken, behind) = behind.split_at(behind.len().min(length));
    let is_reference = rest[0] == u8::MAX;
    *rest = behind;
    let objects = carried().iter().filter_map(|carried| match carried {
        Carried::Object(object) => Some(object.clone()),
        Carried::Actor(_) | Carried::Remote(_) => None,
    });
    match taken.first() {
        Some(number) if is_reference => {
            let object = objects.cycle().nth(usize::from(*number)).expect("there are objects");
            Some(EncodedArg::Reference(ReferenceArg::new(object.object().clone())))
        }
        _ => Some(document(taken)),
    }
}

/// Sends arguments to a registered function, as a worker of a cluster does. What it accepts it must encode again, and the
/// bytes that come back must be a value.
fn call(function: &str, args: Vec<EncodedArg>) {
    let path = format!("{}::{function}", module_path!());
    let registered = ray::__private::lookup(&path).expect("a function of this crate");
    let Ok(result) = registered.invoke(args) else { return };
    assert!(!result.bytes.is_empty(), "a value has bytes");
    if matches!(function, "everything" | "nested") {
        let again = registered.invoke(vec![result.into()]).expect("what was encoded can be decoded");
        assert!(!again.bytes.is_empty(), "a value has bytes");
    }
}

/// One MessagePack document, as a value of a type with everything in it, and as a deep one.
pub fn value(bytes: &[u8]) {
    for function in ["everything", "nested", "reference", "handle"] {
        call(function, vec![document(bytes)]);
    }
}

/// A function by the first byte, then its arguments.
pub fn invoke(bytes: &[u8]) {
    let Some((which, mut rest)) = bytes.split_first() else { return };
    let args = std::iter::from_fn(|| argument(&mut rest)).collect();
    call(FUNCTIONS[usize::from(*which) % FUNCTIONS.len()], args);
}
