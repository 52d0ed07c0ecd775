//! Functions on types that need their tokens alone.

use crate::print;
use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::visit::{self, Visit};
use syn::visit_mut::{self, VisitMut};
use syn::{GenericArgument, Lifetime, PathArguments, Type, TypeImplTrait, TypeReference, parse_quote};

/// The type under parentheses and the invisible groups of `macro_rules`.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        ty => ty,
    }
}

/// The last segment of a type that is a path, and the types in its angle brackets.
pub(crate) fn last_segment(ty: &Type) -> Option<(&syn::Ident, Vec<&Type>)> {
    let Type::Path(path) = bare(ty) else {
        return None;
    };
    let segment = path.path.segments.last()?;
    let types = match &segment.arguments {
        PathArguments::AngleBracketed(generic) => generic
            .args
            .iter()
            .filter_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    };
    Some((&segment.ident, types))
}

/// Whether the type is a path whose last segment is `name`.
pub(crate) fn ends_in(ty: &Type, name: &str) -> bool {
    last_segment(ty).is_some_and(|(ident, _)| ident == name)
}

/// The `T` of a `Result<T, E>` or a `Result<T>`.
pub(crate) fn result_ok(ty: &Type) -> Option<&Type> {
    let (ident, types) = last_segment(ty)?;
    if ident == "Result" { types.first().copied() } else { None }
}

/// What to write instead of a parameter type that has no size; `borrowed` says whether it stands behind a `&`.
///
/// Only types that have no size whatever is in scope: a single `Path` may be a type of the program, so rustc reports it.
pub(crate) fn unsized_parameter(ty: &Type, borrowed: bool) -> Option<String> {
    let text = print::text(ty.to_token_stream());
    match bare(ty) {
        Type::TraitObject(_) => {
            let object = if matches!(bare(ty), Type::TraitObject(object) if object.bounds.len() > 1) {
                format!("({text})")
            } else {
                text.clone()
            };
            let sign = if borrowed { "&" } else { "" };
            Some(format!(
                "write `Arc<{text}>` instead of `{sign}{object}`, with #[remote(local)], because a trait object cannot be serialised"
            ))
        }
        Type::Slice(slice) if !borrowed => {
            let elem = print::text(slice.elem.to_token_stream());
            Some(format!("write `Vec<{elem}>`, or `&[{elem}]`, which is read from the object store in place"))
        }
        Type::Path(path) if !borrowed && path.path.is_ident("str") => {
            Some("write `String`, or `&str`, which is read from the object store in place".into())
        }
        Type::Path(path) if !borrowed => owned_form(&path.path)
            .map(|owned| format!("write `{owned}`, or `&{text}`, which is read from the object store in place")),
        _ => None,
    }
}

/// The owned form of a type of the standard library that has no size.
fn owned_form(path: &syn::Path) -> Option<&'static str> {
    let mut segments = path.segments.iter().rev().map(|segment| segment.ident.to_string());
    match (segments.next()?.as_str(), segments.next().as_deref()) {
        ("OsStr", None | Some("ffi")) => Some("OsString"),
        ("CStr", None | Some("ffi")) => Some("CString"),
        ("Path", Some("path")) => Some("PathBuf"),
        _ => None,
    }
}

/// The parts of a type that have no size and stand where a size is needed, as the elements of a `Vec`, each with what to write
/// instead.
pub(crate) fn unsized_parts(ty: &Type) -> Vec<(&Type, String)> {
    /// Types of the standard library whose arguments all have a size.
    const OF_SIZED: &[&str] =
        &["Vec", "VecDeque", "LinkedList", "BinaryHeap", "HashMap", "HashSet", "BTreeMap", "BTreeSet", "Option", "Result"];
    struct Parts<'a>(Vec<(&'a Type, String)>);
    impl<'a> Parts<'a> {
        fn look(&mut self, ty: &'a Type) {
            let text = print::text(ty.to_token_stream());
            let instead = match bare(ty) {
                Type::TraitObject(_) => format!("write `Box<{text}>` or `Arc<{text}>`"),
                Type::Slice(slice) => format!("write `Vec<{}>`", print::text(slice.elem.to_token_stream())),
                Type::Path(path) if path.path.is_ident("str") => "write `String`".into(),
                Type::Path(path) => match owned_form(&path.path) {
                    Some(owned) => format!("write `{owned}`"),
                    None => return,
                },
                _ => return,
            };
            self.0.push((ty, instead));
        }
    }
    impl<'a> Visit<'a> for Parts<'a> {
        fn visit_type(&mut self, ty: &'a Type) {
            match ty {
                Type::Tuple(tuple) => tuple.elems.iter().for_each(|elem| self.look(elem)),
                Type::Array(array) => self.look(&array.elem),
                Type::Slice(slice) => self.look(&slice.elem),
                ty => {
                    if let Some((ident, arguments)) = last_segment(ty)
                        && OF_SIZED.iter().any(|name| ident == name)
                    {
                        arguments.into_iter().for_each(|argument| self.look(argument));
                    }
                }
            }
            visit::visit_type(self, ty);
        }
        fn visit_type_trait_object(&mut self, _: &'a syn::TypeTraitObject) {}
        fn visit_type_bare_fn(&mut self, _: &'a syn::TypeBareFn) {}
    }
    let mut parts = Parts(Vec::new());
    parts.visit_type(ty);
    parts.0
}

