//! Arguments that can be encoded and decoded.

use std::vec::IntoIter;

use super::{Arg, Lend, Repr, Shared, SharedRepr};
use crate::base::error::{Error, ErrorKind, Result};
use crate::call::bounds::Wire;
use crate::call::codec::{EncodedArg, ReferenceArg, renew};
use crate::object::encoded::Encoded;

/// Arguments that can leave the process.
pub trait Portable: Sized {
    /// The number of arguments.
    const COUNT: usize;

    /// Encodes each argument and appends it.
    ///
    /// # Errors
    /// `Serialization`, with the type. The arguments before the one that failed have been appended then.
    fn encode(&self, into: &mut Vec<EncodedArg>) -> Result<()>;

    /// Decodes the next `COUNT` arguments.
    ///
    /// # Errors
    /// `Serialization`, with the type; `InvalidArgument` if an argument is missing or a reference is to an object that is not
    /// ready; the error of an object that has failed.
    fn decode(args: &mut IntoIter<EncodedArg>) -> Result<Self>;

    /// Encodes values and decodes them again; leaves references and `Arc`s as they are.
    ///
    /// # Errors
    /// `Serialization`, with the type.
    fn renew(self) -> Result<Self>;
}

fn next(args: &mut IntoIter<EncodedArg>) -> Result<EncodedArg> {
    args.next().ok_or_else(|| Error::new(ErrorKind::InvalidArgument, "it is missing"))
}

impl<T: Wire + 'static> Portable for Arg<T> {
    const COUNT: usize = 1;

    fn encode(&self, into: &mut Vec<EncodedArg>) -> Result<()> {
        into.push(match &self.0 {
            Repr::Value(value) => Encoded::of(value)?.into(),
            Repr::Arc(value, _) => Encoded::of(&**value)?.into(),
            Repr::Ref(object, _) => EncodedArg::Reference(ReferenceArg::given(object)),
            Repr::Gather(many) => EncodedArg::Reference(many.encoded(Encoded::of)),
        });
        Ok(())
    }

    fn decode(args: &mut IntoIter<EncodedArg>) -> Result<Self> {
        let value = match next(args)? {
            EncodedArg::Value(value) => value.decode(),
            EncodedArg::Reference(reference) => reference.decode(),
        };
        value.map(|value| Self(Repr::Value(value)))
    }

    fn renew(self) -> Result<Self> {
        match self.0 {
            Repr::Value(value) => Ok(Self(Repr::Value(renew(value)?))),
            other => Ok(Self(other)),
        }
    }
}

impl<T: Lend + ?Sized> Portable for Shared<T>
where
    T::Owned: Wire + 'static,
{
    const COUNT: usize = 1;

    fn encode(&self, into: &mut Vec<EncodedArg>) -> Result<()> {
        into.push(match &self.0 {
            SharedRepr::Value(value) => Encoded::of(value)?.into(),
            SharedRepr::Arc(value) => Encoded::of(&**value)?.into(),
            SharedRepr::Ref(object) => EncodedArg::Reference(ReferenceArg::given(object)),
            SharedRepr::Gather(many, _) => EncodedArg::Reference(many.encoded(Encoded::of)),
        });
        Ok(())
    }

    fn decode(args: &mut IntoIter<EncodedArg>) -> Result<Self> {
        let argument = match next(args)? {
            EncodedArg::Value(value) => SharedRepr::Value(value.decode()?),
            EncodedArg::Reference(reference) if reference.is_of_executor() => SharedRepr::Ref(reference.object()?),
            EncodedArg::Reference(reference) => SharedRepr::Value(reference.decode()?),
        };
        Ok(Self(argument))
    }

    fn renew(self) -> Result<Self> {
        match self.0 {
            SharedRepr::Value(value) => Ok(Self(SharedRepr::Value(renew(value)?))),
            other => Ok(Self(other)),
        }
    }
}

macro_rules! tuples {
    ($($P:ident)*) => {
        #[allow(non_snake_case, unused_variables, clippy::unused_unit)]
        impl<$($P: Portable),*> Portable for ($($P,)*) {
            const COUNT: usize = 0 $(+ $P::COUNT)*;

            fn encode(&self, into: &mut Vec<EncodedArg>) -> Result<()> {
                let ($($P,)*) = self;
                $($P.encode(into)?;)*
                Ok(())
            }
            fn decode(args: &mut IntoIter<EncodedArg>) -> Result<Self> {
                Ok(($($P::decode(args)?,)*))
            }
            fn renew(self) -> Result<Self> {
                let ($($P,)*) = self;
                Ok(($($P.renew()?,)*))
            }
        }
    };
}
crate::base::arity::for_each_arity!(tuples);
