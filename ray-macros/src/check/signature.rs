//! Finds the errors in the signature of a function, a method or a constructor.

use quote::ToTokens;
use syn::{Expr, GenericParam, Generics, Ident, ReturnType, Signature, Type};

use crate::model::{Callable, Kind};
use crate::options::Options;
use crate::report::Report;
use crate::types::{self, Contents};

/// The maximum number of parameters, which is also the largest tuple that the engine supports.
const MAX_PARAMS: usize = 12;

/// The kind of the function with the signature. Messages contain its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Function,
    Method,
    Constructor,
}

impl What {
    pub(super) fn named(self) -> &'static str {
        match self {
            What::Function => "a remote function",
            What::Method => "a remote method",
            What::Constructor => "an actor's `new`",
        }
    }

    /// The advice how to keep the function, but not as a remote one.
    fn how_to_keep_plain(self) -> &'static str {
        match self {
            What::Function => "leave #[remote] out to keep it a plain function",
            What::Method | What::Constructor => "leave out its visibility or move it to another impl block to keep it plain",
        }
    }
}

/// Checks the signature of a function or a method. (A constructor has checks of its own for its result.)
pub(super) fn signature(what: What, call: &Callable, options: &Options, local: bool, report: &mut Report) {
    qualifiers(what, &call.sig, report);
    parameters(what, call, local, report);
    output(what, call, local, report);
    if let Some((count, expr)) = &options.num_returns {
        num_returns(*count, expr, call, report);
    }
}

pub(super) fn qualifiers(what: What, sig: &Signature, report: &mut Report) {
    let named = what.named();
    if let Some(token) = &sig.constness
        && what == What::Function
    {
        report.error(
            token,
            format_args!("{named} runs in the engine, not at compile time: leave `const` out, or {}", what.how_to_keep_plain()),
        );
    }
    if let Some(token) = &sig.unsafety {
        report.error(
            token,
            format_args!("{named} is called without `unsafe`: make it safe, with an `unsafe` block inside where it is sound"),
        );
    }
    if let Some(abi) = &sig.abi {
        report.error(abi, format_args!("{named} has Rust's own ABI: leave `extern` out, and call it from an `extern` function"));
    }
    if let Some(variadic) = &sig.variadic {
        report.error(variadic, format_args!("{named} takes a fixed number of arguments: take a `Vec`"));
    }
    for lifetime in sig.generics.lifetimes() {
        report.error(
            lifetime,
            format_args!("{named} borrows its arguments from the object store: leave the lifetime out and write `&T`"),
        );
    }
}

pub(super) fn parameters(what: What, call: &Callable, local: bool, report: &mut Report) {
    let named = what.named();
    if call.params.len() > MAX_PARAMS {
        report.error(
            &call.params[MAX_PARAMS].written,
            format_args!("{named} takes at most {MAX_PARAMS} parameters: group some in a struct or a tuple"),
        );
    }
    for param in &call.params {
        if let Some(attribute) = &param.conditional {
            report.error(
                attribute,
                format_args!(
                    "{named} has the same parameters in every build: write the function twice, each with `#[cfg(..)]` on the \
                     whole function, or take an `Option`"
                ),
            );
        }
        // `qualifiers` reports a named lifetime where it is declared, but nothing declares `'static`.
        let written = types::bare(&param.written);
        if misplaced_yielder(what, written, report) {
            continue;
        }
        if let Type::Reference(reference) = written {
            if reference.mutability.is_some() {
                report.error(
                    written,
                    format_args!(
                        "a stored object never changes, so {named} cannot take `&mut`: take the value (`mut x: T`) \
                         and return it, or keep the state in an actor"
                    ),
                );
                continue;
            }
            if types::is_static_reference(written) && !local {
                report.error(
                    written,
                    "an argument does not live for `'static`: write `&T`, which is read from the object store, or an owned \
                     type (#[remote(local)] takes `&'static T` as a value)",
                );
                continue;
            }
        }
        let ty = if param.kind == Kind::Borrow { inner(written) } else { written };
        if let Some(instead) = types::unsized_parameter(ty, param.kind == Kind::Borrow) {
            report.error(written, format_args!("an argument is stored before the call, so its type must have a size: {instead}"));
            continue;
        }
        if unsized_parts(ty, report) || std_objects(what, ty, local, report) {
            continue;
        }
        let contents = Contents::of(ty);
        for reference in contents.references {
            report.error(
                reference,
                format_args!(
                    "a reference here would borrow from the caller, which does not wait for the call: {named} takes owned \
                     types, or `&T` as the whole parameter"
                ),
            );
        }
        if !local {
            for reference in contents.statics {
                report.error(reference, "an argument does not live for `'static`: use an owned type, or #[remote(local)]");
            }
        }
        for lifetime in contents.lifetimes.iter().filter(|lifetime| !declared(&call.sig.generics, &lifetime.ident)) {
            report.error(lifetime, format_args!("{named} takes types that borrow nothing: use the owned form, or `'static`"));
        }
        for opaque in contents.opaque {
            report.error(
                opaque,
                format_args!(
                    "an argument is stored before the call, so its type must have a name: write the type, or a type \
                     parameter with #[remote(local)]{}",
                    if what == What::Function { "" } else { " on a generic type" }
                ),
            );
        }
        if !local {
            ambiguous(&contents.ambiguous, report);
        }
    }
}

