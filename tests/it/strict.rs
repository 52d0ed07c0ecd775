//! Strict mode: values that would not survive the way to another process are errors, as they are on a cluster.

use std::fmt;

use ray::{Config, ErrorKind, ObjectRef, remote};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::cluster;
use crate::stage::{alone, alone_with};
use crate::support::{Gate, in_child, in_child_with};

/// Does not survive serialisation: its serialised form cannot be deserialised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lost {
    kept: i64,
    #[serde(skip_serializing)]
    left_out: i64,
}

fn lost(kept: i64) -> Lost {
    Lost { kept, left_out: kept }
}

/// Comes back with another value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Forgets {
    kept: i64,
    #[serde(skip)]
    forgotten: i64,
}

/// Cannot be serialised at all.
#[derive(Clone, Debug)]
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("not serialisable"))
    }
}

impl<'de> Deserialize<'de> for Unwritable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("not deserialisable"))
    }
}

#[remote]
fn takes(value: Lost) -> i64 {
    value.kept
}

#[remote]
fn borrows(value: &Lost) -> i64 {
    value.kept
}

#[remote]
fn returns(x: i64) -> Lost {
    lost(x)
}

#[remote]
fn forgets(value: Forgets) -> Forgets {
    value
}

#[remote]
fn returns_unwritable() -> Unwritable {
    Unwritable
}

#[remote(num_returns = 2)]
fn in_parts() -> (i64, Lost) {
    (1, lost(1))
}

#[remote]
async fn later(x: i64) -> Lost {
    lost(x)
}

#[remote]
struct Keeper {}

#[remote]
impl Keeper {
    pub fn new(_value: Lost) -> Self {
        Keeper {}
    }
}

#[remote]
struct Asked {}

#[remote]
impl Asked {
    pub fn new() -> Self {
        Asked {}
    }
    pub fn takes(&self, value: Lost) -> i64 {
        value.kept
    }
    pub fn returns(&self) -> Lost {
        lost(3)
    }
}

#[remote(local)]
fn local(value: Lost) -> Lost {
    value
}

/// Without strict mode values are not serialised.
#[test]
fn without_strict_mode_values_are_moved() {
    in_child_with("strict::without_strict_mode_values_are_moved", &[("RAY_STRICT", "")], || {
        assert_eq!(ray::get(takes.remote(lost(1))).unwrap(), 1);
        assert_eq!(ray::get(returns.remote(2)).unwrap(), lost(2));
        assert_eq!(ray::get(ray::put(lost(3))).unwrap(), lost(3));
        assert_eq!(ray::get(forgets.remote(Forgets { kept: 1, forgotten: 2 })).unwrap().forgotten, 2);
        assert!(ray::get(returns_unwritable.remote()).is_ok());
    });
}

fn refuses() {
    let refused = |error: ray::Error| {
        assert_eq!(error.kind(), ErrorKind::Serialization, "{error}");
        let text = error.to_string();
        assert!(text.contains("Lost") && text.contains("left_out"), "the error names the type and the field: {text}");
    };
    refused(ray::get(takes.remote(lost(1))).unwrap_err());
    let tried = takes.try_remote(lost(1));
    // The worker finds it out, after the call was sent.
    refused(if cluster::wanted() { ray::get(tried.unwrap()).unwrap_err() } else { tried.unwrap_err() });
    refused(ray::get(takes.options().name("x").remote(lost(1))).unwrap_err());
    refused(ray::get(borrows.remote(lost(1))).unwrap_err());
    refused(ray::get(returns.remote(1)).unwrap_err());
    refused(ray::get(later.remote(1)).unwrap_err());
    refused(ray::get(ray::put(lost(1))).unwrap_err());
    refused(ray::get(takes.remote(returns.remote(1))).unwrap_err());
    let (number, value) = in_parts.remote();
    refused(ray::get(number).unwrap_err());
    refused(ray::get(value).unwrap_err());
    refused(ray::get(Keeper::remote(lost(1)).ready()).unwrap_err());
    let asked = Asked::remote();
    refused(ray::get(asked.takes.remote(lost(1))).unwrap_err());
    refused(ray::get(asked.returns.remote()).unwrap_err());
    let error = ray::get(returns_unwritable.remote()).unwrap_err();
    assert!(error.is_serialization() && error.to_string().contains("not serialisable"), "{error}");
    assert!(error.to_string().contains("returns_unwritable"), "the error names the task: {error}");
    let back = ray::get(forgets.remote(Forgets { kept: 1, forgotten: 2 })).unwrap();
    assert_eq!(back, Forgets { kept: 1, forgotten: 0 }, "the value that another process would receive");
}

