//! Arguments and results as bytes, and the registry, which calls functions and methods on them.

use ray::__private::{
    Arg, Carried, CarriedObject, Codec, Encoded, EncodedArg, Function, IntoArg, IntoShared, ReferenceArg, Shared,
};
use ray::{ActorHandle, ErrorKind, ObjectRef, remote};
use serde::{Deserialize, Serialize};

use crate::support::{Gate, engine};

#[remote]
fn joins(text: String, numbers: &[i64], count: u8) -> String {
    format!("{text} {numbers:?} {count}")
}

#[remote]
fn square(x: i64) -> i64 {
    x * x
}

#[remote]
fn waits(gate: Gate) -> i64 {
    gate.wait();
    3
}

#[remote]
fn fails() -> Result<i64, String> {
    Err("no bread".into())
}

#[remote]
struct Idle;

#[remote]
impl Idle {
    pub fn new() -> Self {
        Idle
    }
    pub fn total(&self) -> i64 {
        0
    }
}

#[remote]
struct Other;

#[remote]
impl Other {
    pub fn new() -> Self {
        Other
    }
}

fn spec<F: Function>(_: F) -> &'static ray::__private::Spec {
    F::SPEC
}

fn codec<F: Function>(_: F) -> Codec<F::Args, F::Output> {
    F::CODEC.expect("it is not local")
}

fn encoded<F: Function>(function: F, args: F::Args) -> Vec<EncodedArg> {
    codec(function).encode_args(F::SPEC, &args).unwrap()
}

pub(crate) fn arg<T: Serialize>(value: &T) -> EncodedArg {
    Encoded::of(value).unwrap().into()
}

pub(crate) fn bytes(bytes: &[u8]) -> EncodedArg {
    Encoded::from(bytes.to_vec()).into()
}

fn value(arg: &EncodedArg) -> &Encoded {
    match arg {
        EncodedArg::Value(value) => value,
        EncodedArg::Reference(reference) => panic!("{reference:?} is no value"),
    }
}

fn reference(arg: &EncodedArg) -> &ReferenceArg {
    match arg {
        EncodedArg::Reference(reference) => reference,
        EncodedArg::Value(value) => panic!("{value:?} is no reference"),
    }
}

fn object<T: Serialize + Send + Sync + 'static>(object: &ObjectRef<T>) -> Carried {
    Carried::Object(CarriedObject::of(object))
}

#[test]
fn each_argument_and_the_result_are_encoded_and_decoded() {
    let args: (Arg<String>, Shared<[i64]>, Arg<u8>) =
        ("a".into_arg(), vec![1, 2].into_shared(), std::sync::Arc::new(7).into_arg());
    let encoded = encoded(joins, args);
    let all: Vec<&[u8]> = encoded.iter().map(|arg| value(arg).bytes.as_slice()).collect();
    assert_eq!(all, [&[0xa1, b'a'][..], &[0x92, 1, 2], &[7]]);
    let (text, numbers, count) = codec(joins).decode_args(spec(joins), encoded).unwrap();
    assert_eq!((text.take().as_str(), &*numbers, count.take()), ("a", &[1, 2][..], 7));

    let result = codec(joins).encode_result(spec(joins), &"b".to_owned()).unwrap();
    assert_eq!((result.bytes.as_slice(), result.carried.len()), (&[0xa1, b'b'][..], 0));
    assert_eq!(codec(joins).decode_result(spec(joins), result).unwrap(), "b");
    let error = codec(joins).decode_result(spec(joins), vec![0xc0].into()).unwrap_err();
    assert!(error.is_serialization() && error.to_string().contains("the result of `it::codec::joins`"), "{error}");
}

#[derive(Clone, Serialize, Deserialize)]
struct Nested {
    refs: Vec<ObjectRef<i64>>,
    text: ObjectRef<String>,
    idle: Option<ActorHandle<Idle>>,
    deep: Option<Box<Nested>>,
}

fn nested(deep: Option<Nested>) -> Nested {
    Nested {
        refs: vec![ray::put(1), ray::put(2)],
        text: ray::put("text".to_owned()),
        idle: Some(Idle::remote()),
        deep: deep.map(Box::new),
    }
}

#[test]
fn references_and_handles_inside_values_are_carried() {
    engine();
    let value = nested(Some(nested(None)));
    let encoded = Encoded::of(&value).unwrap();
    let expected = [object(&value.refs[0]), object(&value.refs[1]), object(&value.text)];
    assert_eq!(encoded.carried.len(), 8);
    for (carried, expected) in encoded.carried.iter().zip(&expected) {
        assert_eq!(format!("{carried:?}"), format!("{expected:?}"), "in the order in which they stand in the value");
    }
    assert!(matches!(encoded.carried[3], Carried::Actor(_)));
    drop(value);
    let back: Nested = encoded.decode().unwrap();
    assert_eq!(ray::get(&back.refs).unwrap(), [1, 2], "the encoded value has kept the objects");
    assert_eq!(ray::get(back.deep.unwrap().text).unwrap(), "text");
    assert_eq!(ray::get(back.idle.unwrap().total.remote()).unwrap(), 0, "and the actor");
}

