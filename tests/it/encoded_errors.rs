//! Errors as bytes: what a caller in another process gets when a body fails.

use std::error::Error as StdError;
use std::fmt;

use anyhow::Context as _;
use ray::__private::{EncodedArg, ErrorCodec, Function, FunctionCall, Instance, Registration};
use ray::{Error, ErrorKind, remote};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::codec::arg;
use crate::support::engine;

/// A serialisable error.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OutOfStock {
    item: u32,
}

impl fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "item {} is out of stock", self.item)
    }
}

/// A serialisable error with a source.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Refused {
    Closed,
    Empty(Cause),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Cause(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("refused")
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Cause {}

impl StdError for Refused {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Refused::Closed => None,
            Refused::Empty(cause) => Some(cause),
        }
    }
}

/// An error that is not serialisable.
#[derive(Debug)]
struct Plain(Cause);

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain\nin two lines")
    }
}

impl StdError for Plain {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0)
    }
}

#[remote]
fn buys(item: u32) -> Result<u32, OutOfStock> {
    if item == 0 { Err(OutOfStock { item }) } else { Ok(item) }
}

#[remote]
#[allow(dead_code, reason = "called by its path")]
async fn refuses(closed: bool) -> Result<(), Refused> {
    Err(if closed { Refused::Closed } else { Refused::Empty(Cause("the box is empty".into())) })
}

#[remote]
#[allow(dead_code, reason = "called by its path")]
fn is_plain() -> Result<(), Plain> {
    Err(Plain(Cause("the cause".into())))
}

#[remote]
fn ships(bought: u32) -> u32 {
    bought
}

#[remote]
fn orders(item: u32) -> ray::Result<u32> {
    ray::get(ships.remote(buys.remote(item)))
}

#[remote]
#[allow(dead_code, reason = "called by its path")]
fn orders_in_a_context(item: u32) -> anyhow::Result<u32> {
    ray::get(orders.remote(item)).context("the order of Monday")
}

#[remote]
fn goes_down(levels: u32) -> ray::Result<u32> {
    if levels == 0 { orders.call(0) } else { ray::get(goes_down.remote(levels - 1)) }
}

#[remote]
#[allow(dead_code, reason = "called by its path")]
fn panics(text: String) -> u8 {
    panic!("{text}")
}

#[remote]
#[allow(dead_code, reason = "called by its path")]
fn panics_with_an_error() -> u8 {
    std::panic::panic_any(ray::get(buys.remote(0)).unwrap_err())
}

#[remote]
struct Shop {
    open: bool,
}

#[remote]
impl Shop {
    pub fn new(open: Option<bool>) -> Result<Self, OutOfStock> {
        open.map(|open| Shop { open }).ok_or(OutOfStock { item: 77 })
    }
    pub fn sells(&mut self, item: u32) -> Result<u32, Refused> {
        if self.open { Ok(item) } else { Err(Refused::Closed) }
    }
    #[allow(dead_code, reason = "called from bytes")]
    pub async fn orders(&self, item: u32) -> Result<u32, OutOfStock> {
        Err(OutOfStock { item })
    }
    pub fn burns(&self) {
        panic!("fire")
    }
}

fn found(name: &str) -> &'static Registration {
    ray::__private::lookup(&format!("{}::{name}", module_path!())).unwrap()
}

fn invoked(name: &str, args: Vec<EncodedArg>) -> Error {
    found(name).invoke(args).unwrap_err()
}

fn shop(open: bool) -> Instance {
    found("Shop").construct(vec![arg(&Some(open))]).unwrap()
}

fn called(open: bool, method: &str, args: Vec<EncodedArg>) -> Error {
    found("Shop").method(method).unwrap().invoke(&shop(open), args).unwrap_err()
}

/// The error in another process. All texts of it must be equal.
#[track_caller]
fn sent(error: &Error) -> Error {
    let back = error.encode().decode(None);
    assert_eq!(back.kind(), error.kind());
    assert_eq!(back.to_string(), error.to_string());
    assert_eq!(format!("{back:#}"), format!("{error:#}"));
    assert_eq!(format!("{back:?}"), format!("{error:?}"));
    back
}

