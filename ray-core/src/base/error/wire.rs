//! An error as bytes, for a caller in another process.
//!
//! The bytes are a list of frames in MessagePack: the error first, then its causes. The list is flat, so a long chain of
//! causes does not nest. The decoder limits the number of frames, links and causes.
//!
//! A user's value is encoded as its text and, if its type is serialisable, also as bytes. To decode these, the receiver must
//! know the type. It finds the type by the path of the function, method or constructor that returned the value, which need
//! not be the function that was called: the error may be that of an argument. A value whose type the receiver does not find
//! is replaced by its text, and the errors of its `source()` chain by theirs.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::base::error::conversion::ErrorCodec;
use crate::base::error::payload::{self, LONGEST_CHAIN, Payload};
use crate::base::error::{Error, ErrorKind, Inner, KEPT_LINKS, Link, What};
use crate::base::value::Blob;

/// An error as bytes.
#[derive(Clone, Debug, Default)]
pub struct EncodedError {
    /// The error and its causes in MessagePack.
    pub bytes: Vec<u8>,
}

/// A decoded value of a user's error type.
pub struct UserValue(pub(super) Arc<dyn Payload>);

impl fmt::Debug for UserValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserValue({})", self.0.type_name())
    }
}

/// A decoded error.
pub(crate) struct Arrived {
    pub(crate) error: Error,
    /// The name of the first type in the chain whose value was replaced by its text.
    pub(crate) lost: Option<String>,
}

/// The error and its causes: no more of them are shown.
const MOST_FRAMES: usize = LONGEST_CHAIN + 1;

type Frames = Few<Frame, MOST_FRAMES>;

/// An error without its cause.
#[derive(Serialize, Deserialize)]
struct Frame {
    told: Told,
    value: Option<Value>,
}

/// The part of an error that every process understands.
#[derive(Serialize, Deserialize)]
struct Told {
    kind: Kind,
    text: String,
    location: Option<Box<str>>,
    links: Few<SentLink, KEPT_LINKS>,
    elided: usize,
}

/// A user's value.
#[derive(Serialize, Deserialize)]
struct Value {
    /// The name of its type, for messages.
    name: String,
    /// The path of the function that returned it.
    origin: Option<String>,
    /// None if the type is not serialisable. Then the frames that follow are those of its `source()` chain.
    bytes: Option<Blob>,
    /// The causes if the bytes cannot be decoded and no frame follows.
    causes: Few<Told, LONGEST_CHAIN>,
}

#[derive(Serialize, Deserialize)]
struct SentLink {
    name: String,
    defined: Option<(String, u32)>,
}

impl Error {
    /// The error as bytes. A user's value that cannot be encoded is encoded as its text.
    #[doc(hidden)]
    #[must_use]
    pub fn encode(&self) -> EncodedError {
        let mut frames = Vec::new();
        let mut next = Some(self.clone());
        while let Some(error) = next.filter(|_| frames.len() < MOST_FRAMES) {
            let frame = Frame::of(&error);
            let typed = frame.value.as_ref().is_none_or(|value| value.bytes.is_some());
            next = error.0.cause.clone().or_else(|| if typed { None } else { error.causes_as_text() });
            frames.push(frame);
        }
        // It fails where no stack is left and the system refuses another one; no bytes are decoded as a damaged error.
        EncodedError { bytes: crate::base::value::encode(&Few::<_, MOST_FRAMES>(frames)).unwrap_or_default() }
    }

    /// The causes of the user's value, each as an error of ray's that has its text; an error of ray's among them is the last.
    /// Those of a value that has them in its text alone are one cause.
    fn causes_as_text(&self) -> Option<Error> {
        let mut causes = Vec::new();
        for cause in payload::chain(std::error::Error::source(self)) {
            if let Some(own) = cause.downcast_ref::<Error>() {
                causes.push(own.clone());
                break;
            }
            causes.push(Error::new(ErrorKind::Other, payload::shown(cause, false)));
        }
        causes.extend(self.causes_in_text().map(|text| Error::new(ErrorKind::Other, text)));
        causes.into_iter().rev().reduce(|cause, error| error.with_cause(cause))
    }
}