/// A transport sends ids, and on the other side there are other objects.
#[test]
fn a_transport_gives_references_of_its_own() {
    engine();
    let mut encoded = Encoded::of(&vec![ray::put(1i64), ray::put(2)]).unwrap();
    encoded.carried = vec![object(&ray::put(3i64)), object(&square.remote(2))];
    let back: Vec<ObjectRef<i64>> = encoded.decode().unwrap();
    assert_eq!(ray::get(back).unwrap(), [3, 4]);
}

#[test]
fn a_reference_to_another_type_is_refused() {
    engine();
    let text = Encoded::of(&ray::put("text".to_owned())).unwrap();
    let refused = |error: ray::Error, words: &[&str]| {
        assert!(error.is_serialization(), "{error}");
        words.iter().for_each(|word| assert!(error.to_string().contains(word), "{word}: {error}"));
    };
    refused(text.clone().decode::<ObjectRef<i64>>().unwrap_err(), &["object of type `alloc::string::String`", "to a `i64`"]);
    refused(text.clone().decode::<ObjectRef<Vec<u8>>>().unwrap_err(), &["to a `alloc::vec::Vec<u8>`"]);
    assert!(text.clone().decode::<ObjectRef<String>>().is_ok());
    refused(text.decode::<ActorHandle<Idle>>().unwrap_err(), &["an ActorHandle can only be read where it was sent along"]);
    let handle = Encoded::of(&Other::remote()).unwrap();
    refused(handle.clone().decode::<ActorHandle<Idle>>().unwrap_err(), &["`it::codec::Other`", "`it::codec::Idle`"]);
    refused(handle.decode::<ObjectRef<i64>>().unwrap_err(), &["an ObjectRef can only be read where it was sent along"]);
    let mut missing = Encoded::of(&vec![ray::put(1i64), ray::put(2)]).unwrap();
    missing.carried.pop();
    refused(missing.decode::<Vec<ObjectRef<i64>>>().unwrap_err(), &["can only be read where it was sent along"]);
    refused(Encoded::from(vec![0]).decode::<ObjectRef<i64>>().unwrap_err(), &["can only be read"]);
}

/// All kinds of entries know the type of their object.
#[test]
fn objects_of_every_kind_know_their_type() {
    engine();
    #[remote(num_returns = 2)]
    fn parts() -> (i64, String) {
        (1, "one".into())
    }
    let (number, text) = parts.remote();
    let adopted = ObjectRef::from(std::sync::Arc::new(1i64));
    let numbers =
        vec![number, adopted, ray::put_local(1), square.remote(1), ray::task(|| 1).remote(), Idle::remote().total.remote()];
    for number in &numbers {
        let encoded = Encoded::of(number).unwrap();
        assert_eq!(&encoded.clone().decode::<ObjectRef<i64>>().unwrap(), number);
        assert!(encoded.clone().decode::<ObjectRef<u64>>().unwrap_err().is_serialization());
    }
    assert!(Encoded::of(&text).unwrap().decode::<ObjectRef<String>>().is_ok());
    assert!(Encoded::of(&text).unwrap().decode::<ObjectRef<i64>>().unwrap_err().is_serialization());
}

/// An awaited reference has given its value away.
#[test]
fn a_reference_that_was_awaited_is_carried_without_a_value() {
    engine();
    let mut sole = ray::put(1i64);
    assert_eq!(futures::executor::block_on(&mut sole).unwrap(), 1);
    let error = found("square").invoke(vec![EncodedArg::Reference(ReferenceArg::new(sole.any()))]).unwrap_err();
    assert!(error.is_invalid_argument() && error.to_string().contains("was taken by an await"), "{error}");
    let mut shared = ray::put(1i64);
    let other = shared.clone();
    assert_eq!(futures::executor::block_on(&mut shared).unwrap(), 1);
    for object in [sole, shared] {
        let back: ObjectRef<i64> = Encoded::of(&object).unwrap().decode().unwrap();
        assert_eq!(back, object);
        assert!(ray::get(back).unwrap_err().is_invalid_argument());
    }
    assert_eq!(ray::get(other).unwrap(), 1);
}

