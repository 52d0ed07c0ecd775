//! Arguments and results as bytes, for a call that runs in another process.
//!
//! # Directions
//!
//! A [`Codec`] encodes and decodes the arguments of a call and its result. Each argument is encoded separately. A result is one
//! value, even if `num_returns` makes several objects of it. The embedded engine moves values and encodes none. Strict mode encodes
//! each value and decodes it again in the same process.
//!
//! # What is encoded
//!
//! 1. A value is an [`Encoded`]: MessagePack bytes, and a list of the references and handles inside the value.
//! 2. An argument is an [`EncodedArg`]. If the caller passed a value or an `Arc`, the value is encoded, for a parameter `T` and for
//!    a parameter `&T`. If the caller passed a reference, the reference is encoded: the value may not exist yet, or may be in the
//!    other process already.
//! 3. The executor resolves such a reference before it decodes: to the value's bytes, which [`ReferenceArg::encode_value`] makes in
//!    the process of the object, or to a reference to a ready object in its own process. Decoding never waits, and returns an error
//!    for an object that is not ready. So decoded arguments have no dependencies, and the body can run at once.
//! 4. References that the caller passed in place of a vector are one argument. Its value is the vector.
//! 5. Decoding checks the type of a reference: an object of another type and an actor of another class are errors.

use crate::object::encoded::Encoded;
use std::fmt;
use std::sync::Arc;

use crate::base::error::{Error, ErrorKind, Result};
use crate::call::arg::Portable;
use crate::call::bounds::Wire;
use crate::call::spec::Spec;
use crate::object::any::AnyRef;
use crate::object::object_ref::ObjectRef;

/// One argument of a call, encoded.
#[derive(Clone, Debug)]
pub enum EncodedArg {
    /// The value of the argument.
    Value(Encoded),
    /// The reference that the caller passed in place of the value.
    Reference(ReferenceArg),
}

impl From<Encoded> for EncodedArg {
    fn from(value: Encoded) -> Self {
        Self::Value(value)
    }
}

/// A function that encodes the value of ready objects.
type EncodeValue = dyn Fn(&[AnyRef]) -> Result<Encoded> + Send + Sync;

/// A reference that was passed in place of a value, or several that were passed in place of a vector.
#[derive(Clone)]
pub struct ReferenceArg {
    objects: Vec<AnyRef>,
    is_vector: bool,
    /// None if the executor made the reference. Then there is one object, of the parameter's type.
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
        Self { objects: vec![object], is_vector: false, encode: None }
    }

    /// The reference that a caller passed for a value of type `T`.
    pub(super) fn given<T: Wire + 'static>(object: &ObjectRef<T>) -> Self {
        let encode = |objects: &[AnyRef]| Encoded::of(objects[0].typed::<T>()?.ready_or_error()?);
        Self { objects: vec![object.any()], is_vector: false, encode: Some(Arc::new(encode)) }
    }

    /// References that a caller passed in place of a vector; `encode` encodes their value when they are ready.
    pub(super) fn gathered(objects: Vec<AnyRef>, encode: impl Fn(&[AnyRef]) -> Result<Encoded> + Send + Sync + 'static) -> Self {
        Self { objects, is_vector: true, encode: Some(Arc::new(encode)) }
    }

    /// The objects: one, or all elements of a vector.
    pub fn objects(&self) -> &[AnyRef] {
        &self.objects
    }

    /// Whether the caller passed the references in place of a vector.
    #[must_use]
    pub fn is_vector(&self) -> bool {
        self.is_vector
    }

    /// Encodes the value of the argument. All objects must be ready.
    ///
    /// # Errors
    /// The error of an object that has failed; `InvalidArgument` if an object is not ready; `Serialization`.
    pub fn encode_value(&self) -> Result<Encoded> {
        match &self.encode {
            Some(encode) => encode(&self.objects),
            None => Err(Error::new(
                ErrorKind::InvalidArgument,
                "a reference that the executor made has no encoder: the decoder reads its object",
            )),
        }
    }

    /// A copy of the value. The objects stay as they are, because other references to them may exist.
    pub(super) fn decode<T: Wire + 'static>(self) -> Result<T> {
        match &self.encode {
            Some(_) => self.encode_value()?.decode(),
            None => Encoded::of(self.objects[0].typed::<T>()?.ready_or_error()?)?.decode(),
        }
    }

    /// Whether the executor made the reference in its own process.
    pub(super) fn is_of_executor(&self) -> bool {
        self.encode.is_none()
    }

    /// The object itself, for a reference that the executor made; the object is ready.
    pub(super) fn object<T: 'static>(&self) -> Result<ObjectRef<T>> {
        let object = self.objects[0].typed::<T>()?;
        object.ready_or_error()?;
        Ok(object)
    }
}