#[test]
fn a_value_with_serde_arrives_as_itself() {
    let error = invoked("buys", vec![arg(&0)]);
    let back = sent(&error);
    assert_eq!((back.downcast_ref(), back.kind()), (Some(&OutOfStock { item: 0 }), ErrorKind::Task));
    assert_eq!(back.to_string(), "task `buys` failed: item 0 is out of stock");
    assert!(format!("{back:?}").contains("in task `buys` (tests/it/encoded_errors.rs:"), "{back:?}");
    assert_eq!(sent(&back).downcast_ref(), Some(&OutOfStock { item: 0 }), "and from there to a third process");

    let closed = sent(&invoked("refuses", vec![arg(&true)]));
    assert_eq!(closed.find(), Some(&Refused::Closed));
    let empty = sent(&invoked("refuses", vec![arg(&false)]));
    assert!(empty.find::<Refused>().is_some());
    assert_eq!(empty.find(), Some(&Cause("the box is empty".into())), "the sources are part of the value");
    assert_eq!(empty.source().unwrap().to_string(), "the box is empty");
}

#[test]
fn a_value_without_serde_arrives_as_its_text_and_those_of_its_causes() {
    let error = invoked("is_plain", vec![]);
    assert!(error.find::<Plain>().is_some());
    let back = sent(&error);
    assert!(back.find::<Plain>().is_none() && back.find::<Cause>().is_none());
    assert_eq!(back.to_string(), "task `is_plain` failed: plain; in two lines");
    assert_eq!(back.source().unwrap().to_string(), "the cause");
}

#[test]
fn methods_and_constructors_have_codecs_of_their_own() {
    assert_eq!(sent(&called(false, "sells", vec![arg(&1)])).downcast_ref(), Some(&Refused::Closed));
    assert_eq!(sent(&called(true, "orders", vec![arg(&5)])).downcast_ref(), Some(&OutOfStock { item: 5 }));
    let error = found("Shop").construct(vec![arg(&None::<bool>)]).unwrap_err();
    let back = sent(&error);
    assert_eq!(back.to_string(), "task `Shop.new` failed: item 77 is out of stock");
    assert_eq!(back.downcast_ref(), Some(&OutOfStock { item: 77 }));
}

#[test]
fn panics_keep_their_place() {
    let back = sent(&invoked("panics", vec![arg(&"torn")]));
    assert!(back.is_panic() && back.to_string().starts_with("task `panics` panicked at tests/it/encoded_errors.rs:"), "{back}");
    assert!(sent(&called(true, "burns", vec![])).to_string().ends_with(": fire"));
    engine();
    let back = sent(&invoked("panics_with_an_error", vec![]));
    assert!(back.is_panic());
    assert_eq!(back.downcast_ref(), Some(&OutOfStock { item: 0 }), "the error that was raised is the cause");
}

/// The value is of the error type of another function than the one that was called.
#[test]
fn the_error_of_an_argument_keeps_its_value() {
    engine();
    let error = ray::get(ships.remote(buys.remote(0))).unwrap_err();
    assert_eq!(sent(&error).downcast_ref(), Some(&OutOfStock { item: 0 }));
    assert!(format!("{error:?}").contains("so task `ships`"), "{error:?}");
    for error in [invoked("orders", vec![arg(&0)]), ray::get(orders.remote(0)).unwrap_err()] {
        assert_eq!(sent(&error).downcast_ref(), Some(&OutOfStock { item: 0 }));
    }
    let named = ray::get(orders.remote(buys.options().name("a name of its own").remote(0))).unwrap_err();
    assert!(named.to_string().starts_with("task `a name of its own` failed"), "{named}");
    assert_eq!(sent(&named).downcast_ref(), Some(&OutOfStock { item: 0 }));
}

#[test]
fn an_error_in_an_error_keeps_its_value() {
    engine();
    let error = invoked("orders_in_a_context", vec![arg(&0)]);
    let back = sent(&error);
    assert_eq!(back.to_string(), "task `orders_in_a_context` failed: the order of Monday");
    assert!(back.downcast_ref::<anyhow::Error>().is_none());
    assert_eq!(back.downcast_ref(), Some(&OutOfStock { item: 0 }));
    assert_eq!(back.downcast_ref::<Error>().map(Error::kind), Some(ErrorKind::Task));
}

#[test]
fn nested_tasks_arrive_as_links() {
    engine();
    // Each level is a process of a cluster.
    for levels in crate::support::calls([2, 3], [3, 100]) {
        let back = sent(&ray::get(goes_down.remote(levels)).unwrap_err());
        assert_eq!(back.downcast_ref(), Some(&OutOfStock { item: 0 }));
        assert_eq!(format!("{back:?}").contains("more tasks .."), levels == 100);
    }
}