/// A deep value is encoded a second time, on a larger stack, and its references are carried once.
#[test]
fn the_references_of_a_deep_value_are_carried_once() {
    engine();
    #[derive(Serialize, Deserialize)]
    struct Level {
        object: ObjectRef<u32>,
        inner: Option<Box<Level>>,
    }
    let level = |inner: Option<Box<Level>>, number| Some(Box::new(Level { object: ray::put(number), inner }));
    let value = (0..300).fold(None, level);
    let encoded = Encoded::of(&value).unwrap();
    assert_eq!(encoded.carried.len(), 300);
    let back: Option<Box<Level>> = encoded.decode().unwrap();
    assert_eq!(ray::get(back.unwrap().object).unwrap(), 299);
}

/// A value whose `Serialize` encodes another value.
#[test]
fn encodes_may_nest() {
    engine();
    struct Packed(ObjectRef<i64>);
    impl Serialize for Packed {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let inner = Encoded::of(&self.0).map_err(serde::ser::Error::custom)?;
            assert_eq!(inner.carried.len(), 1);
            assert_eq!(inner.decode::<ObjectRef<i64>>().map_err(serde::ser::Error::custom)?, self.0);
            self.0.serialize(serializer)
        }
    }
    let (first, second) = (ray::put(1i64), ray::put(2i64));
    let encoded = Encoded::of(&(&first, Packed(second.clone()), &first)).unwrap();
    assert_eq!(encoded.carried.len(), 3);
    let back: (ObjectRef<i64>, ObjectRef<i64>, ObjectRef<i64>) = encoded.decode().unwrap();
    assert_eq!(back, (first.clone(), second, first));
}

#[test]
fn a_reference_as_an_argument_is_encoded_as_that_reference() {
    engine();
    let gate = Gate::new();
    let later = waits.remote(gate);
    let args = encoded(square, ((&later).into_arg(),));
    let given = reference(&args[0]);
    assert_eq!(given.objects(), [later.any()]);
    let error = given.encode_value().unwrap_err();
    assert!(error.is_invalid_argument() && error.to_string().contains("is not ready"), "{error}");
    assert!(codec(square).decode_args(spec(square), args.clone()).unwrap_err().is_invalid_argument());
    gate.open();
    ray::get(&later).unwrap();
    assert_eq!(given.encode_value().unwrap().bytes, [3]);
    let (x,) = codec(square).decode_args(spec(square), args).unwrap();
    assert_eq!(x.take(), 3);
    assert_eq!(ray::get(later).unwrap(), 3, "its own reference has the value still");
}

#[test]
fn an_executor_gives_a_reference_that_it_made() {
    engine();
    // On a cluster a value comes to this process when it is asked for.
    let numbers = ray::put(vec![1i64, 2]);
    assert_eq!(*numbers.view().unwrap(), [1, 2]);
    let args = || vec![arg(&"a"), EncodedArg::Reference(ReferenceArg::new(numbers.any())), arg(&1)];
    let (_, shared, _) = codec(joins).decode_args(spec(joins), args()).unwrap();
    assert!(std::ptr::eq(&*shared, numbers.view().unwrap().as_slice()), "a parameter `&T` reads the object in place");
    let found = ray::__private::lookup("it::codec::joins").unwrap();
    assert_eq!(found.invoke(args()).unwrap().decode::<String>().unwrap(), "a [1, 2] 1");
    let given = |object| vec![EncodedArg::Reference(ReferenceArg::new(object))];
    let entry = ray::__private::lookup("it::codec::square").unwrap();
    let five = ray::put(5i64);
    assert_eq!(*five.view().unwrap(), 5);
    assert_eq!(entry.invoke(given(five.any())).unwrap().bytes, [25]);
    let text = ray::put("text".to_owned());
    assert_eq!(*text.view().unwrap(), "text");
    let error = entry.invoke(given(text.any())).unwrap_err();
    assert!(error.is_serialization() && error.to_string().contains("argument 1 of `it::codec::square`"), "{error}");
    let failed = fails.remote();
    assert!(ray::get(&failed).is_err());
    let error = entry.invoke(given(failed.any())).unwrap_err();
    assert!(error.is_task() && error.to_string().contains("no bread"), "{error}");
    assert!(ReferenceArg::new(failed.any()).encode_value().unwrap_err().is_invalid_argument());
}

#[test]
fn references_in_place_of_a_vector_are_one_argument() {
    engine();
    let numbers = vec![square.remote(1), square.remote(2)];
    let args = encoded(joins, ("a".into_arg(), (&numbers).into_shared(), 1.into_arg()));
    assert_eq!(reference(&args[1]).objects(), [numbers[0].any(), numbers[1].any()]);
    ray::get(&numbers).unwrap();
    assert_eq!(reference(&args[1]).encode_value().unwrap().bytes, [0x92, 1, 4]);
    let (_, shared, _) = codec(joins).decode_args(spec(joins), args).unwrap();
    assert_eq!(*shared, [1, 4]);
}

