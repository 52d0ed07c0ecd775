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

/// The bytes of a value.
///
/// # Errors
/// [`ErrorKind::Serialization`] if the value's `Serialize` fails, or it is nested too deep.
pub(crate) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    with_stack(|| {
        let mut bytes = Bounded::default();
        let mut serializer = rmp_serde::Serializer::new(&mut bytes).with_struct_map();
        match value.serialize(&mut serializer) {
            Ok(()) => Ok(bytes.written),
            Err(_) if bytes.too_deep => Err(refused::<T>("encode", &"it is nested too deep")),
            Err(why) => Err(refused::<T>("encode", &why)),
        }
    })
}

/// The value of its bytes, all of them.
///
/// # Errors
/// [`ErrorKind::Serialization`] if they are those of another type, too few, too many, or nested deeper than 1024 levels.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    with_stack(|| {
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        deserializer.set_max_depth(DEEPEST);
        let value = T::deserialize(&mut deserializer).map_err(|why| refused::<T>("decode", &why))?;
        // The rest of the slice cannot be asked for; that there is not even a first byte of another value says that it is empty.
        match IgnoredAny::deserialize(&mut deserializer) {
            Err(rmp_serde::decode::Error::InvalidMarkerRead(_)) => Ok(value),
            _ => Err(refused::<T>("decode", &"bytes follow the value")),
        }
    })
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

/// The caller may stand deep in nested calls; what bytes from elsewhere make the decoder do must not end the process.
fn with_stack<R>(body: impl FnOnce() -> R) -> R {
    let _inside = crate::unwind::call_user();
    stacker::maybe_grow(STACK, 2 * STACK, body)
}

/// Bytes that end when the stack is used up: the encoder counts no levels, but it writes at every one.
struct Bounded {
    written: Vec<u8>,
    start: usize,
    too_deep: bool,
}

impl Default for Bounded {
    fn default() -> Self {
        Bounded { written: Vec::new(), start: stack_address(), too_deep: false }
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes).map(|()| bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A quarter is left for what a user's `Serialize` does between two writes.
        if self.start.abs_diff(stack_address()) > STACK / 4 * 3 {
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
    fn depth_is_refused_and_never_overflows() {
        assert_eq!(round_trip(nested(400)).unwrap(), nested(400));
        for levels in [1_100, 200_000] {
            assert!(refused_and_leaked(levels, 256 * 1024).is_serialization());
        }
        let bomb = [[0x81, 0xa5].as_slice(), b"inner"].concat().repeat(1_000_000);
        assert!(decode::<Nested>(&bomb).unwrap_err().is_serialization());
    }
}
