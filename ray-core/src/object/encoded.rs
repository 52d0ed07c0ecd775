//! A value as bytes, with the references and handles inside it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::error::Result;
use crate::object::carried::{self, Carried};

/// An encoded value.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// The value in MessagePack. A reference or handle in it is a number, its place in `carried`.
    pub bytes: Vec<u8>,
    /// The references and handles inside the value, in order.
    pub carried: Vec<Carried>,
}

impl Encoded {
    /// Encodes a value.
    ///
    /// # Errors
    /// `Serialization`, with the name of the type.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        let (bytes, carried) = carried::collect(|| crate::base::value::encode_from(value, carried::start_over));
        Ok(Self { bytes: bytes?, carried })
    }

    /// Decodes a value.
    ///
    /// # Errors
    /// `Serialization`, with the name of the type, if the bytes encode another type, or if `carried` does not have the references
    /// and handles that the type needs.
    pub fn decode<T: DeserializeOwned>(self) -> Result<T> {
        let Self { bytes, carried } = self;
        carried::provide(carried, || crate::base::value::decode(&bytes))
    }
}

impl From<Vec<u8>> for Encoded {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, carried: Vec::new() }
    }
}
