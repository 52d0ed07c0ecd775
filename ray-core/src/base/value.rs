//! Encodes values as MessagePack, with structs as maps so that a field may be added later. The only file that names rmp_serde.
//!
//! The embedded engine moves values and encodes none; strict mode does, and so does the engine for a cluster.

use std::any::type_name;
use std::{fmt, io};

use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use crate::base::error::{Error, ErrorKind, Result};

/// The deepest nesting of a value that is encoded or decoded, if the stack is large enough.
const MAX_DEPTH: usize = 1024;

/// The stack for the deepest value, in bytes: unoptimised code needs about four kilobytes for a level. Pages that are not touched
/// cost no memory.
const STACK: usize = 8 * 1024 * 1024;

/// Values are first encoded and decoded on the caller's stack if so many bytes of it are left, and may use half of them: mapping
/// another stack costs far more than such a value.
const SMALL_STACK: usize = 256 * 1024;

/// Encodes a value.
///
/// # Errors
/// [`ErrorKind::Serialization`] if the value's `Serialize` fails, or if the value is nested too deep.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    encode_from(value, || ())
}

/// As [`encode`]. Calls `begin` before the first byte, again if the value is encoded a second time on a larger stack.
///
/// # Errors
/// As [`encode`].
pub(crate) fn encode_from<T: Serialize + ?Sized>(value: &T, begin: impl Fn()) -> Result<Vec<u8>> {
    on_enough_stack(|bound| {
        begin();
        let mut bytes = Bounded { bytes: Vec::new(), bound };
        let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
        let ended = value.serialize(&mut serializer);
        let outcome = match ended {
            _ if bytes.bound.reached => Err(refused::<T>("encode", &TOO_DEEP)),
            Ok(()) => Ok(bytes.bytes),
            Err(why) => Err(refused::<T>("encode", &why)),
        };
        (outcome, bytes.bound)
    })
}

/// Decodes a value. The bytes must contain nothing else.
///
/// # Errors
/// [`ErrorKind::Serialization`] if the bytes encode another type, are too few or too many, or are nested deeper than 1024 levels
/// or than the stack allows.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    on_enough_stack(|bound| {
        let mut deserializer = rmp_serde::Deserializer::new(Bounded { bytes, bound });
        deserializer.set_max_depth(MAX_DEPTH);
        let ended = T::deserialize(&mut deserializer);
        let Bounded { bytes: rest, bound } = deserializer.into_inner();
        let outcome = match ended {
            _ if bound.reached => Err(refused::<T>("decode", &TOO_DEEP)),
            Err(rmp_serde::decode::Error::DepthLimitExceeded) => Err(refused::<T>("decode", &TOO_DEEP)),
            Ok(_) if !rest.is_empty() => Err(refused::<T>("decode", &"bytes follow the value")),
            Ok(value) => Ok(value),
            Err(why) => Err(refused::<T>("decode", &why)),
        };
        (outcome, bound)
    })
}

const TOO_DEEP: &str = "it is nested too deep: at most 1024 levels are allowed, fewer where a level needs much stack; send it in a flat form, such as a `Vec`";

fn refused<T: ?Sized>(verb: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Serialization, format!("cannot {verb} a `{}`: {why}", type_name::<T>()))
}

/// Runs user code that encodes or decodes. The caller may be deep in nested calls, and bytes from another process must not make
/// the decoder overflow the stack. So the work runs on the caller's stack within a bound; if it reaches the bound, it runs again
/// on a large stack of its own.
fn on_enough_stack<R>(work: impl Fn(Bound) -> (Result<R>, Bound)) -> Result<R> {
    let _inside = crate::base::users_code::call_user();
    if stacker::remaining_stack().is_some_and(|left| left >= SMALL_STACK) {
        let (outcome, bound) = work(Bound::below_here(SMALL_STACK / 2));
        if !bound.reached {
            return outcome;
        }
    }
    on_a_large_stack(&work)
}

#[cold]
fn on_a_large_stack<R>(work: impl Fn(Bound) -> (Result<R>, Bound)) -> Result<R> {
    stacker::maybe_grow(STACK, 2 * STACK, || work(Bound::below_here(STACK / 4 * 3)).0)
}

/// How much of the stack a value may use. The encoder and the decoder do not see the frames of user code, but they write or
/// read at every level, and check the bound there.
struct Bound {
    /// The bytes of stack that must be left at a check. User code runs in them between two checks.
    least: usize,
    reached: bool,
}

impl Bound {
    /// The next `most` bytes of the stack.
    fn below_here(most: usize) -> Self {
        Self { least: stack_left().saturating_sub(most), reached: false }
    }

    fn check(&mut self) -> io::Result<()> {
        if stack_left() >= self.least {
            return Ok(());
        }
        self.reached = true;
        Err(io::ErrorKind::Other.into())
    }
}

/// The bytes of stack that are left, by the stack pointer: AddressSanitizer keeps local variables elsewhere. `usize::MAX` where
/// `stacker` does not know the stack's end; it knows it on every system where it can grow a stack.
fn stack_left() -> usize {
    stacker::remaining_stack().unwrap_or(usize::MAX)
}

/// Bytes that were written or are still to be read, with the bound to check.
struct Bounded<B> {
    bytes: B,
    bound: Bound,
}

impl io::Write for Bounded<Vec<u8>> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bound.check()?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Read for Bounded<&[u8]> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.bound.check()?;
        self.bytes.read(into)
    }

    fn read_exact(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.bound.check()?;
        self.bytes.read_exact(into)
    }
}