impl EncodedError {
    /// Decodes an error. `find` knows the codec of a function by its path; `codec` is that of a value without a path.
    pub(crate) fn decode_with(self, codec: Option<ErrorCodec>, find: impl Fn(&str) -> Option<ErrorCodec>) -> Arrived {
        let frames = match crate::base::value::decode::<Frames>(&self.bytes) {
            Ok(Few(frames)) => frames,
            Err(why) => return Arrived { error: damaged(&why), lost: None },
        };
        let mut lost = None;
        let mut cause = None;
        for Frame { told, value } in frames.into_iter().rev() {
            let mut error = told.into_error(cause.take());
            if let Some(value) = value {
                lost = value.put_into(&mut error, codec, &find).or(lost);
            }
            cause = Some(error);
        }
        Arrived { error: cause.unwrap_or_else(|| damaged(&"it is empty")), lost }
    }
}

fn damaged(why: &dyn fmt::Display) -> Error {
    Error::new(ErrorKind::Serialization, format!("a call failed, and the bytes of its error are damaged: {why}"))
}

impl Frame {
    fn of(error: &Error) -> Frame {
        Frame { told: Told::of(error), value: Value::of(error) }
    }
}

impl Told {
    fn of(error: &Error) -> Told {
        let Inner { kind, location, links, elided, .. } = &*error.0;
        let links = links.iter().map(|link| SentLink {
            name: (*link.name).to_owned(),
            defined: link.defined.as_ref().map(|(file, line)| (file.clone().into_owned(), *line)),
        });
        Told {
            kind: Kind(*kind),
            text: error.text().into_owned(),
            location: location.clone(),
            links: Few(links.collect()),
            elided: *elided,
        }
    }

    fn into_error(self, cause: Option<Error>) -> Error {
        let Told { kind: Kind(kind), text, location, links: Few(links), elided } = self;
        let links = links
            .into_iter()
            .map(|link| Link { name: link.name.into(), defined: link.defined.map(|(file, line)| (file.into(), line)) });
        let what = What::Message(text.into());
        Error(Arc::new(Inner { kind, what, location, links: links.collect(), elided, cause, origin: None }))
    }
}

impl Value {
    fn of(error: &Error) -> Option<Value> {
        let What::User(payload) = &error.0.what else { return None };
        let bytes = payload.encode().map(Blob);
        let mut causes = Vec::new();
        if bytes.is_some() && error.0.cause.is_none() {
            let mut next = error.causes_as_text();
            while let Some(cause) = next.filter(|_| causes.len() < LONGEST_CHAIN) {
                causes.push(Told::of(&cause));
                next = cause.0.cause.clone();
            }
        }
        let origin = error.0.origin.clone().map(std::borrow::Cow::into_owned);
        Some(Value { name: payload.type_name().to_owned(), origin, bytes, causes: Few(causes) })
    }

    /// Puts the value into an error that has its text. If that is not possible, gives the error the causes of the value, and
    /// returns the name of the value's type.
    fn put_into(
        self,
        error: &mut Error,
        codec: Option<ErrorCodec>,
        find: &impl Fn(&str) -> Option<ErrorCodec>,
    ) -> Option<String> {
        let Value { name, origin, bytes, causes: Few(causes) } = self;
        let codec = match &origin {
            Some(path) => find(path),
            None => codec,
        };
        let inner = error.inner_mut();
        if let (Some(Blob(bytes)), Some(ErrorCodec(decode))) = (bytes, codec)
            && let Some(UserValue(payload)) = decode(&bytes)
        {
            inner.what = What::User(payload);
            inner.origin = origin.map(Into::into);
            return None;
        }
        if inner.cause.is_none() {
            inner.cause = causes.into_iter().rev().fold(None, |cause, told| Some(told.into_error(cause)));
        }
        Some(name)
    }
}