/// Encodes a value and decodes it again, as strict mode does.
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

/// The half of a codec for the arguments. The halves are separate so that rustc points at the one with a type that cannot be
/// serialised.
#[derive(Debug)]
pub struct ArgsCodec<P> {
    pub(super) count: usize,
    pub(super) encode: fn(&P, &mut Vec<EncodedArg>) -> Result<()>,
    pub(super) decode: fn(&mut std::vec::IntoIter<EncodedArg>) -> Result<P>,
    pub(super) renew: fn(P) -> Result<P>,
}

impl<P: Portable> ArgsCodec<P> {
    /// Makes the half; it exists only for arguments that can be serialised.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a const, for the generated code")]
    pub const fn new() -> Self {
        Self { count: P::COUNT, encode: P::encode, decode: P::decode, renew: P::renew }
    }
}

/// The half of a codec for the result.
#[derive(Debug)]
pub struct OutputCodec<R> {
    pub(super) encode: fn(&R) -> Result<Encoded>,
    pub(super) decode: fn(Encoded) -> Result<R>,
}

impl<R: Wire> OutputCodec<R> {
    /// Makes the half; it exists only for a result that can be serialised.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "a const, for the generated code")]
    pub const fn new() -> Self {
        Self { encode: Encoded::of::<R>, decode: Encoded::decode::<R> }
    }
}

impl<P, R> Codec<P, R> {
    /// Makes a codec of its two halves.
    #[must_use]
    pub const fn new(args: ArgsCodec<P>, output: OutputCodec<R>) -> Self {
        Self { args, output }
    }

    /// The number of arguments.
    pub(super) fn count(&self) -> usize {
        self.args.count
    }

    /// Encodes the arguments of a call of `spec`, each separately.
    ///
    /// # Errors
    /// `Serialization`, with the number of the argument.
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
    /// `InvalidArgument`: there are too many or too few arguments, or a reference is to an object that is not ready.
    /// `Serialization`, with the number of the argument. The error of the object, if a reference is to one that has failed.
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
    /// `Serialization`, with the name of the function.
    pub fn encode_result(&self, spec: &Spec, result: &R) -> Result<Encoded> {
        (self.output.encode)(result).map_err(|error| in_result(spec, &error))
    }

    /// Decodes the result of a call of `spec`.
    ///
    /// # Errors
    /// `Serialization`, with the name of the function.
    pub fn decode_result(&self, spec: &Spec, result: Encoded) -> Result<R> {
        (self.output.decode)(result).map_err(|error| in_result(spec, &error))
    }

    /// Encodes each value among the arguments and decodes it again, for strict mode. References and `Arc`s stay as they are.
    pub(crate) fn renew_args(&self, args: P) -> Result<P> {
        (self.args.renew)(args)
    }

    /// Encodes the result and decodes it again, for strict mode.
    pub(crate) fn renew_result(&self, result: R) -> Result<R> {
        (self.output.decode)((self.output.encode)(&result)?)
    }
}

/// The path and the place of a definition, for error texts.
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
