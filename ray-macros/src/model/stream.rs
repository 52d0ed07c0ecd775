//! Recognises functions that make a stream, by the names of the types in their signature.

use syn::{AngleBracketedGenericArguments, GenericArgument, PathArguments, PathSegment, Type, TypeParamBound};

use crate::types;

/// The items that a function makes, instead of one result.
pub(crate) struct Stream {
    pub(crate) source: Source,
    /// The type of the items.
    pub(crate) item: Type,
}

/// Where the items come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The body returns an `impl Iterator<Item = T>`.
    Iterator,
    /// The body returns an `impl Stream<Item = T>`, so it runs as the body of an `async fn` does.
    Stream,
    /// The first parameter of the body is a `Yielder<T>`.
    Yielder,
}

impl Source {
    /// The name in the generated code.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Source::Iterator => "Iterator",
            Source::Stream => "Stream",
            Source::Yielder => "Yielder",
        }
    }
}

/// The traits of iterators that a return type can name.
const ITERATORS: &[&str] = &["Iterator", "DoubleEndedIterator", "ExactSizeIterator", "FusedIterator", "IntoIterator"];

/// The `T` of a parameter `Yielder<T>`.
pub(crate) fn yielded(ty: &Type) -> Option<&Type> {
    let (ident, types) = types::last_segment(ty)?;
    if ident == "Yielder" { types.first().copied() } else { None }
}

/// The items of a returned `impl Iterator<Item = T>` or `impl Stream<Item = T>`.
pub(crate) fn returned(ty: &Type) -> Option<Stream> {
    let Type::ImplTrait(opaque) = types::bare(ty) else { return None };
    opaque.bounds.iter().find_map(|bound| {
        let TypeParamBound::Trait(bound) = bound else { return None };
        let segment = bound.path.segments.last()?;
        let source = if segment.ident == "Stream" {
            Source::Stream
        } else if ITERATORS.iter().any(|name| segment.ident == name) {
            Source::Iterator
        } else {
            return None;
        };
        Some(Stream { source, item: item(segment)?.clone() })
    })
}

/// The `T` of `Trait<Item = T>`.
fn item(segment: &PathSegment) -> Option<&Type> {
    let PathArguments::AngleBracketed(AngleBracketedGenericArguments { args, .. }) = &segment.arguments else { return None };
    args.iter().find_map(|argument| match argument {
        GenericArgument::AssocType(assigned) if assigned.ident == "Item" => Some(&assigned.ty),
        _ => None,
    })
}