/// The trait objects in a type that are of a trait of the standard library, none of which implies `Send`, `Sync` or serde's traits.
/// With each of them whether `Send + Sync` are written.
pub(crate) fn std_objects(ty: &Type) -> Vec<(&syn::TypeTraitObject, bool)> {
    const TRAITS: &[&str] = &["Fn", "FnMut", "FnOnce", "Any", "Iterator", "Future", "Read", "Write", "Display", "Debug"];
    struct Objects<'a>(Vec<(&'a syn::TypeTraitObject, bool)>);
    impl<'a> Visit<'a> for Objects<'a> {
        fn visit_type_trait_object(&mut self, object: &'a syn::TypeTraitObject) {
            let has = |names: &[&str]| {
                object.bounds.iter().any(|bound| match bound {
                    syn::TypeParamBound::Trait(bound) => {
                        bound.path.segments.last().is_some_and(|last| names.iter().any(|name| last.ident == name))
                    }
                    _ => false,
                })
            };
            if has(TRAITS) {
                self.0.push((object, has(&["Send"]) && has(&["Sync"])));
            }
        }
        fn visit_type_bare_fn(&mut self, _: &'a syn::TypeBareFn) {}
    }
    let mut objects = Objects(Vec::new());
    objects.visit_type(ty);
    objects.0
}

/// What to write instead of a return type that has no size.
pub(crate) fn unsized_result(ty: &Type) -> Option<String> {
    let text = print::text(ty.to_token_stream());
    match bare(ty) {
        Type::TraitObject(_) => Some(format!(
            "write `Box<{text}>` or `Arc<{text}>`, with #[remote(local)], because a trait object cannot be serialised"
        )),
        Type::Slice(slice) => Some(format!("write `Vec<{}>`", print::text(slice.elem.to_token_stream()))),
        Type::Path(path) if path.path.is_ident("str") => Some("write `String`".into()),
        Type::Path(path) => owned_form(&path.path).map(|owned| format!("write `{owned}`")),
        _ => None,
    }
}

/// The `dyn Error` of a `Box<dyn Error>` that does not say that it is `Send` and `Sync`, as text.
pub(crate) fn bare_boxed_error(ty: &Type) -> Option<String> {
    let (ident, arguments) = last_segment(ty)?;
    let Type::TraitObject(object) = bare(arguments.first()?) else {
        return None;
    };
    let traits: Vec<&syn::TraitBound> = object
        .bounds
        .iter()
        .filter_map(|bound| match bound {
            syn::TypeParamBound::Trait(bound) => Some(bound),
            _ => None,
        })
        .collect();
    let has = |name: &str| traits.iter().any(|bound| bound.path.segments.last().is_some_and(|last| last.ident == name));
    let error = traits.iter().find(|bound| bound.path.segments.last().is_some_and(|last| last.ident == "Error"))?;
    (ident == "Box" && !(has("Send") && has("Sync"))).then(|| format!("dyn {}", print::text(error.to_token_stream())))
}

/// `Result<(), E>` for a `Result<T, E>`, and `()` for any other type.
pub(crate) fn without_ok(ty: &Type) -> Type {
    let mut result = ty.clone();
    let path = match &mut result {
        Type::Path(path) if result_ok(ty).is_some() => path,
        _ => return parse_quote!(()),
    };
    if let Some(PathArguments::AngleBracketed(generic)) = path.path.segments.last_mut().map(|last| &mut last.arguments)
        && let Some(GenericArgument::Type(ok)) =
            generic.args.iter_mut().find(|argument| matches!(argument, GenericArgument::Type(_)))
    {
        *ok = parse_quote!(());
    }
    result
}

/// Whether the type is `()`.
pub(crate) fn is_unit(ty: &Type) -> bool {
    matches!(bare(ty), Type::Tuple(tuple) if tuple.elems.is_empty())
}

/// Whether the type is `usize`.
pub(crate) fn is_usize(ty: &Type) -> bool {
    matches!(bare(ty), Type::Path(path) if path.path.is_ident("usize"))
}

/// Whether the type is the single name `ident`, such as a type parameter.
pub(crate) fn is_ident(ty: &Type, ident: &syn::Ident) -> bool {
    matches!(bare(ty), Type::Path(path) if path.path.is_ident(ident))
}