/// Reports a parameter that is a `Yielder` and not the first one by value, which the model leaves out of the parameters.
fn misplaced_yielder(what: What, written: &Type, report: &mut Report) -> bool {
    let (ty, borrowed) = match written {
        Type::Reference(reference) => (&*reference.elem, true),
        ty => (ty, false),
    };
    if !types::ends_in(ty, "Yielder") {
        return false;
    }
    let why = if what == What::Constructor {
        "an actor's `new` makes no stream: a method can have a `Yielder<T>`"
    } else if borrowed {
        "a `Yielder` is passed by value: write `Yielder<T>`"
    } else {
        "a `Yielder<T>` is the first parameter, with the type of the items; a function has one"
    };
    report.error(written, why);
    true
}

/// Reports the parts of a type that have no size; returns true if there are some.
fn unsized_parts(ty: &Type, report: &mut Report) -> bool {
    let parts = types::unsized_parts(ty);
    for (part, instead) in &parts {
        report.error(part, format_args!("a type here must have a size: {instead}"));
    }
    !parts.is_empty()
}

/// Reports the trait objects of the standard library that cannot be arguments; returns true if there are some.
fn std_objects(what: What, ty: &Type, local: bool, report: &mut Report) -> bool {
    let before = report.len();
    for (object, shared) in types::std_objects(ty).into_iter().filter(|(_, shared)| !(local && *shared)) {
        let text = crate::print::text(object.to_token_stream()).replace(" + Send", "").replace(" + Sync", "");
        let place = if what == What::Function { "#[remote(local)]" } else { "#[remote(local)] on the impl" };
        let send = if shared {
            String::new()
        } else {
            format!("other threads read an argument: write `{text} + Send + Sync`{}", if local { "" } else { "; and " })
        };
        let process = if local { String::new() } else { format!("a trait object cannot be serialised: write {place}") };
        report.error(object, format_args!("{send}{process}"));
    }
    report.len() > before
}

/// The type under a parameter's own `&`.
fn inner(ty: &Type) -> &Type {
    match ty {
        Type::Reference(reference) => types::bare(&reference.elem),
        ty => ty,
    }
}

fn declared(generics: &Generics, name: &Ident) -> bool {
    generics.lifetimes().any(|param| param.lifetime.ident == *name)
}

