//! Values as bytes: MessagePack, structs as maps, so that a field may be added. The only file that names rmp_serde.
//!
//! The embedded engine moves values and encodes none; strict mode and the cluster do.

use std::any::type_name;
use std::io;

use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned, IgnoredAny};

use crate::error::{Error, ErrorKind, Result};

/// Levels that a value may be nested to, in and out: what the decoder allows on its own, and what two megabytes of stack bear.
const DEEPEST: usize = 1024;

/// Stack for the deepest value, in unoptimised code with large frames too.
const STACK: usize = 2 * 1024 * 1024;

/// Values nested to so many levels at most are decoded on the caller's stack, if [`ENOUGH`] is left of it: to map another one
/// costs far more than such a value.
const ORDINARY: usize = 32;

/// Stack that an ordinary value needs at most.
const ENOUGH: usize = 256 * 1024;

/// The bytes of a value.
///
/// # Errors
/// [`ErrorKind::Serialization`] if the value's `Serialize` fails, or it is nested too deep.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let _inside = crate::unwind::call_user();
    if has_enough() {
        // What is nested too deep for this is encoded again, on a stack of its own.
        let (outcome, too_deep) = encode_within(value, ENOUGH / 2);
        if !too_deep {
            return outcome;
        }
    }
    on_a_large_stack(|| encode_within(value, STACK / 4 * 3).0)
}

/// Encodes with so much stack at most; `true` with it: that was too little.
fn encode_within<T: Serialize + ?Sized>(value: &T, most: usize) -> (Result<Vec<u8>>, bool) {
    let mut bytes = Bounded { written: Vec::new(), start: stack_address(), most, too_deep: false };
    let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
    let ended = value.serialize(&mut serializer);
    let outcome = match ended {
        _ if bytes.too_deep => Err(refused::<T>("encode", &"it is nested too deep")),
        Ok(()) => Ok(bytes.written),
        Err(why) => Err(refused::<T>("encode", &why)),
    };
    (outcome, bytes.too_deep)
}

/// The value of its bytes, all of them.
///
/// # Errors
/// [`ErrorKind::Serialization`] if they are those of another type, too few, too many, or nested deeper than 1024 levels.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let _inside = crate::unwind::call_user();
    let decode = || {
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        deserializer.set_max_depth(DEEPEST);
        let value = T::deserialize(&mut deserializer).map_err(|why| refused::<T>("decode", &why))?;
        // The rest of the slice cannot be asked for; that there is not even a first byte of another value says that it is empty.
        match IgnoredAny::deserialize(&mut deserializer) {
            Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
            _ => Err(refused::<T>("decode", &"bytes follow the value")),
        }
    };
    if has_enough() && is_ordinary(bytes) { decode() } else { on_a_large_stack(decode) }
}

