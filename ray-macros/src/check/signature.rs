//! What is wrong with a signature, in the words of what it belongs to.

use quote::ToTokens;
use syn::{Expr, GenericParam, Generics, Ident, ReturnType, Signature, Type};

use crate::model::{Callable, Kind};
use crate::options::Options;
use crate::report::Report;
use crate::types::{self, Contents};

/// The most parameters; the engine's tuples end there.
const MAX_PARAMS: usize = 12;

/// What a signature belongs to; each has its own words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Function,
    Method,
    Constructor,
}

impl What {
    fn named(self) -> &'static str {
        match self {
            What::Function => "a remote function",
            What::Method => "a remote method",
            What::Constructor => "an actor's `new`",
        }
    }

    /// Where a thing goes that is no matter of remote calls.
    fn aside(self) -> &'static str {
        match self {
            What::Function => "leave #[remote] out to keep it a plain function",
            What::Method | What::Constructor => "leave out its visibility or move it to another impl block to keep it plain",
        }
    }
}

/// What functions and methods have in common.
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
            format_args!("{named} runs in the engine, never at compile time: leave `const` out, or {}", what.aside()),
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
        // A lifetime on the reference itself is spoken of where it is declared; `'static` is not.
        let written = types::bare(&param.written);
        if let Type::Reference(reference) = written {
            if reference.mutability.is_some() {
                report.error(
                    written,
                    format_args!(
                        "an object never changes once it is stored, so {named} takes no `&mut`: take the value (`mut x: T`) \
                         and return it, or keep the state in an actor"
                    ),
                );
                continue;
            }
            if types::is_static_reference(written) && !local {
                report.error(
                    written,
                    "no argument lives for ever: write `&T`, which is read from the object store, or an owned type \
                     (#[remote(local)] takes `&'static T` as a value)",
                );
                continue;
            }
        }
        let contents = Contents::of(if param.kind == Kind::Borrow { inner(written) } else { written });
        for reference in contents.references {
            report.error(
                reference,
                format_args!("a reference here would borrow from the caller, who does not wait: {named} takes owned types, or `&T` as the whole parameter"),
            );
        }
        if !local {
            for reference in contents.statics {
                report.error(reference, "no argument lives for ever: use an owned type, or #[remote(local)]");
            }
        }
        for lifetime in contents.lifetimes.iter().filter(|lifetime| !declared(&call.sig.generics, &lifetime.ident)) {
            report.error(lifetime, format_args!("{named} takes types that borrow nothing: use the owned form, or `'static`"));
        }
        for opaque in contents.opaque {
            report.error(
                opaque,
                format_args!(
                    "an argument is stored before the call, so its type has a name: write it, or a type parameter under \
                     #[remote(local)]{}",
                    if what == What::Function { "" } else { " on a generic type" }
                ),
            );
        }
        if !local {
            blurred(&contents.blurred, report);
        }
    }
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
        report.error(never, format_args!("{named} that never returns gives no result: write no return type"));
        return;
    }
    let contents = Contents::of(written);
    let error =
        types::last_segment(written).and_then(|(_, arguments)| arguments.get(1).copied()).filter(|_| call.output.fallible);
    let in_error = error.map(Contents::of).unwrap_or_default();
    for reference in contents.references {
        report.error(
            reference,
            format_args!(
                "the result is stored on its own, so it cannot borrow: return an owned value, such as `{}`",
                crate::print::text(types::owned(&Type::Reference(reference.clone())).to_token_stream())
                    .replace("::std::vec::", "")
                    .replace("::std::string::", "")
            ),
        );
    }
    if !local {
        // An error may be a `&'static str`: what is not serde travels as its text.
        for reference in contents.statics.iter().filter(|reference| !among(&in_error.statics, reference)) {
            report.error(
                reference,
                "what another process sends does not live for ever: return an owned value, or write #[remote(local)]",
            );
        }
        blurred(&contents.blurred.into_iter().filter(|ty| !among(&in_error.blurred, ty)).collect::<Vec<_>>(), report);
    }
    for lifetime in contents.lifetimes.iter().filter(|lifetime| !declared(&call.sig.generics, &lifetime.ident)) {
        report.error(lifetime, "the result is stored on its own, so it cannot borrow: use the owned form, or `'static`");
    }
    for opaque in contents.opaque {
        let bounds = opaque.bounds.to_token_stream().to_string();
        let instead = if bounds.contains("Iterator") {
            "collect it into a `Vec`"
        } else if bounds.contains("Future") {
            "write `async fn` and the type that it gives"
        } else {
            "write the type itself, or a `Box<dyn Trait>` under #[remote(local)]"
        };
        report.error(opaque, format_args!("a stored result has a type with a name: {instead}"));
    }
}

/// Is this very node among those? (Another one may be equal.)
fn among<T>(nodes: &[&T], node: &T) -> bool {
    nodes.iter().any(|other| std::ptr::eq(*other, node))
}

fn blurred(types: &[&Type], report: &mut Report) {
    for ty in types {
        report.error(
            ty,
            "MessagePack, in which values travel, cannot tell `Some` of this from `None`: use a `bool` or an enum of your \
             own, or #[remote(local)]",
        );
    }
}

fn num_returns(count: usize, expr: &Expr, call: &Callable, report: &mut Report) {
    if count == 1 {
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
                    "`num_returns = {count}` splits a tuple: return `({tuple})` or `Result<({tuple}), E>`, written out here"
                ),
            );
        }
    }
}

pub(super) fn const_params(generics: &Generics, report: &mut Report) {
    for param in generics.const_params().filter(|param| !types::is_usize(&param.ty)) {
        report.error(&param.ty, "a const parameter of a remote item is a `usize`");
    }
}

/// A method's type parameters would be a field's.
pub(super) fn without_type_parameters(what: What, sig: &Signature, report: &mut Report) {
    let params = sig.generics.params.iter().filter(|param| !matches!(param, GenericParam::Lifetime(_)));
    for param in params {
        report.error(
            param,
            format_args!(
                "{} has no type parameters, as a handle's field has one type: make the type generic (with \
                 #[remote(local)] on the impl), name the type, or {}",
                what.named(),
                what.aside()
            ),
        );
    }
}
