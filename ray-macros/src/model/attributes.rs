//! The user's attributes, by where they go.

use quote::ToTokens;
use syn::Attribute;

/// The attributes of a function or a method, sorted by where they go.
#[derive(Default)]
pub(crate) struct Attributes {
    /// To everything that is emitted.
    pub(crate) cfg: Vec<Attribute>,
    /// To what callers see.
    pub(crate) seen: Vec<Attribute>,
    /// To the body.
    pub(crate) body: Vec<Attribute>,
    pub(crate) has_docs: bool,
}

impl Attributes {
    pub(super) fn of_function(attributes: Vec<Attribute>) -> Attributes {
        let mut sorted = Attributes::default();
        for attribute in attributes {
            if attribute.path().is_ident("cfg") {
                sorted.cfg.push(attribute);
            } else if shown(&attribute) {
                sorted.has_docs |= attribute.path().is_ident("doc");
                sorted.seen.push(attribute);
            } else {
                sorted.body.push(attribute);
            }
        }
        sorted
    }

    pub(super) fn of_method(attributes: &[Attribute]) -> Attributes {
        let seen = attributes.iter().filter(|attribute| shown(attribute));
        Attributes {
            cfg: cfgs(attributes),
            seen: seen.cloned().collect(),
            has_docs: attributes.iter().any(|attribute| attribute.path().is_ident("doc")),
            body: Vec::new(),
        }
    }
}

/// Does this attribute speak of the name rather than of the body?
fn shown(attribute: &Attribute) -> bool {
    let path = attribute.path();
    if path.is_ident("cfg_attr") {
        let inner = attribute.meta.to_token_stream().to_string();
        return inner.contains(", doc") || inner.contains(",doc") || inner.contains("deprecated");
    }
    path.is_ident("doc") || path.is_ident("deprecated")
}

/// Those that decide whether the item is there at all.
pub(super) fn cfgs(attributes: &[Attribute]) -> Vec<Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect()
}

/// Takes `#[method(..)]` out, under whatever path it is known.
pub(super) fn take_method_attribute(attributes: &mut Vec<Attribute>) -> Option<Attribute> {
    let index = attributes.iter().position(|attribute| {
        let segments = &attribute.path().segments;
        segments.len() <= 2 && segments.last().is_some_and(|last| last.ident == "method")
    })?;
    Some(attributes.remove(index))
}
