//! Arguments and results as bytes, for a call that runs in another process.
//!
//! # Directions
//!
//! A [`Codec`] encodes the arguments of a call, decodes them, encodes its result, and decodes that. Each argument is encoded
//! by itself; a result is one value, also where `num_returns` makes several objects of it. The embedded engine moves values
//! and encodes none. Strict mode encodes each value and decodes it again in the same process.
//!
//! # What is encoded
//!
//! 1. A value is an [`Encoded`]: MessagePack bytes, and beside them the references and handles that stand inside the value.
//! 2. An argument is an [`EncodedArg`]. One that the caller gave as a value or an `Arc` is encoded as its value, for a
//!    parameter `T` and for a parameter `&T`. One that it gave as a reference is encoded as that reference: the value
//!    may not exist yet, and may be in the other process already.
//! 3. The executor resolves such a reference before it decodes: to the value's bytes, which [`ReferenceArg::encode_value`]
//!    makes where the object is, or to a reference to a ready object in its own process. Decoding never waits, and refuses
//!    an object that is not ready. So the decoded arguments depend on nothing, and the body can run at once.
//! 4. References that the caller gave in place of a vector are one argument, whose value is the vector.
//! 5. The type of a reference is checked when it is decoded: an object of another type and an actor of another class are
//!    errors.

use crate::object::encoded::Encoded;
use std::fmt;
use std::sync::Arc;

use crate::base::error::{Error, ErrorKind, Result};
use crate::call::arg::Portable;
use crate::call::bounds::Wire;
use crate::call::spec::Spec;
use crate::object::any::AnyRef;
use crate::object::object_ref::ObjectRef;

/// One argument of a call as bytes.
#[derive(Clone, Debug)]
pub enum EncodedArg {
    /// Its value.
    Value(Encoded),
    /// The reference that the caller gave in place of the value.
    Reference(ReferenceArg),
}

impl From<Encoded> for EncodedArg {
    fn from(value: Encoded) -> Self {
        Self::Value(value)
    }
}

/// Encodes the value of objects that are ready.
type EncodeValue = dyn Fn(&[AnyRef]) -> Result<Encoded> + Send + Sync;

/// A reference that was given in place of a value, or several that were given in place of a vector.
#[derive(Clone)]
pub struct ReferenceArg {
    objects: Vec<AnyRef>,
    /// None where the executor made the reference: then there is one, and it is to an object of the parameter's type.
    encode: Option<Arc<EncodeValue>>,
}

impl fmt::Debug for ReferenceArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ReferenceArg").field(&self.objects).finish()
    }
}

impl ReferenceArg {
    /// A reference to an object of this process, for the decoder.
    #[must_use]
    pub fn new(object: AnyRef) -> Self {
        Self { objects: vec![object], encode: None }
    }

    /// The reference that a caller gave for a value of type `T`.
    pub(super) fn given<T: Wire + 'static>(object: &ObjectRef<T>) -> Self {
        Self::gathered(vec![object.any()], |objects| Encoded::of(objects[0].typed::<T>()?.ready_or_error()?))
    }

    /// References that a caller gave; `encode` makes the value of them when they are ready.
    pub(super) fn gathered(objects: Vec<AnyRef>, encode: impl Fn(&[AnyRef]) -> Result<Encoded> + Send + Sync + 'static) -> Self {
        Self { objects, encode: Some(Arc::new(encode)) }
    }

    /// The objects: one, or all elements of a vector.
    pub fn objects(&self) -> &[AnyRef] {
        &self.objects
    }

    /// The argument's value. All objects must be ready.
    ///
    /// # Errors
    /// The error of an object that has failed; `InvalidArgument`: one is not ready; `Serialization`.
    pub fn encode_value(&self) -> Result<Encoded> {
        match &self.encode {
            Some(encode) => encode(&self.objects),
            None => Err(Error::new(
                ErrorKind::InvalidArgument,
                "a reference that the executor made has no encoder: the decoder reads its object",
            )),
        }
    }

    /// A copy of the value. The objects stay as they are, for other references to them.
    pub(super) fn decode<T: Wire + 'static>(self) -> Result<T> {
        match &self.encode {
            Some(_) => self.encode_value()?.decode(),
            None => Encoded::of(self.objects[0].typed::<T>()?.ready_or_error()?)?.decode(),
        }
    }

    /// Whether the executor made the reference, in its own process.
    pub(super) fn is_of_executor(&self) -> bool {
        self.encode.is_none()
    }

    /// The object itself, of a reference that the executor made; it is ready.
    pub(super) fn object<T: 'static>(&self) -> Result<ObjectRef<T>> {
        let object = self.objects[0].typed::<T>()?;
        object.ready_or_error()?;
        Ok(object)
    }
}