/// Whether the type is a shared reference `&'static T`.
pub(crate) fn is_static_reference(ty: &Type) -> bool {
    matches!(bare(ty), Type::Reference(TypeReference { lifetime: Some(lifetime), mutability: None, .. }) if lifetime.ident == "static")
}

/// The parts of a type that an argument or a result of a remote call cannot contain.
#[derive(Default)]
pub(crate) struct Contents<'a> {
    /// References with another lifetime than `'static`.
    pub(crate) references: Vec<&'a TypeReference>,
    /// References with the lifetime `'static`.
    pub(crate) statics: Vec<&'a TypeReference>,
    /// Lifetimes in angle brackets, as in `Cow<'_, str>`, other than `'static`.
    pub(crate) lifetimes: Vec<&'a Lifetime>,
    /// `impl Trait`
    pub(crate) opaque: Vec<&'a TypeImplTrait>,
    /// `Option<()>` and `Option<Option<T>>`, in which MessagePack encodes `Some(())` and `Some(None)` like `None`.
    pub(crate) ambiguous: Vec<&'a Type>,
}

impl<'a> Contents<'a> {
    pub(crate) fn of(ty: &'a Type) -> Contents<'a> {
        let mut contents = Contents::default();
        contents.visit_type(ty);
        contents
    }
}

impl<'a> Visit<'a> for Contents<'a> {
    fn visit_type(&mut self, ty: &'a Type) {
        if let Some((ident, arguments)) = last_segment(ty)
            && ident == "Option"
            && let [inner] = arguments[..]
            && (is_unit(inner) || ends_in(inner, "Option"))
        {
            self.ambiguous.push(ty);
        }
        visit::visit_type(self, ty);
    }

    fn visit_type_reference(&mut self, reference: &'a TypeReference) {
        match &reference.lifetime {
            Some(lifetime) if lifetime.ident == "static" => self.statics.push(reference),
            _ => self.references.push(reference),
        }
        self.visit_type(&reference.elem);
    }

    fn visit_lifetime(&mut self, lifetime: &'a Lifetime) {
        if lifetime.ident != "static" {
            self.lifetimes.push(lifetime);
        }
    }

    fn visit_type_impl_trait(&mut self, opaque: &'a TypeImplTrait) {
        self.opaque.push(opaque);
    }

    // A function pointer, `Fn(&T)` and `for<'a> ..` declare the lifetimes in them, so these borrow nothing from outside.
    fn visit_type_bare_fn(&mut self, _: &'a syn::TypeBareFn) {}
    fn visit_parenthesized_generic_arguments(&mut self, _: &'a syn::ParenthesizedGenericArguments) {}
    fn visit_bound_lifetimes(&mut self, _: &'a syn::BoundLifetimes) {}
}

/// Replaces `Self` by the actor's type, because `Self` has another meaning in the impls that the expansion contains.
pub(crate) fn without_self(ty: &Type, class: &Type) -> Type {
    struct Replace<'a>(&'a Type);
    impl VisitMut for Replace<'_> {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            if let Type::Path(path) = ty
                && path.qself.is_none()
                && path.path.segments.first().is_some_and(|first| first.ident == "Self")
            {
                let class = self.0;
                let rest: Vec<TokenStream> = path.path.segments.iter().skip(1).map(ToTokens::to_token_stream).collect();
                *ty = if rest.is_empty() { class.clone() } else { parse_quote!(<#class>::#(#rest)::*) };
                return;
            }
            visit_mut::visit_type_mut(self, ty);
        }
    }
    let mut ty = ty.clone();
    Replace(class).visit_type_mut(&mut ty);
    ty
}

/// A similar type that can be stored: references become owned types, and `impl Trait` and `!` become `()`.
///
/// Only `fallback` uses it, so that calls of the faulty item cause fewer further errors.
pub(crate) fn owned(ty: &Type) -> Type {
    struct Own;
    impl VisitMut for Own {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            match ty {
                Type::Reference(reference) => {
                    *ty = match bare(&reference.elem) {
                        Type::Slice(slice) => {
                            let elem = &slice.elem;
                            parse_quote!(::std::vec::Vec<#elem>)
                        }
                        Type::Path(path) if path.path.is_ident("str") => {
                            parse_quote!(::std::string::String)
                        }
                        elem => elem.clone(),
                    };
                    self.visit_type_mut(ty);
                }
                Type::ImplTrait(_) | Type::Never(_) => *ty = parse_quote!(()),
                _ => visit_mut::visit_type_mut(self, ty),
            }
        }
        fn visit_lifetime_mut(&mut self, lifetime: &mut Lifetime) {
            *lifetime = Lifetime::new("'static", lifetime.span());
        }
    }
    let mut ty = ty.clone();
    Own.visit_type_mut(&mut ty);
    ty
}
