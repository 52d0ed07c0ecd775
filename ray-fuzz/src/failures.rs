//! The target of errors.

use std::error::Error as StdError;
use std::fmt;

use ray::__private::{EncodedError, ErrorCodec, Function};
use ray::remote;
use serde::{Deserialize, Serialize};

/// An error with sources, as deep as the bytes say.
#[derive(Debug, Serialize, Deserialize)]
enum Failure {
    Nothing,
    Text(String),
    Because { text: Box<str>, cause: Box<Failure> },
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Nothing => f.write_str("nothing"),
            Failure::Text(text) => f.write_str(text),
            Failure::Because { text, .. } => f.write_str(text),
        }
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Failure::Because { cause, .. } => Some(&**cause),
            Failure::Nothing | Failure::Text(_) => None,
        }
    }
}

#[remote]
#[allow(dead_code, reason = "it is called by its path")]
fn fails(text: String, because: bool) -> Result<(), Failure> {
    let cause = Box::new(if text.is_empty() { Failure::Nothing } else { Failure::Text(text.clone()) });
    Err(if because { Failure::Because { text: text.into(), cause } } else { *cause })
}

fn codec_of<F: Function>(_: F) -> Option<ErrorCodec> {
    F::ERROR
}

/// An encoded error, whose value may be a `Failure` or the error of a method. What was decoded must be equal after it is
/// encoded and decoded again.
pub fn error(bytes: &[u8]) {
    let error = EncodedError { bytes: bytes.to_vec() }.decode(codec_of(fails));
    let again = error.encode().decode(codec_of(fails));
    assert!(error.kind() == again.kind(), "an error has the same kind");
    assert!(format!("{error:?} {error:#}") == format!("{again:?} {again:#}"), "an error has the same text");
    assert!(error.find::<Failure>().is_some() == again.find::<Failure>().is_some(), "a value keeps its type");
}