#[remote]
#[allow(dead_code, reason = "called by its path")]
async fn says_later(x: u8) -> String {
    ready_soon().await;
    format!("later {x}")
}

/// Pending once.
pub(crate) async fn ready_soon() {
    let mut polled = false;
    std::future::poll_fn(|context| {
        context.waker().wake_by_ref();
        if std::mem::replace(&mut polled, true) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[remote(num_returns = 2)]
#[allow(dead_code, reason = "called by its path")]
fn divides(x: u32, y: u32) -> Result<(u32, u32), String> {
    let quotient = x.checked_div(y).ok_or("by zero")?;
    Ok((quotient, x % y))
}

#[remote(local)]
#[allow(dead_code, reason = "called by its path")]
fn stays(x: u8) -> u8 {
    x
}

fn found(name: &str) -> &'static ray::__private::Registration {
    ray::__private::lookup(&format!("{}::{name}", module_path!())).unwrap()
}

#[test]
fn functions_are_invoked_from_bytes() {
    let result = found("square").invoke(vec![bytes(&[7])]).unwrap();
    assert_eq!((result.bytes.as_slice(), result.carried.len()), (&[49][..], 0));
    assert!(!found("square").is_async() && found("says_later").is_async());
    assert_eq!(found("says_later").invoke(vec![arg(&7)]).unwrap().decode::<String>().unwrap(), "later 7");
    let both = found("divides").invoke(vec![arg(&7), arg(&2)]).unwrap();
    assert_eq!(both.decode::<(u32, u32)>().unwrap(), (3, 1), "several returns are one result");
    let error = found("divides").invoke(vec![arg(&7), arg(&0)]).unwrap_err();
    assert!(error.is_task() && error.to_string() == "task `divides` failed: by zero", "{error}");
    assert!(format!("{error:?}").contains("tests/it/codec.rs:"), "{error:?}");
}

#[test]
fn what_does_not_fit_a_function_is_refused() {
    let refused = |error: ray::Error, kind: ErrorKind, words: &[&str]| {
        assert_eq!(error.kind(), kind, "{error}");
        words.iter().for_each(|word| assert!(error.to_string().contains(word), "{word}: {error}"));
    };
    let entry = found("square");
    let words = ["`it::codec::square` (tests/it/codec.rs:", "takes 1 argument(s), and 0 are given: give"];
    refused(entry.invoke(vec![]).unwrap_err(), ErrorKind::InvalidArgument, &words);
    refused(entry.invoke(vec![arg(&1), arg(&1)]).unwrap_err(), ErrorKind::InvalidArgument, &["and 2 are given"]);
    refused(
        entry.invoke(vec![bytes(&[0xc0])]).unwrap_err(),
        ErrorKind::Serialization,
        &["argument 1 of `it::codec::square`", "`i64`"],
    );
    refused(entry.invoke(vec![bytes(&[])]).unwrap_err(), ErrorKind::Serialization, &["argument 1 of"]);
    let error = found("divides").invoke(vec![arg(&1), arg(&-1)]).unwrap_err();
    refused(error, ErrorKind::Serialization, &["argument 2 of `it::codec::divides`", "`u32`"]);
    refused(found("stays").invoke(vec![arg(&1)]).unwrap_err(), ErrorKind::InvalidArgument, &["`it::codec::stays`", "local"]);
    refused(found("Idle").invoke(vec![]).unwrap_err(), ErrorKind::InvalidArgument, &["`it::codec::Idle`", "actor class"]);
    refused(entry.construct(vec![arg(&1)]).unwrap_err(), ErrorKind::InvalidArgument, &["`it::codec::square`", "function"]);
    refused(found("Idle").method("none").unwrap_err(), ErrorKind::InvalidArgument, &["`none`", "`total`"]);
}

#[remote]
#[allow(dead_code, reason = "called by its path")]
fn panics(fine: bool) -> u8 {
    assert!(fine, "torn");
    0
}

#[remote]
#[allow(dead_code, reason = "called by its path")]
async fn panics_later() -> u8 {
    ready_soon().await;
    panic!("torn later")
}

#[test]
fn a_panic_of_a_function_is_an_error_with_its_place() {
    let line = line!() - 13;
    let error = found("panics").invoke(vec![arg(&false)]).unwrap_err();
    assert!(error.is_panic(), "{error}");
    assert_eq!(error.to_string(), format!("task `panics` panicked at tests/it/codec.rs:{line}:5: torn"));
    let error = found("panics_later").invoke(vec![]).unwrap_err();
    assert!(error.is_panic() && error.to_string().contains("tests/it/codec.rs:"), "{error}");
}