/// Bytes as one piece, where serde would write a list of numbers.
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Piece;
        impl Visitor<'_> for Piece {
            type Value = Blob;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Blob, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip<T: Serialize + DeserializeOwned>(value: T) -> Result<T> {
        decode(&encode(&value)?)
    }

    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug, Default)]
    struct Nested {
        inner: Option<Box<Nested>>,
    }

    fn nested(levels: usize) -> Nested {
        (0..levels).fold(Nested::default(), |inner, _| Nested { inner: Some(Box::new(inner)) })
    }

    /// The error of encoding and decoding so many levels. A chain of boxes drops by recursion, which would overflow the stack here,
    /// so the chain is taken apart level by level.
    fn refusal(levels: usize, stack: usize) -> Error {
        let body = move || {
            let value = nested(levels);
            let outcome = encode(&value).and_then(|bytes| decode::<Nested>(&bytes));
            let mut next = value.inner;
            while let Some(mut level) = next {
                next = level.inner.take();
            }
            outcome.unwrap_err()
        };
        std::thread::Builder::new().stack_size(stack).spawn(body).unwrap().join().unwrap()
    }

    #[test]
    fn structs_are_maps_and_trailing_bytes_are_refused() {
        let bytes = encode(&nested(1)).unwrap();
        assert_eq!(bytes[..7], [0x81, 0xa5, b'i', b'n', b'n', b'e', b'r']);
        let error = decode::<Nested>(&[&bytes[..], &[0]].concat()).unwrap_err();
        assert!(error.is_serialization() && error.to_string().contains("Nested`: bytes follow"), "{error}");
        assert!(decode::<Nested>(&bytes[..3]).unwrap_err().is_serialization());
        assert_eq!(round_trip((7u8, "é".to_owned(), [1.5f32])).unwrap(), (7, "é".to_owned(), [1.5]));
    }

    /// A value that records the most stack that was left when it was written and when it was read.
    struct Probe;

    thread_local! {
        static MOST_LEFT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    impl Probe {
        fn note() {
            MOST_LEFT.set(MOST_LEFT.get().max(stack_left()));
        }
    }

    impl Serialize for Probe {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
            Probe::note();
            serializer.serialize_unit()
        }
    }

    impl<'de> serde::Deserialize<'de> for Probe {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
            Probe::note();
            <()>::deserialize(deserializer).map(|()| Probe)
        }
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    struct Probing {
        inner: Option<Box<Probing>>,
        probe: Probe,
    }

    /// Whether a value of so many levels is written and read on the stack of a thread that has much less than [`STACK`].
    fn stays_on_its_stack(levels: usize) -> bool {
        let body = move || {
            let left = stack_left();
            let probing = |inner, _| Some(Box::new(Probing { inner, probe: Probe }));
            round_trip((0..levels).fold(None, probing)).unwrap();
            MOST_LEFT.get() < left
        };
        std::thread::Builder::new().stack_size(STACK / 8).spawn(body).unwrap().join().unwrap()
    }

    #[test]
    fn ordinary_values_need_no_stack_of_their_own() {
        assert!([1, 2, 12].into_iter().all(stays_on_its_stack));
        assert!(!stays_on_its_stack(600));
    }

    #[test]
    fn values_of_every_shape_survive_a_round_trip() {
        let values = (
            (u8::MAX, u16::MAX, u32::MAX, u64::MAX, -1i8, i16::MIN, i32::MIN, i64::MIN),
            (1.5f32, 2.5f64, true, None::<u8>, ()),
            ("a".repeat(10), "a".repeat(200), "a".repeat(70_000)),
            vec![vec![7u8; 20]; 300],
            (0..70_000).map(|key| (key, key.to_string())).collect::<std::collections::BTreeMap<u32, String>>(),
        );
        assert_eq!(round_trip(values.clone()).unwrap(), values);
        assert!(decode::<Vec<u8>>(&[0xdd, 0xff, 0xff, 0xff, 0xff]).is_err() && decode::<()>(&[0xc1]).is_err());
    }

    /// Bytes that nest structs with large frames are refused before the stack overflows.
    #[test]
    fn levels_with_large_frames_are_refused() {
        #[derive(serde::Serialize, serde::Deserialize, Default, Debug)]
        struct Wide {
            filler: [[u64; 32]; 8],
            inner: Option<Box<Wide>>,
        }
        let wide = (0..20).fold(Wide::default(), |inner, _| Wide { inner: Some(Box::new(inner)), ..Wide::default() });
        assert!(round_trip(wide).is_ok());
        let (filler, bytes) = (encode(&Wide::default().filler).unwrap(), encode(&Wide::default()).unwrap());
        let level = [[0x82, 0xa6].as_slice(), b"filler", &filler, &[0xa5], b"inner"].concat();
        assert!(bytes.starts_with(&level));
        let bomb = [level.repeat(MAX_DEPTH - 24), bytes].concat();
        assert!(decode::<Wide>(&bomb).unwrap_err().to_string().contains(TOO_DEEP));
    }

    #[test]
    fn deep_values_survive_a_round_trip_from_any_stack() {
        for stack in [64 * 1024, 300 * 1024, 2 * 1024 * 1024] {
            let body = || assert_eq!(round_trip(nested(400)).unwrap(), nested(400));
            std::thread::Builder::new().stack_size(stack.max(128 * 1024)).spawn(body).unwrap().join().unwrap();
        }
    }

    #[test]
    fn values_that_are_too_deep_are_refused() {
        assert_eq!(round_trip(nested(400)).unwrap(), nested(400));
        for levels in [1_100, 200_000] {
            let refused = refusal(levels, 256 * 1024);
            assert!(refused.is_serialization() && refused.to_string().contains(TOO_DEEP), "{refused}");
        }
        let bomb = [[0x81, 0xa5].as_slice(), b"inner"].concat().repeat(1_000_000);
        assert!(decode::<Nested>(&bomb).unwrap_err().is_serialization());
    }
}