#[test]
fn errors_of_actors_keep_their_causes() {
    engine();
    let error = ray::get(Shop::remote(None).sells.remote(1)).unwrap_err();
    let back = sent(&error);
    assert!(back.is_actor_died());
    assert_eq!(back.downcast_ref(), Some(&OutOfStock { item: 77 }));
    let shop = Shop::remote(Some(false));
    assert_eq!(sent(&ray::get(shop.sells.remote(1)).unwrap_err()).downcast_ref(), Some(&Refused::Closed));
    drop(ray::get(shop.burns.remote()));
    let back = sent(&ray::get(shop.sells.remote(1)).unwrap_err());
    assert!(back.is_actor_died() && format!("{back:?}").contains("because: task `Shop.burns` panicked at tests/it/"), "{back:?}");
}

#[remote(local)]
fn stays(item: u32) -> Result<u32, OutOfStock> {
    Err(OutOfStock { item })
}

#[remote(local)]
fn generic<T>(value: T) -> Result<T, OutOfStock> {
    drop(value);
    Err(OutOfStock { item: 3 })
}

/// The error of a local function can leave the process when another function passes it on. Generic functions and closures are
/// not registered, so their values become text.
#[test]
fn values_of_local_functions() {
    engine();
    assert_eq!(sent(&ray::get(stays.remote(2)).unwrap_err()).downcast_ref(), Some(&OutOfStock { item: 2 }));
    let closure = ray::task(|| Err::<(), _>(Cause("in a closure".into()))).remote();
    for error in
        [ray::get(generic.remote(1u8)).unwrap_err(), ray::get(closure).unwrap_err(), Error::other(OutOfStock { item: 4 })]
    {
        let back = sent(&error);
        assert!(back.downcast_ref::<OutOfStock>().is_none() && back.find::<Cause>().is_none());
    }
    let error = Error::other(anyhow::Error::new(Plain(Cause("the cause".into()))).context("closed"));
    assert_eq!(format!("{:#}", sent(&error)), "closed: plain; in two lines: the cause");
}

fn call_of<F: Function>(_: F) -> FunctionCall<F::Args, F::Output> {
    F::CALL
}

fn error_of<F: Function>(_: F) -> Option<ErrorCodec> {
    F::ERROR
}

/// An error that has not left its function names no path: the codec of the function decodes it.
#[test]
fn the_codec_of_the_function_decodes_its_own_error() {
    let FunctionCall::Sync(body) = call_of(buys) else { panic!("it is not async") };
    let error = body((ray::__private::IntoArg::into_arg(0u32),)).unwrap_err();
    assert_eq!(error.encode().decode(error_of(buys)).downcast_ref(), Some(&OutOfStock { item: 0 }));
    for codec in [None, error_of(refuses), error_of(orders), error_of(ships)] {
        let back = error.encode().decode(codec);
        assert_eq!(back.to_string(), "item 0 is out of stock");
        assert!(back.downcast_ref::<OutOfStock>().is_none());
    }
    assert!(error_of(ships).is_none() && error_of(buys).is_some());
}

/// The misbehaviour of a serialisable error.
#[derive(Debug)]
struct Faulty(u8);

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(self.0 != 4, "no text");
        write!(f, "faulty in the way {}", self.0)
    }
}

impl StdError for Faulty {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&fmt::Error)
    }
}

impl Serialize for Faulty {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => Err(serde::ser::Error::custom("it does not go")),
            1 => panic!("it does not go at all"),
            way => serializer.serialize_u8(way),
        }
    }
}

impl<'de> Deserialize<'de> for Faulty {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            2 => Err(serde::de::Error::custom("it does not come")),
            3 => panic!("it does not come at all"),
            way => Ok(Faulty(way)),
        }
    }
}

#[remote]
#[allow(dead_code, reason = "called by its path")]
fn is_faulty(way: u8) -> Result<(), Faulty> {
    Err(Faulty(way))
}

#[test]
fn a_value_that_cannot_be_encoded_or_decoded_arrives_as_its_text() {
    for way in 0..6 {
        let back = sent(&invoked("is_faulty", vec![arg(&way)]));
        assert_eq!(back.find::<Faulty>().is_some(), way > 3, "{way}");
        assert_eq!(back.source().unwrap().to_string(), fmt::Error.to_string());
    }
}
