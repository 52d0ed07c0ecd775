//! A value whose type only its sender and its receiver know.
//!
//! An actor class that is not generic keeps such values for generic callers, for example the items of a queue. Within the process
//! the value is moved; on the way to another process it is bytes, which only the receiver decodes.

use std::any::{Any, type_name};
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde::ser::{Error as _, Serialize, Serializer};

use crate::base::error::{Error, ErrorKind, Result};
use crate::base::value::Blob;
use crate::object::carried::{self, Carried};
use crate::object::encoded::Encoded;

/// A value without its type. Clones share the value.
#[derive(Clone)]
pub struct AnyValue(Content);

type Value = Arc<dyn Any + Send + Sync>;

#[derive(Clone)]
enum Content {
    Value { value: Value, encode: fn(&(dyn Any + Send + Sync)) -> Result<Encoded>, name: &'static str },
    Encoded(Arc<Encoded>),
}

impl AnyValue {
    /// Erases the type of a value.
    #[must_use]
    pub fn new<T: Serialize + Send + Sync + 'static>(value: T) -> Self {
        let encode = |value: &(dyn Any + Send + Sync)| Encoded::of(value.downcast_ref::<T>().expect("it was made of a `T`"));
        Self(Content::Value { value: Arc::new(value), encode, name: type_name::<T>() })
    }

    /// The value with its type again. It is moved out; if a clone shares it, it is encoded and decoded.
    ///
    /// # Errors
    /// `Serialization`: the value has another type, or cannot be encoded or decoded.
    pub fn typed<T: DeserializeOwned + Send + Sync + 'static>(self) -> Result<T> {
        match self.0 {
            Content::Value { value, encode, name } => match value.downcast::<T>().map(Arc::try_unwrap) {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(shared)) => encode(&*shared)?.decode(),
                Err(_) => Err(Error::new(
                    ErrorKind::Serialization,
                    format!(
                        "the value is a `{name}`, and a `{}` is expected: use the type with which it was sent",
                        type_name::<T>()
                    ),
                )),
            },
            Content::Encoded(encoded) => Arc::unwrap_or_clone(encoded).decode(),
        }
    }
}

impl AnyValue {
    /// The value as bytes.
    ///
    /// # Errors
    /// `Serialization`.
    pub fn encoded(self) -> Result<Encoded> {
        match self.0 {
            Content::Value { value, encode, .. } => encode(&*value),
            Content::Encoded(encoded) => Ok(Arc::unwrap_or_clone(encoded)),
        }
    }
}

impl From<Encoded> for AnyValue {
    fn from(encoded: Encoded) -> Self {
        Self(Content::Encoded(Arc::new(encoded)))
    }
}

impl fmt::Debug for AnyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Content::Value { name, .. } => write!(f, "AnyValue({name})"),
            Content::Encoded(encoded) => write!(f, "AnyValue({} bytes)", encoded.bytes.len()),
        }
    }
}

impl Serialize for AnyValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let made;
        let encoded = match &self.0 {
            Content::Value { value, encode, .. } => {
                made = encode(&**value).map_err(S::Error::custom)?;
                &made
            }
            Content::Encoded(encoded) => encoded,
        };
        (Bytes(&encoded.bytes), &encoded.carried).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AnyValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (Blob(bytes), carried) = Deserialize::deserialize(deserializer)?;
        Ok(Self(Content::Encoded(Arc::new(Encoded { bytes, carried }))))
    }
}

/// The references of an encoded value move from its table into that of the value around it.
impl Serialize for Carried {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        carried::send(self.clone(), "a reference", serializer)
    }
}

impl<'de> Deserialize<'de> for Carried {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        carried::receive("a reference", deserializer, |carried| Some(Ok(carried.clone())))
    }
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_moved_within_the_process() {
        let text = "a text".to_owned();
        let place = text.as_ptr();
        let moved = AnyValue::new(text).typed::<String>().unwrap();
        assert_eq!(moved.as_ptr(), place);
    }

    #[test]
    fn a_shared_value_is_copied() {
        let value = AnyValue::new(vec![1, 2, 3]);
        let clone = value.clone();
        assert_eq!(value.typed::<Vec<i32>>().unwrap(), [1, 2, 3]);
        assert_eq!(clone.typed::<Vec<i32>>().unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_value_inside_a_value_survives_encoding() {
        let outer = (7, AnyValue::new(vec!["a".to_owned()]), "end".to_owned());
        for _ in 0..2 {
            let (seven, inner, end): (i32, AnyValue, String) = Encoded::of(&outer).unwrap().decode().unwrap();
            let again: AnyValue = Encoded::of(&inner).unwrap().decode().unwrap();
            assert_eq!((seven, end.as_str()), (7, "end"));
            assert_eq!(again.typed::<Vec<String>>().unwrap(), ["a"]);
        }
    }

    #[test]
    fn another_type_is_refused() {
        let error = AnyValue::new(1_u8).typed::<String>().unwrap_err();
        assert!(error.is_serialization() && error.to_string().contains("`u8`"), "{error}");
        let encoded: AnyValue = Encoded::of(&AnyValue::new(1_u8)).unwrap().decode().unwrap();
        assert!(encoded.typed::<String>().unwrap_err().is_serialization());
    }
}