/// Whether the value that the bytes begin with is nested to [`ORDINARY`] levels at most. Of bytes that are no MessagePack: as
/// far as they can be read, which is as far as the decoder gets.
fn is_ordinary(bytes: &[u8]) -> bool {
    /// A number of so many bytes; none if they end before it does.
    fn number(bytes: &mut &[u8], size: usize) -> Option<usize> {
        let (head, rest) = bytes.split_at_checked(size)?;
        *bytes = rest;
        Some(head.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
    /// The values that one stands before: skips what it holds itself.
    fn inner(bytes: &mut &[u8]) -> Option<usize> {
        let (skipped, inner) = match number(bytes, 1)? {
            marker @ 0x80..=0x8f => (0, 2 * (marker & 0xf)),
            marker @ 0x90..=0x9f => (0, marker & 0xf),
            marker @ 0xa0..=0xbf => (marker & 0x1f, 0),
            marker @ 0xc4..=0xc6 => (number(bytes, 1 << (marker - 0xc4))?, 0),
            marker @ 0xc7..=0xc9 => (1 + number(bytes, 1 << (marker - 0xc7))?, 0),
            marker @ (0xca | 0xcb) => (4 << (marker - 0xca), 0),
            marker @ 0xcc..=0xcf => (1 << (marker - 0xcc), 0),
            marker @ 0xd0..=0xd3 => (1 << (marker - 0xd0), 0),
            marker @ 0xd4..=0xd8 => (1 + (1 << (marker - 0xd4)), 0),
            marker @ 0xd9..=0xdb => (number(bytes, 1 << (marker - 0xd9))?, 0),
            marker @ (0xdc | 0xdd) => (0, number(bytes, 2 << (marker - 0xdc))?),
            marker @ (0xde | 0xdf) => (0, number(bytes, 2 << (marker - 0xde))?.saturating_mul(2)),
            _ => (0, 0),
        };
        *bytes = bytes.get(skipped..)?;
        Some(inner)
    }
    let mut rest = bytes;
    // Values that are still to come, on each level.
    let mut open = [0usize; ORDINARY + 1];
    let mut depth = 0;
    open[0] = 1;
    loop {
        while open[depth] == 0 {
            if depth == 0 {
                return true;
            }
            depth -= 1;
        }
        open[depth] -= 1;
        match inner(&mut rest) {
            None => return true,
            Some(0) => {}
            Some(_) if depth == ORDINARY => return false,
            Some(inner) => {
                depth += 1;
                open[depth] = inner;
            }
        }
    }
}

/// The value as another process would see it.
///
/// # Errors
/// As [`encode`] and [`decode`].
pub(crate) fn round_trip<T: Serialize + DeserializeOwned>(value: T) -> Result<T> {
    decode(&encode(&value)?)
}

fn refused<T: ?Sized>(verb: &str, why: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::Serialization, format!("cannot {verb} a `{}`: {why}", type_name::<T>()))
}

/// The caller may stand deep in nested calls.
fn has_enough() -> bool {
    stacker::remaining_stack().is_some_and(|left| left >= ENOUGH)
}

/// What bytes from elsewhere make the decoder do must not end the process.
#[cold]
fn on_a_large_stack<R>(body: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(STACK, 2 * STACK, body)
}

/// Bytes that end when the stack is used up: the encoder counts no levels, but it writes at every one.
struct Bounded {
    written: Vec<u8>,
    start: usize,
    /// The bytes of stack that one value may use. The rest is for the code of a user's `Serialize` between two writes.
    most: usize,
    too_deep: bool,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.start.abs_diff(stack_address()) > self.most {
            self.too_deep = true;
            return Err(io::ErrorKind::Other.into());
        }
        self.written.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where on its stack the thread stands, to within a frame.
#[inline(always)]
fn stack_address() -> usize {
    let here = 0u8;
    &raw const here as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug, Default)]
    struct Nested {
        inner: Option<Box<Nested>>,
    }

    fn nested(levels: usize) -> Nested {
        (0..levels).fold(Nested::default(), |inner, _| Nested { inner: Some(Box::new(inner)) })
    }

    /// A chain of boxes drops by recursion: what is too deep to drop is leaked.
    fn refused_and_leaked(levels: usize, stack: usize) -> Error {
        let body = move || {
            let value = nested(levels);
            let outcome = encode(&value).and_then(|bytes| decode::<Nested>(&bytes));
            std::mem::forget(value);
            outcome.unwrap_err()
        };
        std::thread::Builder::new().stack_size(stack).spawn(body).unwrap().join().unwrap()
    }

    #[test]
    fn structs_are_maps_and_nothing_may_follow() {
        let bytes = encode(&nested(1)).unwrap();
        assert_eq!(bytes[..7], [0x81, 0xa5, b'i', b'n', b'n', b'e', b'r']);
        let error = decode::<Nested>(&[&bytes[..], &[0]].concat()).unwrap_err();
        assert!(error.is_serialization() && error.to_string().contains("Nested`: bytes follow"), "{error}");
        assert!(decode::<Nested>(&bytes[..3]).unwrap_err().is_serialization());
        assert_eq!(round_trip((7u8, "é".to_owned(), [1.5f32])).unwrap(), (7, "é".to_owned(), [1.5]));
    }

    #[test]
    fn ordinary_values_need_no_stack_of_their_own() {
        for levels in [0, 1, ORDINARY - 1] {
            let bytes = encode(&nested(levels)).unwrap();
            assert!(is_ordinary(&bytes), "{levels}");
        }
        assert!(!is_ordinary(&encode(&nested(ORDINARY)).unwrap()));
        let values = (
            (u8::MAX, u16::MAX, u32::MAX, u64::MAX, -1i8, i16::MIN, i32::MIN, i64::MIN),
            (1.5f32, 2.5f64, true, None::<u8>, ()),
            ("a".repeat(10), "a".repeat(200), "a".repeat(70_000)),
            vec![vec![7u8; 20]; 300],
            (0..70_000).map(|key| (key, key.to_string())).collect::<std::collections::BTreeMap<u32, String>>(),
        );
        let bytes = encode(&values).unwrap();
        assert!(is_ordinary(&bytes));
        assert_eq!(decode::<std::collections::BTreeMap<u32, String>>(&encode(&values.4).unwrap()).unwrap(), values.4);
        // The scan agrees with the decoder about where each value ends: deep ones behind others are seen.
        let behind = encode(&(values, nested(ORDINARY))).unwrap();
        assert!(!is_ordinary(&behind));
        for cut in [0, 1, 5, bytes.len() - 1] {
            is_ordinary(&bytes[..cut]);
        }
        assert!(is_ordinary(&[0xdd, 0xff, 0xff, 0xff, 0xff]) && is_ordinary(&[0xc1]));
    }

    #[test]
    fn deep_values_travel_from_any_stack() {
        for stack in [64 * 1024, 300 * 1024, 2 * 1024 * 1024] {
            let travel = || assert_eq!(round_trip(nested(400)).unwrap(), nested(400));
            std::thread::Builder::new().stack_size(stack.max(128 * 1024)).spawn(travel).unwrap().join().unwrap();
        }
    }

    #[test]
    fn depth_is_refused_and_never_overflows() {
        assert_eq!(round_trip(nested(400)).unwrap(), nested(400));
        for levels in [1_100, 200_000] {
            assert!(refused_and_leaked(levels, 256 * 1024).is_serialization());
        }
        let bomb = [[0x81, 0xa5].as_slice(), b"inner"].concat().repeat(1_000_000);
        assert!(decode::<Nested>(&bomb).unwrap_err().is_serialization());
    }
}