/// Encodes a value and decodes it, as strict mode does.
pub(crate) fn renew<T: Wire>(value: T) -> Result<T> {
    Encoded::of(&value)?.decode()
}

/// Encodes and decodes the arguments and the result of one function, constructor or method.
pub struct Codec<P, R> {
    args: ArgsCodec<P>,
    output: OutputCodec<R>,
}

impl<P, R> fmt::Debug for Codec<P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

/// The half for the arguments. Apart from the result's, so that rustc can point at the one that is not serialisable.
#[derive(Debug)]
pub struct ArgsCodec<P> {
    count: usize,
    encode: fn(&P, &mut Vec<EncodedArg>) -> Result<()>,
    decode: fn(&mut std::vec::IntoIter<EncodedArg>) -> Result<P>,
    renew: fn(P) -> Result<P>,
}

impl<P: Portable> ArgsCodec<P> {
    /// Exists for serialisable arguments only.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a const, for the generated code")]
    pub const fn new() -> Self {
        Self { count: P::COUNT, encode: P::encode, decode: P::decode, renew: P::renew }
    }
}

/// The half for the result.
#[derive(Debug)]
pub struct OutputCodec<R> {
    encode: fn(&R) -> Result<Encoded>,
    decode: fn(Encoded) -> Result<R>,
}

impl<R: Wire> OutputCodec<R> {
    /// Exists for a serialisable result only.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a const, for the generated code")]
    pub const fn new() -> Self {
        Self { encode: Encoded::of::<R>, decode: Encoded::decode::<R> }
    }
}

impl<P, R> Codec<P, R> {
    /// The codec of its two halves.
    #[must_use]
    pub const fn new(args: ArgsCodec<P>, output: OutputCodec<R>) -> Self {
        Self { args, output }
    }

    /// Encodes the arguments of a call of `spec`, each by itself.
    ///
    /// # Errors
    /// `Serialization`, naming the argument.
    pub fn encode_args(&self, spec: &Spec, args: &P) -> Result<Vec<EncodedArg>> {
        let mut encoded = Vec::with_capacity(self.args.count);
        match (self.args.encode)(args, &mut encoded) {
            Ok(()) => Ok(encoded),
            Err(error) => Err(in_argument(spec, encoded.len() + 1, error)),
        }
    }

    /// Decodes the arguments of a call of `spec`.
    ///
    /// # Errors
    /// `InvalidArgument`: they are too many or too few, or a reference among them is to an object that is not ready.
    /// `Serialization`, naming the argument. The error of an object that a reference is to, if that has failed.
    pub fn decode_args(&self, spec: &Spec, args: Vec<EncodedArg>) -> Result<P> {
        let (given, taken) = (args.len(), self.args.count);
        if given != taken {
            let what = format!(
                "{} takes {taken} argument(s), and {given} are given: give as many as its signature has, in the same order",
                named(spec)
            );
            return Err(Error::new(ErrorKind::InvalidArgument, what));
        }
        let mut args = args.into_iter();
        (self.args.decode)(&mut args).map_err(|error| in_argument(spec, taken - args.len(), error))
    }

    /// Encodes the result of a call of `spec`.
    ///
    /// # Errors
    /// `Serialization`, naming the function.
    pub fn encode_result(&self, spec: &Spec, result: &R) -> Result<Encoded> {
        (self.output.encode)(result).map_err(|error| in_result(spec, &error))
    }

    /// Decodes the result of a call of `spec`.
    ///
    /// # Errors
    /// `Serialization`, naming the function.
    pub fn decode_result(&self, spec: &Spec, result: Encoded) -> Result<R> {
        (self.output.decode)(result).map_err(|error| in_result(spec, &error))
    }

    /// Encodes each value among the arguments and decodes it, for strict mode. References and `Arc`s stay as they are.
    pub(crate) fn renew_args(&self, args: P) -> Result<P> {
        (self.args.renew)(args)
    }

    /// Encodes the result and decodes it, for strict mode.
    pub(crate) fn renew_result(&self, result: R) -> Result<R> {
        (self.output.decode)((self.output.encode)(&result)?)
    }
}

/// A definition, for the beginning of a sentence.
pub(crate) fn named(spec: &Spec) -> String {
    format!("`{}` ({}:{})", spec.path(), spec.file(), spec.line())
}

fn in_argument(spec: &Spec, number: usize, error: Error) -> Error {
    match error.kind() {
        kind @ (ErrorKind::Serialization | ErrorKind::InvalidArgument) => {
            Error::new(kind, format!("argument {number} of {}: {error}", named(spec)))
        }
        _ => error.as_dependency_of(spec.name()),
    }
}

fn in_result(spec: &Spec, error: &Error) -> Error {
    Error::new(ErrorKind::Serialization, format!("the result of {}: {error}", named(spec)))
}
