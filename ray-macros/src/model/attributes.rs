//! The user's attributes on a function or a method, sorted by the generated items that get them.

use quote::ToTokens;
use syn::Attribute;

/// The attributes of a function or a method, sorted by the generated items that get them.
#[derive(Default)]
pub(crate) struct Attributes {
    /// For all generated items.
    pub(crate) cfg: Vec<Attribute>,
    /// For the public item: the struct of a function, or the field of a method in the handle.
    pub(crate) seen: Vec<Attribute>,
    /// For the body of a function. Empty for a method, whose body keeps all its attributes.
    pub(crate) body: Vec<Attribute>,
    /// The levels of lints, for the constant of a function or the field of a method. The body has them as well, except for an
    /// expectation of `dead_code`, which only the public item fulfils.
    pub(crate) lints: Vec<Attribute>,
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
            } else if expects_dead_code(&attribute) {
                sorted.lints.push(attribute);
            } else {
                if sets_lints(&attribute) {
                    sorted.lints.push(attribute.clone());
                }
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
            lints: lints(attributes),
            has_docs: attributes.iter().any(|attribute| attribute.path().is_ident("doc")),
            ..Attributes::default()
        }
    }
}

/// The attributes that set the levels of lints, and an expectation of `dead_code`.
pub(super) fn lints(attributes: &[Attribute]) -> Vec<Attribute> {
    attributes.iter().filter(|attribute| sets_lints(attribute) || expects_dead_code(attribute)).cloned().collect()
}

/// Whether this attribute sets the level of lints. An expectation does not: it would have to be fulfilled in both places.
fn sets_lints(attribute: &Attribute) -> bool {
    let path = attribute.path();
    if path.is_ident("cfg_attr") {
        let inner = attribute.meta.to_token_stream().to_string();
        return ["allow", "warn", "deny", "forbid"].iter().any(|level| inner.contains(&format!("{level} (")));
    }
    ["allow", "warn", "deny", "forbid"].iter().any(|level| path.is_ident(level))
}

pub(super) fn expects_dead_code(attribute: &Attribute) -> bool {
    attribute.path().is_ident("expect") && attribute.meta.to_token_stream().to_string().contains("dead_code")
}

/// Whether this attribute concerns the documented item (`doc`, `deprecated`) and not the body.
fn shown(attribute: &Attribute) -> bool {
    let path = attribute.path();
    if path.is_ident("cfg_attr") {
        let inner = attribute.meta.to_token_stream().to_string();
        return inner.contains(", doc") || inner.contains(",doc") || inner.contains("deprecated");
    }
    path.is_ident("doc") || path.is_ident("deprecated")
}

/// The `cfg` attributes, which decide whether the item is compiled.
pub(super) fn cfgs(attributes: &[Attribute]) -> Vec<Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect()
}

/// Removes `#[method(..)]` from the attributes and returns it; a path of two segments, such as `ray::method`, is recognised
/// too.
pub(super) fn take_method_attribute(attributes: &mut Vec<Attribute>) -> Option<Attribute> {
    let index = attributes.iter().position(|attribute| {
        let segments = &attribute.path().segments;
        segments.len() <= 2 && segments.last().is_some_and(|last| last.ident == "method")
    })?;
    Some(attributes.remove(index))
}