fn output(what: What, call: &Callable, local: bool, report: &mut Report) {
    let ReturnType::Type(_, written) = &call.sig.output else {
        return;
    };
    let named = what.named();
    let value = types::result_ok(written).unwrap_or(written);
    if let Type::Never(never) = types::bare(value) {
        report.error(never, format_args!("{named} that never returns has no result: leave the return type out"));
        return;
    }
    if let Some(instead) = types::unsized_result(value) {
        report.error(value, format_args!("a result is stored, so its type must have a size: {instead}"));
        return;
    }
    if unsized_parts(value, report) {
        return;
    }
    let contents = Contents::of(written);
    let error =
        types::last_segment(written).and_then(|(_, arguments)| arguments.get(1).copied()).filter(|_| call.output.fallible);
    if let Some(error) = error {
        boxed_error(error, report);
    }
    let in_error = error.map(Contents::of).unwrap_or_default();
    for reference in contents.references {
        report.error(
            reference,
            format_args!(
                "the stored result outlives the call, so it cannot borrow: return an owned value, such as `{}`",
                crate::print::text(types::owned(&Type::Reference(reference.clone())).to_token_stream())
                    .replace("::std::vec::", "")
                    .replace("::std::string::", "")
            ),
        );
    }
    if !local {
        // The error type may contain a `&'static str`: an error that cannot be serialised is sent as its text.
        for reference in contents.statics.iter().filter(|reference| !among(&in_error.statics, reference)) {
            report.error(
                reference,
                "a result from another process does not live for `'static`: return an owned value, or write #[remote(local)]",
            );
        }
        ambiguous(&contents.ambiguous.into_iter().filter(|ty| !among(&in_error.ambiguous, ty)).collect::<Vec<_>>(), report);
    }
    for lifetime in contents.lifetimes.iter().filter(|lifetime| !declared(&call.sig.generics, &lifetime.ident)) {
        report.error(lifetime, "the stored result outlives the call, so it cannot borrow: use the owned form, or `'static`");
    }
    let is_stream = call.output.stream.is_some();
    for opaque in contents.opaque.into_iter().filter(|_| !is_stream) {
        let bounds = opaque.bounds.to_token_stream().to_string();
        let instead = if bounds.contains("Iterator") || bounds.contains("Stream") {
            "for a stream of objects, name the type of the items: `impl Iterator<Item = T>`, also in a `Result`"
        } else if bounds.contains("Future") {
            "write an `async fn` with the output of the future as its return type"
        } else {
            "write the type itself, or a `Box<dyn Trait>` with #[remote(local)]"
        };
        report.error(opaque, format_args!("a result is stored, so its type must have a name: {instead}"));
    }
}

/// Reports a `Box<dyn Error>` without `Send` and `Sync` as the error type: `?` cannot convert it later, so it must be written in
/// the signature.
pub(super) fn boxed_error(error: &Type, report: &mut Report) {
    if let Some(bounds) = types::bare_boxed_error(error) {
        report.error(
            error,
            format_args!(
                "an error is read by other threads: write `Box<{bounds} + Send + Sync>`, or `ray::Result<T>` as the return type"
            ),
        );
    }
}

/// Whether `node` is one of `nodes`, by address: the same type can occur in two places.
fn among<T>(nodes: &[&T], node: &T) -> bool {
    nodes.iter().any(|other| std::ptr::eq(*other, node))
}

pub(super) fn ambiguous(types: &[&Type], report: &mut Report) {
    for ty in types {
        report.error(
            ty,
            "values are encoded as MessagePack, which cannot distinguish `Some` of this type from `None`: use a `bool` or an \
             enum of your own, or #[remote(local)]",
        );
    }
}

fn num_returns(count: usize, expr: &Expr, call: &Callable, report: &mut Report) {
    if count == 1 {
        return;
    }
    if call.output.stream.is_some() {
        report.error(expr, "a stream has as many objects as its function yields: leave `num_returns` out");
        return;
    }
    let written = match &call.sig.output {
        ReturnType::Default => None,
        ReturnType::Type(_, ty) => Some(types::bare(types::result_ok(ty).unwrap_or(ty))),
    };
    match written {
        Some(Type::Tuple(tuple)) if tuple.elems.len() == count => {}
        Some(Type::Tuple(tuple)) if tuple.elems.len() > 1 => {
            report.error(
                expr,
                format_args!("the tuple returned here has {0} elements: write `num_returns = {0}`", tuple.elems.len()),
            );
        }
        _ => {
            let tuple = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K", "L"][..count].join(", ");
            report.error(
                expr,
                format_args!(
                    "`num_returns = {count}` splits a tuple: write `({tuple})` or `Result<({tuple}), E>` as the return type"
                ),
            );
        }
    }
}

pub(super) fn const_params(generics: &Generics, report: &mut Report) {
    for param in generics.const_params().filter(|param| !types::is_usize(&param.ty)) {
        report.error(&param.ty, "a const parameter of a remote item must be a `usize`");
    }
}

/// Reports type and const parameters of a method or a constructor: the handle has one field for a method, and a field has
/// one type.
pub(super) fn without_type_parameters(what: What, sig: &Signature, report: &mut Report) {
    let params = sig.generics.params.iter().filter(|param| !matches!(param, GenericParam::Lifetime(_)));
    for param in params {
        report.error(
            param,
            format_args!(
                "{} cannot have type parameters, because a field of the handle has one type: make the actor's type generic \
                 (with #[remote(local)] on the impl), name the type, or {}",
                what.named(),
                what.how_to_keep_plain()
            ),
        );
    }
}