/// A kind, by its name.
struct Kind(ErrorKind);

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let kind = ErrorKind::ALL.iter().find(|kind| kind.name() == name);
        kind.map(|kind| Kind(*kind)).ok_or_else(|| serde::de::Error::custom(format_args!("no kind of error is called `{name}`")))
    }
}

/// A list of at most `MOST` elements. A longer one is refused before its elements are in memory.
struct Few<T, const MOST: usize>(Vec<T>);

impl<T: Serialize, const MOST: usize> Serialize for Few<T, MOST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>, const MOST: usize> Deserialize<'de> for Few<T, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List<T, const MOST: usize>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
            type Value = Few<T, MOST>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {MOST} elements")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(element) = elements.next_element()? {
                    if list.len() == MOST {
                        return Err(serde::de::Error::invalid_length(MOST + 1, &self));
                    }
                    list.push(element);
                }
                Ok(Few(list))
            }
        }
        deserializer.deserialize_seq(List(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrived(error: &Error) -> Error {
        error.encode().decode_with(None, |_| None).error
    }

    #[test]
    fn every_kind_arrives_with_its_message_its_tasks_and_its_causes() {
        let mut whole = Error::panic("torn\nin two", Some("src/a.rs:1:2".into())).in_task("Counter.add", "src/a.rs", 1);
        for kind in ErrorKind::ALL {
            let error = Error::new(*kind, format!("it is {kind:?}")).in_task("f", "src/b.rs", 2).as_dependency_of("g");
            assert_eq!(kind.name(), format!("{kind:?}"));
            assert_eq!(arrived(&error).kind(), *kind);
            assert_eq!(format!("{:?}", arrived(&error)), format!("{error:?}"));
            whole = error.with_cause(whole);
        }
        let back = arrived(&whole);
        assert_eq!(format!("{back:?}"), format!("{whole:?}"));
        assert_eq!((back.to_string(), format!("{back:#}")), (whole.to_string(), format!("{whole:#}")));
        assert!(
            format!("{back:?}").ends_with("panicked at src/a.rs:1:2: torn\n    in two\n    in task `Counter.add` (src/a.rs:1)")
        );
    }

    #[test]
    fn a_long_way_and_a_long_chain_arrive_as_they_are_shown() {
        let deep = (0..10_000).fold(Error::user("deep"), |error, i| error.in_task(&format!("t{i}"), "src/a.rs", i));
        assert_eq!(format!("{:?}", arrived(&deep)), format!("{deep:?}"));
        let chain = (0..1_000).fold(deep, |cause, i| Error::other(i).with_cause(cause));
        assert_eq!(format!("{:?}", arrived(&chain)), format!("{chain:?}"));
    }

    fn refused(bytes: Vec<u8>) {
        let error = EncodedError { bytes }.decode_with(None, |_| None).error;
        assert!(error.is_serialization() && error.to_string().contains("the bytes of its error are damaged"), "{error}");
    }

    #[test]
    fn damaged_bytes_are_refused() {
        let bytes = Error::user("x").in_task("f", "src/a.rs", 1).with_cause(Error::other("y")).encode().bytes;
        (0..bytes.len()).for_each(|length| refused(bytes[..length].to_vec()));
        refused([&bytes[..], &[0]].concat());
        refused(vec![0x90]);
        refused(vec![0xdd, 0xff, 0xff, 0xff, 0xff]);
        refused(vec![0x91; 100_000]);
        refused([&[0xdc, 0, MOST_FRAMES as u8 + 1][..], &bytes[1..].repeat(MOST_FRAMES)].concat());
        let kind = bytes.windows(4).position(|bytes| bytes == b"Task").unwrap();
        refused([&bytes[..kind], b"Tusk", &bytes[kind + 4..]].concat());
    }

    #[test]
    fn more_links_than_are_kept_are_refused() {
        let mut error = Error::other("x");
        let link = Link { name: "f".into(), defined: None };
        error.inner_mut().links = vec![link; KEPT_LINKS + 1];
        refused(error.encode().bytes);
    }
}