/// Arguments, results and put values that do not survive serialisation are errors.
#[test]
fn values_that_do_not_survive_are_refused() {
    alone_with(&[("RAY_STRICT", "1")], || {
        refuses();
    });
}

#[test]
fn strict_mode_by_configuration() {
    in_child_with("strict::strict_mode_by_configuration", &[("RAY_STRICT", "")], || {
        crate::support::init_with(Config::new().strict(true)).unwrap();
        refuses();
    });
}

/// References and handles inside values keep their identity.
#[test]
fn references_survive() {
    in_child("strict::references_survive", || {
        crate::support::init_with(Config::new().strict(true)).unwrap();
        let gate = Gate::new();
        let inner = waits.remote(gate);
        let nested =
            Nested { refs: vec![inner.clone(), ray::put(2)], handle: Some(Asked::remote()), deep: Some(Box::new(inner.clone())) };
        let back = ray::get(hands_back.remote(ray::put(nested))).unwrap();
        assert_eq!(back.refs[0], inner);
        assert_eq!(*back.deep.unwrap(), inner);
        gate.open();
        assert_eq!(ray::get(back.refs).unwrap(), [1, 2]);
        ray::get(back.handle.unwrap().ready()).unwrap();
        let object = ray::put(inner.clone());
        drop(inner);
        assert_eq!(ray::get(ray::get(object).unwrap()).unwrap(), 1, "the stored reference keeps its object alive");
    });
}

#[derive(Clone, Serialize, Deserialize)]
struct Nested {
    refs: Vec<ObjectRef<i64>>,
    handle: Option<ray::ActorHandle<Asked>>,
    deep: Option<Box<ObjectRef<i64>>>,
}

#[remote]
fn waits(gate: Gate) -> i64 {
    gate.wait();
    1
}

#[remote]
fn hands_back(nested: Nested) -> Nested {
    nested
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Typed(i64);

impl fmt::Display for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "typed {}", self.0)
    }
}

#[remote]
fn fails_typed() -> Result<(), Typed> {
    Err(Typed(5))
}

#[remote]
fn fails_as_text() -> Result<(), fmt::Error> {
    Err(fmt::Error)
}

/// An error type with serde keeps its type, another becomes its text. Such functions and local ones are listed once each.
#[test]
fn unchecked_items_are_listed() {
    let said = in_child_with("strict::unchecked_items_are_listed", &[("RAY_STRICT", "1")], || {
        for _ in 0..3 {
            assert_eq!(ray::get(local.remote(lost(4))).unwrap(), lost(4), "values of local functions are not serialised");
            assert_eq!(ray::get(ray::put_local(lost(4))).unwrap(), lost(4));
            let error = ray::get(fails_typed.remote()).unwrap_err();
            assert_eq!(error.downcast_ref(), Some(&Typed(5)));
            let error = ray::get(fails_as_text.remote()).unwrap_err();
            assert!(error.is_task() && error.downcast_ref::<fmt::Error>().is_none());
            assert!(error.to_string().contains(&fmt::Error.to_string()), "{error}");
        }
    });
    let times = |text: &str| said.stderr.lines().filter(|line| line.contains("strict mode") && line.contains(text)).count();
    assert_eq!(times("it::strict::local"), 1, "{}", said.stderr);
    assert_eq!(times("it::strict::fails_as_text"), 1, "{}", said.stderr);
    assert_eq!(times("it::strict::fails_typed"), 0, "{}", said.stderr);
    assert!(said.stderr.contains("tests/it/strict.rs:"), "the list has the place: {}", said.stderr);
}

/// A reference cannot be serialised outside of the engine.
#[test]
fn a_reference_cannot_be_serialised_alone() {
    alone(|| {
        struct Shown(ObjectRef<i64>);
        impl fmt::Display for Shown {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // A formatter is one of serde's serializers.
                self.0.serialize(f)
            }
        }
        let mut text = String::new();
        assert!(fmt::Write::write_fmt(&mut text, format_args!("{}", Shown(ray::put(1)))).is_err());
        assert_eq!(text, "");
    });
}
